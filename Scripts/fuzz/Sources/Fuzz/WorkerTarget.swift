@testable import CLIPServer

// The frames of `clip worker`.
extension Target {
    /// Parses bytes as the input of a worker, in one piece and in pieces of a few bytes.
    func parseFrames(_ bytes: [UInt8]) {
        let whole = Self.events(of: bytes, pieces: max(1, bytes.count))
        for pieces in [1, 7] {
            let found = Self.events(of: bytes, pieces: pieces)
            // The error of a wrong hello has the bytes that have arrived.
            precondition(found.0 == whole.0 && (found.1 == nil) == (whole.1 == nil))
        }
        var payloads = 0
        for case .request(let id, let kind, let payload) in whole.0 {
            payloads += payload.count
            let again = WorkerProtocol.request(id: id, kind, payload)
            precondition(
                Self.events(of: WorkerProtocol.clientHello() + again, pieces: 1000).0.last
                    == .request(id: id, kind: kind, payload: payload))
        }
        precondition(payloads <= bytes.count)
        let message = String(decoding: bytes.prefix(100), as: UTF8.self)
        let reply = WorkerProtocol.reply(id: 1, message: message, dimension: 8)
        let count = Int(WorkerProtocol.number(of: reply[12..<16]) as UInt32)
        precondition(reply.count == 48 && count <= 32)
        precondition(String(validating: reply[16..<(16 + count)], as: UTF8.self) != nil)
        _ = whole.1?.description
    }

    private static func events(
        of bytes: [UInt8], pieces: Int
    ) -> ([RequestParser.Event], WorkerError?) {
        var parser = RequestParser(largestPayload: 4096)
        var events: [RequestParser.Event] = []
        do throws(WorkerError) {
            for start in stride(from: 0, to: bytes.count, by: pieces) {
                var piece = bytes[start..<min(start + pieces, bytes.count)]
                while let event = try parser.next(&piece) { events.append(event) }
                precondition(piece.isEmpty)
            }
            try parser.finish()
            return (events, nil)
        } catch {
            return (events, error)
        }
    }
}
