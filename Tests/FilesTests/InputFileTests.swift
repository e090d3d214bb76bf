import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests sequential reading of a file or a pipe.
@Suite struct InputFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func open(_ bytes: some Sequence<UInt8>) throws -> InputFile {
        try InputFile(path: Array(folder.write("a", bytes).utf8))
    }

    /// Bytes that depend on their position; the buffer of a file holds a quarter of a mebibyte.
    private func numbers(_ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 8) }
    }

    @Test func readStopsAtEndOfFile() throws {
        let file = try open("0123456789".utf8)
        #expect(try file.read(4) == Array("0123".utf8))
        #expect(file.position == 4)
        #expect(try file.read(0) == [])
        #expect(try file.read(100) == Array("456789".utf8))
        #expect(try file.read(1) == [])
        #expect(file.position == 10)
    }

    @Test func peekDoesNotConsume() throws {
        let file = try open("0123456789".utf8)
        #expect(Array(try file.peek(3)) == Array("012".utf8))
        #expect(Array(try file.peek(20)) == Array("0123456789".utf8))
        #expect(file.position == 0)
        #expect(try file.read(2) == Array("01".utf8))
        #expect(Array(try file.peek(2)) == Array("23".utf8))
        #expect(file.position == 2)
    }

    @Test(arguments: [1, 1000, 1 << 18, 1 << 18 + 1, 300_000, 1_000_000])
    func longFileIsReadInPartsOfAnySize(_ size: Int) throws {
        let expected = numbers(1_000_000)
        let file = try open(expected)
        var found: [UInt8] = []
        // One byte at a time would be slow, so only the first part is read.
        while found.count < (size == 1 ? 10_000 : expected.count) {
            let part = try file.read(size)
            if part.isEmpty { break }
            found += part
        }
        #expect(firstDifference(found, expected.prefix(found.count)) == nil)
        #expect(file.position == found.count)
    }

    @Test func peekMayExceedTheBuffer() throws {
        let expected = numbers(700_000)
        let file = try open(expected)
        #expect(try file.read(200_000).count == 200_000)
        #expect(try firstDifference(file.peek(450_000), expected[200_000..<650_000]) == nil)
        #expect(try firstDifference(file.read(500_000), expected[200_000...]) == nil)
    }

    @Test func skipStopsAtEndOfFile() throws {
        let file = try open(numbers(600_000))
        #expect(try file.skip(500_000))
        #expect(file.position == 500_000)
        #expect(try file.read(1) == [numbers(500_001)[500_000]])
        #expect(try !file.skip(100_000))
        #expect(try file.skip(0))
        #expect(file.position == 600_000)
    }

    @Test func linesAreSplitAtTheirEnd() throws {
        let file = try open("one\n\ntwo\nthree".utf8)
        for expected in ["one", "", "two", "three", nil, nil] {
            let found = try file.read(upTo: 10).map { String(decoding: $0, as: UTF8.self) }
            #expect(found == expected, "at \(file.position)")
        }
        #expect(try open("\n".utf8).read(upTo: 10) == [])
        #expect(try open([]).read(upTo: 10) == nil)
    }

    @Test func linesMayExceedTheBuffer() throws {
        let line = [UInt8](repeating: 7, count: 400_000)
        let file = try open(line + [0] + line)
        #expect(try firstDifference(file.read(upTo: 0) ?? [], line) == nil)
        #expect(try firstDifference(file.read(upTo: 0) ?? [], line) == nil)
        #expect(try file.read(upTo: 0) == nil)
    }

    @Test func lineBeyondTheLimitThrows() throws {
        let file = try open([UInt8](repeating: 7, count: 1_000_000))
        #expect(throws: FileError.self) { try file.read(upTo: 10, limit: 300_000) }
    }

    @Test func pipeIsReadAsItIsWritten() throws {
        let path = folder.path + "/pipe"
        #expect(mkfifo(path, 0o600) == 0)
        let expected = numbers(200_000)
        Thread.detachNewThread {
            guard let handle = FileHandle(forWritingAtPath: path) else { return }
            // Fewer bytes at a time than the reader requests.
            for start in stride(from: 0, to: expected.count, by: 30_000) {
                let end = min(start + 30_000, expected.count)
                try? handle.write(contentsOf: Data(expected[start..<end]))
            }
            try? handle.close()
        }
        let file = try InputFile(path: Array(path.utf8))
        #expect(try firstDifference(file.read(150_000), expected[..<150_000]) == nil)
        #expect(try firstDifference(file.read(150_000), expected[150_000...]) == nil)
    }

    @Test func foldersAndMissingFilesThrow() throws {
        #expect(throws: FileError.self) { try InputFile(path: Array(folder.path.utf8)) }
        let missing = #expect(throws: FileError.self) {
            try InputFile(path: Array((folder.path + "/missing").utf8))
        }
        #expect(missing?.isMissing == true, "\(missing.debugDescription)")
    }
}
