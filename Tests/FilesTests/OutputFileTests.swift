import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests files that are written completely or not at all, and what may be in their place.
@Suite struct OutputFileTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    private func path(_ name: String) -> String { "\(folder.path)/\(name)" }

    private func write(_ text: String, to name: String) throws {
        try writeFile(Array(text.utf8), to: Array(path(name).utf8))
    }

    private func mode(_ name: String) throws -> Int? {
        try files.attributesOfItem(atPath: path(name))[.posixPermissions] as? Int
    }

    @Test func replacedFileKeepsItsPermissions() throws {
        try write("one", to: "a")
        try files.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path("a"))
        try write("two", to: "a")
        #expect(try bytes(ofFile: path("a")) == Array("two".utf8))
        #expect(try mode("a") == 0o640)
        #expect(try files.contentsOfDirectory(atPath: folder.path) == ["a"])
    }

    @Test func newFileHasUmaskPermissions() throws {
        let mask = umask(0)
        umask(mask)
        try write("one", to: "a")
        #expect(try mode("a") == 0o666 & ~Int(mask))
    }

    @Test func writingFollowsAndKeepsLinks() throws {
        try write("old", to: "target")
        try files.createSymbolicLink(atPath: path("link"), withDestinationPath: "target")
        try files.createSymbolicLink(atPath: path("to-link"), withDestinationPath: path("link"))
        try write("new", to: "to-link")
        #expect(try bytes(ofFile: path("target")) == Array("new".utf8))
        #expect(try files.destinationOfSymbolicLink(atPath: path("link")) == "target")
        try files.createSymbolicLink(atPath: path("dangling"), withDestinationPath: "made")
        try write("x", to: "dangling")
        #expect(try bytes(ofFile: path("made")) == Array("x".utf8))
        try files.createSymbolicLink(atPath: path("circle"), withDestinationPath: "circle")
        #expect(throws: FileError.self) { try write("x", to: "circle") }
    }

    @Test func foldersAreRefused() throws {
        try files.createDirectory(atPath: path("sub"), withIntermediateDirectories: true)
        let error = #expect(throws: FileError.self) { try write("x", to: "sub") }
        #expect(error?.reason == "it is a directory")
    }

    @Test func pipeIsWrittenNotReplaced() throws {
        #expect(mkfifo(path("pipe"), 0o600) == 0)
        // A pipe that is opened for reading and writing does not block.
        let descriptor = open(path("pipe"), O_RDWR)
        #expect(descriptor >= 0)
        defer { close(descriptor) }
        try write("through", to: "pipe")
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(read(descriptor, &buffer, 16) == 7)
        #expect(Array(buffer.prefix(7)) == Array("through".utf8))
        let type = try files.attributesOfItem(atPath: path("pipe"))[.type] as? FileAttributeType
        #expect(type != .typeRegular)
        #expect(try files.contentsOfDirectory(atPath: folder.path) == ["pipe"])
    }

    /// The file of an open descriptor is not replaced by another file.
    @Test func openDescriptorIsWrittenNotReplaced() throws {
        try write("old ", to: "log")
        let descriptor = open(path("log"), O_WRONLY)
        #expect(descriptor >= 0)
        defer { close(descriptor) }
        let inode = try FileStatus(path: Array(path("log").utf8)).inode
        try writeFile(Array("new ".utf8), to: Array("/dev/fd/\(descriptor)".utf8))
        try files.createSymbolicLink(
            atPath: path("link"), withDestinationPath: "/dev/fd/\(descriptor)")
        try write("newest", to: "link")
        #expect(try bytes(ofFile: path("log")) == Array("old new newest".utf8))
        #expect(try FileStatus(path: Array(path("log").utf8)).inode == inode)

        var ends: [Int32] = [0, 0]
        #expect(pipe(&ends) == 0)
        defer { ends.forEach { close($0) } }
        try writeFile(Array("through".utf8), to: Array("/dev/fd/\(ends[1])".utf8))
        var buffer = [UInt8](repeating: 0, count: 16)
        #expect(read(ends[0], &buffer, 16) == 7)
        #expect(Array(buffer.prefix(7)) == Array("through".utf8))

        for name in ["log", "missing"] {
            #expect(!isWrittenThrough(Array(path(name).utf8)), "\(name)")
        }
        #expect(!isWrittenThrough(Array(folder.path.utf8)))
        #expect(isWrittenThrough(Array("/dev/null".utf8)))
        #expect(try Set(files.contentsOfDirectory(atPath: folder.path)) == ["link", "log"])
    }

    @Test func unfinishedFileLeavesNothing() throws {
        try write("old", to: "a")
        do {
            let file = try OutputFile(path: path("a"))
            try file.write(Array("new".utf8))
        }
        #expect(try bytes(ofFile: path("a")) == Array("old".utf8))
        #expect(try files.contentsOfDirectory(atPath: folder.path) == ["a"])
    }

    @Test func lackOfMemoryThrows() throws {
        try checkMemory(1 << 21)
        let error = #expect(throws: FileError.self) { try checkMemory(.max / 2) }
        #expect(error?.code == ENOMEM, "\(String(describing: error))")
    }

    @Test func growingFileRequiresARegularFile() throws {
        let victim = try folder.write("victim", Array("precious".utf8))
        try files.createSymbolicLink(atPath: path("a.partial"), withDestinationPath: victim)
        #expect(throws: FileError.self) { try GrowingFile(path: Array(path("a").utf8)) }
        #expect(mkfifo(path("b.partial"), 0o600) == 0)
        #expect(throws: FileError.self) { try GrowingFile(path: Array(path("b").utf8)) }
        try files.createSymbolicLink(atPath: path("c"), withDestinationPath: victim)
        #expect(throws: FileError.self) { try GrowingFile(path: Array(path("c").utf8)) }
        #expect(try bytes(ofFile: victim) == Array("precious".utf8))
    }
}
