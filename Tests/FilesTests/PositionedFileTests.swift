import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests reading at an offset, also of a file that is truncated meanwhile.
@Suite struct PositionedFileTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func bytesAreReadAtAnyOffset() throws {
        let file = try PositionedFile(path: Array(folder.write("a", "0123456789".utf8).utf8))
        #expect(file.count == 10)
        #expect(try file.read(3, at: 4) == Array("456".utf8))
        #expect(try file.read(4, at: 0) == Array("0123".utf8))
        #expect(try file.read(5, at: 8) == Array("89".utf8))
        #expect(try file.read(5, at: 10) == [])
        #expect(try file.read(0, at: 2) == [])
    }

    @Test func truncatedFileHasFewerBytes() throws {
        let path = try folder.write("a", [UInt8](repeating: 7, count: 100_000))
        let file = try PositionedFile(path: Array(path.utf8))
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.truncate(atOffset: 50_010)
        try handle.close()
        #expect(file.count == 100_000)
        #expect(try file.read(100, at: 50_000).count == 10)
        #expect(try file.read(100, at: 90_000) == [])
    }

    @Test func onlyRegularFilesAreOpened() throws {
        #expect(throws: FileError.self) { try PositionedFile(path: Array(folder.path.utf8)) }
        #expect(throws: FileError.self) {
            try PositionedFile(path: Array((folder.path + "/none").utf8))
        }
        #expect(throws: FileError.self) { try PositionedFile(path: Array("/dev/null".utf8)) }
    }
}
