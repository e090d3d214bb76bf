internal import CLIP
internal import Files
internal import Synchronization

/// A request of a client, an input of the encoding threads.
struct WorkerRequest: Sendable {
    let id: UInt64
    let kind: WorkerProtocol.Kind
    let payload: Payload

    /// The bytes of an input, which are released as soon as it is decoded.
    final class Payload: Sendable {
        private let bytes: Mutex<[UInt8]>

        init(_ bytes: [UInt8]) { self.bytes = Mutex(bytes) }

        /// Returns the bytes, which the request then has no longer.
        func take() -> [UInt8] {
            bytes.withLock { bytes in
                defer { bytes = [] }
                return bytes
            }
        }
    }
}

/// A reader of the hello and the requests of a client.
///
/// One thread at a time may use it.
final class RequestReader: Sendable {
    private struct State {
        let input: InputFile
        var parser: RequestParser
        /// The bytes that were read and not parsed yet.
        var bytes: ArraySlice<UInt8> = []

        /// Returns the next event; nil at the end of the input.
        mutating func next() throws(WorkerError) -> RequestParser.Event? {
            while true {
                if let event = try parser.next(&bytes) { return event }
                // Without a reference to the input's buffer, which would be copied otherwise.
                bytes = []
                do throws(FileError) {
                    bytes = try input.readAvailable()
                } catch {
                    throw .unreadableInput(reason: error.reason)
                }
                if bytes.isEmpty {
                    try parser.finish()
                    return nil
                }
            }
        }
    }

    private let state: Mutex<State>

    /// Makes a reader.
    ///
    /// - Parameters:
    ///   - input: The input.
    ///   - largestPayload: The largest number of bytes of an image or text.
    init(_ input: sending InputFile, largestPayload: Int) {
        state = Mutex(State(input: input, parser: RequestParser(largestPayload: largestPayload)))
    }

    /// Reads the hello.
    func readHello() throws(WorkerError) {
        _ = try state.withLock { state throws(WorkerError) in try state.next() }
    }

    /// Reads the next request.
    ///
    /// - Parameter budget: The bytes of all payloads in memory. The reader takes those of the
    ///   request before it reads the payload.
    /// - Returns: The request; nil at the end of the input, or if the budget is cancelled.
    /// - Throws: `WorkerError` for a violation of the protocol, and if the input cannot be read.
    func next(within budget: ByteBudget) throws(WorkerError) -> WorkerRequest? {
        try state.withLock { state throws(WorkerError) in
            while let event = try state.next() {
                switch event {
                case .hello: break
                case .head(let count): guard budget.take(count) else { return nil }
                case .request(let id, let kind, let payload):
                    return WorkerRequest(id: id, kind: kind, payload: .init(payload))
                }
            }
            return nil
        }
    }
}
