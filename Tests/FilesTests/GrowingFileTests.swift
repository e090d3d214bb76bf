import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests a file that grows under a temporary name: the bytes on the disk, the state that the next
/// process finds, and rejected files.
@Suite struct GrowingFileTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    private func path(_ name: String) -> [UInt8] { Array("\(folder.path)/\(name)".utf8) }

    private func content(_ name: String) throws -> String {
        String(decoding: try bytes(ofFile: "\(folder.path)/\(name)"), as: UTF8.self)
    }

    private var names: [String] {
        get throws { try files.contentsOfDirectory(atPath: folder.path).sorted() }
    }

    @Test func finishedFileHasItsName() throws {
        #expect(!GrowingFile.isBegun(path: path("a")))
        let file = try GrowingFile(path: path("a"))
        #expect(file.count == 0)
        #expect(file.partialPath == path("a.partial"))
        try file.append(Array("one ".utf8))
        try file.append("two".utf8)
        #expect(file.count == 7)
        #expect(try names == ["a.partial"])
        #expect(GrowingFile.isBegun(path: path("a")))
        try file.finish()
        #expect(try names == ["a"])
        #expect(try content("a") == "one two")
        #expect(!GrowingFile.isBegun(path: path("a")))
    }

    @Test func flushWritesAppendedBytes() throws {
        let file = try GrowingFile(path: path("a"))
        try file.append("abc".utf8)
        #expect(try content("a.partial") == "")
        try file.flush()
        #expect(try content("a.partial") == "abc")
        // A megabyte is written without a flush.
        try file.append(repeatElement(UInt8(ascii: "x"), count: 1 << 20))
        #expect(try content("a.partial").utf8.count == 3 + 1 << 20)
    }

    @Test func abandonedFileIsContinued() throws {
        do {
            let file = try GrowingFile(path: path("a"))
            try file.append("one two".utf8)
            try file.synchronize()
        }
        let file = try GrowingFile(path: path("a"))
        #expect(file.count == 7)
        #expect(try file.read(3, at: 4) == Array("two".utf8))
        try file.truncate(to: 4)
        #expect(file.count == 4)
        try file.append("three".utf8)
        try file.finish()
        #expect(try content("a") == "one three")
    }

    @Test func readsSeeAppendedBytes() throws {
        let file = try GrowingFile(path: path("a"))
        try file.append("0123456789".utf8)
        for (count, offset, expected) in [
            (4, 0, "0123"), (4, 8, "89"), (4, 10, ""), (0, 3, ""), (100, 0, "0123456789"),
        ] {
            let found = String(decoding: try file.read(count, at: offset), as: UTF8.self)
            #expect(found == expected, "\(count) bytes at \(offset)")
        }
        #expect(try file.status().size == 10)
    }

    @Test func overwritingDoesNotMoveTheEnd() throws {
        let file = try GrowingFile(path: path("a"))
        try file.append("0123456789".utf8)
        try file.overwrite(Array("AB".utf8))
        try file.overwrite(Array("XYZ".utf8), at: 7)
        try file.append("!".utf8)
        try file.finish()
        #expect(try content("a") == "AB23456XYZ!")
    }

    @Test func completeFileGetsItsNameAtOnce() throws {
        let file = try GrowingFile(path: path("a"), isAlwaysWhole: true)
        try file.append("x".utf8)
        try file.synchronize()
        #expect(try names == ["a"])
        #expect(try content("a") == "x")
    }

    @Test func finishedFileKeepsPermissionsOfReplacedFile() throws {
        try folder.write("a", "old".utf8)
        try files.setAttributes([.posixPermissions: 0o640], ofItemAtPath: folder.path + "/a")
        let file = try GrowingFile(path: path("a"))
        try file.append("new".utf8)
        #expect(try content("a") == "old")
        try file.finish()
        #expect(try content("a") == "new")
        let mode = try files.attributesOfItem(atPath: folder.path + "/a")[.posixPermissions]
        #expect(mode as? Int == 0o640)
    }

    @Test func secondWriterIsRefused() throws {
        let first = try GrowingFile(path: path("a"))
        #expect(isBeingWritten(path("a.partial")))
        let error = #expect(throws: FileError.self) { try GrowingFile(path: path("a")) }
        #expect(error?.isBusy == true, "\(error.debugDescription)")
        try first.append("x".utf8)
        try first.finish()
        #expect(try content("a") == "x")
    }

    @Test func lockEndsWithItsFile() throws {
        do {
            let file = try GrowingFile(path: path("a"))
            try file.append("x".utf8)
            try file.flush()
        }
        #expect(!isBeingWritten(path("a.partial")))
        #expect(!isBeingWritten(path("missing")))
        #expect(try GrowingFile(path: path("a")).count == 1)
    }

    @Test func missingFolderThrows() throws {
        let error = #expect(throws: FileError.self) { try GrowingFile(path: path("no/a")) }
        #expect(error?.isMissing == true, "\(error.debugDescription)")
    }

    /// A partial file that is a link, a folder or a pipe, and the same in place of the complete
    /// file.
    @Test(arguments: ["a", "a.partial"]) func nonRegularFilesInItsPlaceAreRejected(_ name: String)
        throws
    {
        let victim = try folder.write("victim", "precious".utf8)
        try files.createSymbolicLink(
            atPath: "\(folder.path)/\(name)", withDestinationPath: "victim")
        #expect(throws: FileError.self, "a link") { try GrowingFile(path: path("a")) }
        try files.removeItem(atPath: "\(folder.path)/\(name)")
        try files.createDirectory(
            atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
        #expect(throws: FileError.self, "a folder") { try GrowingFile(path: path("a")) }
        try files.removeItem(atPath: "\(folder.path)/\(name)")
        #expect(mkfifo("\(folder.path)/\(name)", 0o600) == 0)
        #expect(throws: FileError.self, "a pipe") { try GrowingFile(path: path("a")) }
        #expect(try bytes(ofFile: victim) == Array("precious".utf8))
    }
}
