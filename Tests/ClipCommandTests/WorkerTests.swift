import Foundation
import TestSupport
import Testing

/// Tests `clip worker` as a process, with the model `tiny`.
@Suite struct WorkerTests {
    private static let hello = Array("CLIPWORK".utf8) + [1, 0, 0, 0]
    private static let images = ["tall.png", "wide.png", "rgb.jpg", "rgb-444.jpg", "grey.png"]
    private static let texts = ["a dog", "ein süßer Hund", "a cat", "a cat", "🚲", ""]

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func image(_ name: String) throws -> [UInt8] {
        Array(try bytes(ofFile: Fixtures.path("images/\(name)")))
    }

    /// Runs a worker on a file with the given bytes.
    private func run(_ input: [UInt8], _ arguments: String...) throws -> ClipBinary.Result {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        try folder.write("in.bin", input)
        let options = arguments.isEmpty ? "-m tiny" : arguments.joined(separator: " ")
        return try shell.run([
            "-c", "exec '\(ClipBinary.built.path)' worker \(options) <in.bin",
        ])
    }

    /// Expects the hello and `replies`, status 1 and one line that says what is wrong.
    private func expectViolation(
        _ result: ClipBinary.Result, replies: Int, says: String,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        #expect(result.status == 1, sourceLocation: sourceLocation)
        #expect(result.errors.contains(says), "\(result.errors)", sourceLocation: sourceLocation)
        #expect(
            result.errors.hasPrefix("clip: error: "), "\(result.errors)",
            sourceLocation: sourceLocation)
        #expect(
            result.errors.split(separator: "\n").count == 1, "\(result.errors)",
            sourceLocation: sourceLocation)
        let received = try Replies(result.output)
        #expect(received.list.count == replies, sourceLocation: sourceLocation)
        #expect(received.list.allSatisfy { $0.status == 0 }, sourceLocation: sourceLocation)
    }

    // MARK: vectors

    @Test(arguments: [[], ["--no-normalize"], ["--reference", "--threads", "1"]])
    func vectorsEqualThoseOfEncode(options: [String]) throws {
        let expected = try ClipBinary(folder: folder).run(
            ["encode", "-m", "tiny", "--format", "npy"] + options
                + Self.images.map { Fixtures.path("images/\($0)") }
                + Self.texts.flatMap { ["--text", $0] }
        ).successful().output
        var input = Self.hello
        var order: [Int] = []
        // Images and texts in turn, each several times.
        for index in 0..<60 {
            let isImage = index % 3 != 1
            let place = index % (isImage ? Self.images.count : Self.texts.count)
            order.append(isImage ? place : Self.images.count + place)
            input +=
                try isImage
                ? request(UInt64(index), 1, image(Self.images[place]))
                : request(UInt64(index), 2, Array(Self.texts[place].utf8))
        }
        let words = "-m tiny " + options.joined(separator: " ")
        let received = try Replies(run(input, words).successful().output)
        #expect(received.dimension == 256)
        #expect(received.list.map(\.id) == (0..<60).map { UInt64($0) })
        let size = 4 * received.dimension
        let rows = Array(expected.suffix((Self.images.count + Self.texts.count) * size))
        try #require(rows.count == (Self.images.count + Self.texts.count) * size)
        for (reply, row) in zip(received.list, order) {
            #expect(reply.status == 0, "\(reply.message)")
            #expect(reply.body == Array(rows[(row * size)..<((row + 1) * size)]), "\(reply.id)")
        }
    }

    @Test func helloHasTheFingerprint() throws {
        let result = try run(Self.hello).successful()
        #expect(result.errors.isEmpty, "\(result.errors)")
        let received = try Replies(result.output)
        #expect(received.list.isEmpty)
        let info = try ClipBinary(folder: folder).run(["info", "tiny", "--json"]).json()
        #expect(info["fingerprint"] as? String == received.fingerprint)
    }

    @Test func brokenInputsGetErrorReplies() throws {
        let long = Array(String(repeating: "dog ", count: 400).utf8)
        let broken: [(kind: UInt8, payload: [UInt8], says: String)] = [
            (1, Array("no image".utf8), "the image"),
            (1, Array(try image("rgb.jpg").prefix(300)), "the image"),
            (1, [], "the image is empty"),
            (2, [0x61, 0xFF], "not UTF-8"), (2, [0x61, 0, 0x62], "NUL character at byte 1"),
            (2, long, "tokens"),
        ]
        var input = Self.hello
        for (index, item) in broken.enumerated() {
            input += request(UInt64(index), item.kind, item.payload)
            input += request(1000, 2, Array("a dog".utf8))
        }
        let result = try run(input).successful()
        #expect(result.errors.isEmpty, "\(result.errors)")
        let replies = try Replies(result.output).list
        try #require(replies.count == 2 * broken.count)
        for (index, item) in broken.enumerated() {
            let (reply, next) = (replies[2 * index], replies[2 * index + 1])
            #expect(reply.status == 1 && reply.id == UInt64(index))
            #expect(reply.message.contains(item.says), "\(reply.message)")
            #expect(next.status == 0 && next.id == 1000 && next.body == replies[1].body)
        }
        let tooLong = replies[2 * broken.count - 2].message
        #expect(tooLong.contains("--truncate"), "\(tooLong)")
        let truncated = try run(Self.hello + request(1, 2, long), "-m tiny --truncate")
        #expect(try Replies(truncated.output).list.map(\.status) == [0])
    }

    @Test func imageLimitsAreThoseOfTheOptions() throws {
        let input = Self.hello + request(1, 1, try image("tall.png"))
        let result = try run(input, "-m tiny --max-pixels 10").successful()
        let reply = try #require(try Replies(result.output).list.first)
        #expect(reply.status == 1)
        #expect(reply.message.contains("more than the 10 that are allowed"), "\(reply.message)")
    }

    // MARK: violations

    @Test func violationsEndTheWorkerAfterTheCompleteRequests() throws {
        let one = Self.hello + request(1, 2, Array("a dog".utf8))
        let two = one + request(2, 2, Array("a cat".utf8))
        try expectViolation(
            run(two + [0xFF, 0xFF, 0xFF, 0xFF]), replies: 2, says: "found 4294967295")
        try expectViolation(run(two + [8, 0, 0, 0]), replies: 2, says: "found 8")
        try expectViolation(
            run(one + request(2, 3, [1])), replies: 1, says: "1 (image) or 2 (text)")
        for count in [1, 4, 12, 13, 15] {
            try expectViolation(
                run(one + request(2, 2, Array("a cat".utf8)).prefix(count)), replies: 1,
                says: "standard input ends within a request")
        }
        let small = try run(two, "-m tiny --max-request-size 4")
        #expect(small.status == 1)
        #expect(small.errors.contains("expected the length of a request, 9 to 13"))
        #expect(small.errors.contains("--max-request-size"), "\(small.errors)")
    }

    @Test func garbageIsRejected() throws {
        for (input, says) in [
            (Array("GET / HTTP/1.1\r\n\r\n".utf8), "found \"GET / HT\""), ([], "found 0"),
            (Array("CLIP".utf8), "within the hello"),
            (Array("CLIPWORK".utf8) + [2, 0, 0, 0], "expected version 1"),
            (try image("rgb.jpg"), "expected the hello CLIPWORK"),
        ] {
            expectFailure(try run(input), status: 1, says: says)
        }
    }

    @Test func closedOutputIsReported() throws {
        var input = Self.hello
        for index in 0..<2000 { input += request(UInt64(index), 2, Array("a dog".utf8)) }
        try folder.write("many.bin", input)
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/bash"))
        let result = try shell.run([
            "-c",
            """
            '\(ClipBinary.built.path)' worker -m tiny <many.bin | head -c 48 >head.bin
            exit ${PIPESTATUS[0]}
            """,
        ])
        expectFailure(result, status: 1, says: "cannot write to standard output: Broken pipe")
    }

    @Test func wrongUsageIsReported() throws {
        let undecided = try run(Self.hello, "-q")
        expectFailure(undecided, status: 2, says: "no model chosen for clip worker")
        for size in ["0", "4294967296", "x"] {
            let result = try run(Self.hello, "-m tiny --max-request-size \(size)")
            expectFailure(result, status: 2, says: "--max-request-size")
        }
        let terminal = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        let result = try terminal.run(
            ["-qec", "'\(ClipBinary.built.path)' worker -m tiny", "/dev/null"],
            environment: ["SHELL": "/bin/sh"])
        #expect(result.status == 2)
        #expect(result.text.contains("standard input is a terminal"), "\(result.text)")
        #expect(result.text.contains("WorkerProtocol"), "\(result.text)")
    }

    // MARK: pipes

    @Test func eachRequestIsAnsweredAtOnce() throws {
        let worker = try WorkerProcess(in: folder)
        try worker.send(Self.hello)
        #expect(try worker.read(48).count == 48)
        let inputs: [(kind: UInt8, payload: [UInt8])] = [
            (2, Array("a dog".utf8)), (1, try image("tall.png")), (1, [1, 2, 3]), (2, [0]),
            (2, Array("a cat".utf8)),
        ]
        for (index, input) in inputs.enumerated() {
            try worker.send(request(UInt64(index), input.kind, input.payload))
            let reply = try worker.read(16 + 4 * 256)
            #expect(reply.prefix(8) == [UInt8(index), 0, 0, 0, 0, 0, 0, 0])
        }
        #expect(try worker.end() == 0)
    }

    @Test func announcedBytesAreRefusedBeforeTheyArrive() throws {
        let worker = try WorkerProcess(in: folder)
        try worker.send(Self.hello + [0xFF, 0xFF, 0xFF, 0xFF])
        // The pipe stays open.
        #expect(worker.status == 1)
        #expect(try worker.errors.contains("found 4294967295"))
    }

    @Test func signalsEndTheWorker() throws {
        let worker = try WorkerProcess(in: folder)
        try worker.send(Self.hello)
        #expect(try worker.read(48).count == 48)
        #expect(worker.signal(SIGTERM) == SIGTERM)
        #expect(try worker.errors.isEmpty)
    }
}

/// Returns the bytes of a request.
private func request(_ id: UInt64, _ kind: UInt8, _ payload: [UInt8]) -> [UInt8] {
    let head = [UInt64(payload.count + 9), id].enumerated().flatMap { place, number in
        (0..<(place == 0 ? 4 : 8)).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
    }
    return head + [kind] + payload
}

/// The output of a worker: its hello and its replies.
private struct Replies {
    struct Reply {
        let id: UInt64
        let status: Int
        /// The bytes that have a meaning.
        let body: [UInt8]
        var message: String { String(decoding: body, as: UTF8.self) }
    }

    let dimension: Int
    let fingerprint: String
    private(set) var list: [Reply] = []

    init(_ output: Data) throws {
        let bytes = Array(output)
        func number(_ start: Int, _ count: Int) -> UInt64 {
            bytes[start..<(start + count)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        try #require(bytes.count >= 48, "\(bytes.count) bytes")
        #expect(Array(bytes.prefix(12)) == Array("CLIPWORK".utf8) + [1, 0, 0, 0])
        dimension = Int(number(12, 4))
        fingerprint = bytes[16..<48].map { String(format: "%02x", $0) }.joined()
        let size = 16 + 4 * dimension
        try #require((bytes.count - 48) % size == 0, "\(bytes.count) bytes")
        for start in stride(from: 48, to: bytes.count, by: size) {
            let count = Int(number(start + 12, 4))
            try #require(count <= 4 * dimension)
            let rest = bytes[(start + 16 + count)..<(start + size)]
            #expect(rest.allSatisfy { $0 == 0 })
            list.append(
                Reply(
                    id: number(start, 8), status: Int(number(start + 8, 4)),
                    body: Array(bytes[(start + 16)..<(start + 16 + count)])))
        }
    }
}

/// A running `clip worker -m tiny`, with pipes to it.
private final class WorkerProcess {
    private let process: Process
    private let (input, output) = (Pipe(), Pipe())
    private let errorsPath: String

    init(in folder: TemporaryFolder) throws {
        process = ClipBinary(folder: folder).process(["worker", "-m", "tiny"])
        errorsPath = try folder.write("\(UUID().uuidString).err", [])
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle(forWritingAtPath: errorsPath)
        try process.run()
    }

    deinit {
        if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    }

    var errors: String {
        get throws { String(decoding: try bytes(ofFile: errorsPath), as: UTF8.self) }
    }

    func send(_ bytes: [UInt8]) throws {
        try input.fileHandleForWriting.write(contentsOf: Data(bytes))
    }

    /// Reads `count` bytes; fewer at the end of the output.
    func read(_ count: Int) throws -> [UInt8] {
        var received: [UInt8] = []
        while received.count < count {
            let part = try output.fileHandleForReading.read(upToCount: count - received.count)
            guard let part, !part.isEmpty else { break }
            received += part
        }
        return received
    }

    /// The exit status, for which it waits.
    var status: Int32 {
        process.waitUntilExit()
        return process.terminationStatus
    }

    /// Closes the input, and returns the exit status.
    func end() throws -> Int32 {
        try input.fileHandleForWriting.close()
        return status
    }

    /// Sends a signal, and returns the number of the one that has ended the process; 0 if none did.
    func signal(_ number: Int32) -> Int32 {
        kill(process.processIdentifier, number)
        process.waitUntilExit()
        return process.terminationReason == .uncaughtSignal ? process.terminationStatus : 0
    }
}
