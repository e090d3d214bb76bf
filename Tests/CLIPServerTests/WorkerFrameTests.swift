import Testing

@testable import CLIPServer

/// Tests how the frames of `clip worker` are written and parsed.
@Suite struct WorkerFrameTests {
    private static let requests: [(id: UInt64, kind: WorkerProtocol.Kind, payload: [UInt8])] = [
        (1, .text, Array("a dog".utf8)), (0, .image, []), (.max, .image, (0...255).map { $0 }),
        (1, .text, [0]),
    ]

    /// The bytes of a client that sends `requests`.
    private static var sent: [UInt8] {
        requests.reduce(WorkerProtocol.clientHello()) {
            $0 + WorkerProtocol.request(id: $1.id, $1.kind, $1.payload)
        }
    }

    private static var events: [RequestParser.Event] {
        [.hello]
            + requests.flatMap { request -> [RequestParser.Event] in
                [
                    .head(payloadCount: request.payload.count),
                    .request(id: request.id, kind: request.kind, payload: request.payload),
                ]
            }
    }

    /// Parses bytes that arrive in pieces, up to their end.
    private func events(
        of bytes: [UInt8], pieces: Int, largestPayload: Int = 256
    ) throws(WorkerError) -> [RequestParser.Event] {
        var parser = RequestParser(largestPayload: largestPayload)
        var events: [RequestParser.Event] = []
        for start in stride(from: 0, to: bytes.count, by: pieces) {
            var piece = bytes[start..<min(start + pieces, bytes.count)]
            while let event = try parser.next(&piece) { events.append(event) }
            #expect(piece.isEmpty)
        }
        #expect(parser.position == bytes.count)
        try parser.finish()
        return events
    }

    /// The error of parsing bytes in pieces of one byte and of all bytes, which must be equal.
    private func error(
        of bytes: [UInt8], largestPayload: Int = 256,
        sourceLocation: SourceLocation = #_sourceLocation
    ) -> WorkerError? {
        let errors = [1, max(1, bytes.count)].map { pieces -> WorkerError? in
            do throws(WorkerError) {
                _ = try events(of: bytes, pieces: pieces, largestPayload: largestPayload)
                return nil
            } catch {
                return error
            }
        }
        #expect(errors[0] == errors[1], sourceLocation: sourceLocation)
        return errors[0]
    }

    @Test(arguments: [1, 2, 3, 5, 7, 13, 100_000])
    func requestsSurviveARoundTripInPieces(of count: Int) throws {
        #expect(try events(of: Self.sent, pieces: count) == Self.events)
    }

    @Test func clientBytesAreAsDocumented() {
        #expect(WorkerProtocol.clientHello() == Array("CLIPWORK".utf8) + [1, 0, 0, 0])
        #expect(
            WorkerProtocol.request(id: 0x0102, .text, Array("cat".utf8))
                == [12, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 2] + Array("cat".utf8))
    }

    @Test func workerBytesAreAsDocumented() {
        let print = [UInt8](repeating: 7, count: 32)
        #expect(
            WorkerProtocol.workerHello(dimension: 512, fingerprint: print)
                == Array("CLIPWORK".utf8) + [1, 0, 0, 0, 0, 2, 0, 0] + print)
        #expect(
            WorkerProtocol.reply(id: 3, vector: [1, -2])
                == [3, 0, 0, 0, 0, 0, 0, 0] + [0, 0, 0, 0] + [8, 0, 0, 0]
                + [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0])
        #expect(
            WorkerProtocol.reply(id: 4, message: "no", dimension: 2)
                == [4, 0, 0, 0, 0, 0, 0, 0] + [1, 0, 0, 0] + [2, 0, 0, 0]
                + Array("no".utf8) + [0, 0, 0, 0, 0, 0])
    }

    @Test(arguments: [
        ("", ""), ("abcdefgh", "abcdefgh"), ("abcdefghi", "abcdefgh"), ("abcdefgé", "abcdefg"),
        ("abcdeé😀", "abcdeé"), ("😀😀😀", "😀😀"), ("abcde😀", "abcde"),
    ])
    func longMessagesAreCutAtTheEndOfACharacter(message: String, expected: String) {
        let reply = WorkerProtocol.reply(id: 1, message: message, dimension: 2)
        #expect(reply.count == 24)
        let count = Int(WorkerProtocol.number(of: reply[12..<16]) as UInt32)
        #expect(String(validating: reply[16..<(16 + count)], as: UTF8.self) == expected)
        #expect(reply[(16 + count)...].allSatisfy { $0 == 0 })
    }

    @Test func everyTruncationIsReported() {
        let sent = Self.sent
        var ends: Set<Int> = [WorkerProtocol.helloSize]
        var end = WorkerProtocol.helloSize
        for request in Self.requests {
            end += 13 + request.payload.count
            ends.insert(end)
        }
        for count in 0...sent.count {
            let error = error(of: Array(sent[..<count]))
            guard !ends.contains(count) else {
                #expect(error == nil, "\(count) bytes")
                continue
            }
            guard case .truncated(let part, let offset, let expected, let found)? = error else {
                Issue.record("\(count) bytes: \(String(describing: error))")
                continue
            }
            #expect(part == (count < 12 ? "the hello" : "a request"))
            #expect(offset == 0 || ends.contains(offset))
            #expect(found == count - offset && found < expected)
        }
    }

    @Test func helloIsRejectedAtItsFirstWrongByte() {
        #expect(error(of: Array("X".utf8)) == .wrongHello(found: Array("X".utf8)))
        var parser = RequestParser(largestPayload: 256)
        var bytes = Array("CLIPX".utf8)[...]
        #expect(throws: WorkerError.wrongHello(found: Array("CLIPX".utf8))) {
            try parser.next(&bytes)
        }
        let error = WorkerError.wrongHello(found: Array("GET / HT".utf8))
        #expect(error.description.hasSuffix("found \"GET / HT\""), "\(error)")
        let binary = WorkerError.wrongHello(found: [0xFF, 0xD8])
        #expect(binary.description.hasSuffix("found ff d8"), "\(binary)")
    }

    @Test func otherVersionsAreRejected() {
        for version: UInt32 in [0, 2, 256, .max] {
            let hello = WorkerProtocol.magic + WorkerProtocol.bytes(of: version)
            #expect(error(of: hello) == .unsupportedVersion(expected: 1, found: version))
        }
    }

    @Test func lengthsOutOfRangeAreRejectedBeforeTheirBytesArrive() {
        let hello = WorkerProtocol.clientHello()
        for length: UInt32 in [0, 1, 8, 266, 1 << 31, .max] {
            #expect(
                error(of: hello + WorkerProtocol.bytes(of: length))
                    == .invalidLength(offset: 12, expected: 9...265, found: Int(length)))
        }
        let largest = WorkerProtocol.request(id: 1, .image, [UInt8](repeating: 0, count: 256))
        #expect(error(of: hello + largest) == nil)
        #expect(
            error(of: hello + largest, largestPayload: 255)
                == .invalidLength(offset: 12, expected: 9...264, found: 265))
    }

    @Test func unknownKindsAreRejectedBeforeTheirPayloadArrives() {
        let head = WorkerProtocol.clientHello() + [9, 0, 0, 0] + [UInt8](repeating: 1, count: 8)
        for kind: UInt8 in [0, 3, 255] {
            #expect(error(of: head + [kind]) == .unknownKind(offset: 24, found: kind))
        }
    }

    /// A length of 4 GB is allowed here, and nothing of that size may be allocated.
    @Test func announcedBytesAreNotAllocated() throws {
        var parser = RequestParser(largestPayload: WorkerProtocol.payloadLimit)
        var bytes =
            (WorkerProtocol.clientHello() + WorkerProtocol.bytes(of: UInt32.max)
            + [UInt8](repeating: 1, count: 9) + [5])[...]
        #expect(try parser.next(&bytes) == .hello)
        #expect(try parser.next(&bytes) == .head(payloadCount: WorkerProtocol.payloadLimit))
        #expect(try parser.next(&bytes) == nil)
        #expect(throws: WorkerError.self) { try parser.finish() }
    }
}
