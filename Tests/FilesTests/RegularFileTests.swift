import Foundation
import TestSupport
import Testing

@testable import Files

/// Locks, links, lines, and files that replace whatever has their name.
@Suite struct RegularFileTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    private func path(_ name: String) -> [UInt8] { Array("\(folder.path)/\(name)".utf8) }

    private func content(_ name: String) throws -> String {
        String(decoding: try bytes(ofFile: "\(folder.path)/\(name)"), as: UTF8.self)
    }

    @Test func lockHasOneHolder() throws {
        let second = try FileLock(path: path("lock"))
        do {
            let first = try FileLock(path: path("lock"))
            #expect(try first.acquire())
            #expect(try !second.acquire())
            withExtendedLifetime(first) {}
        }
        #expect(try second.acquire())
    }

    @Test func onlyRegularFilesAreOpenedForWriting() throws {
        let victim = try folder.write("victim", [1, 2, 3])
        try files.createSymbolicLink(
            atPath: "\(folder.path)/link", withDestinationPath: victim)
        try files.createDirectory(
            atPath: "\(folder.path)/folder", withIntermediateDirectories: false)
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        let kinds = [
            ("link", "a symbolic link"), ("folder", "a directory"), ("pipe", "a named pipe"),
        ]
        for (name, kind) in kinds {
            let error = #expect(throws: FileError.self) { try FileLock(path: path(name)) }
            #expect(
                error?.reason == "it is \(kind), not a regular file; remove it and try again")
        }
        #expect(try bytes(ofFile: victim) == [1, 2, 3])
    }

    @Test func filesReplaceLinksAndPipes() throws {
        let victim = try folder.write("victim", [1, 2, 3])
        try files.createSymbolicLink(atPath: "\(folder.path)/a", withDestinationPath: victim)
        #expect(mkfifo("\(folder.path)/b", 0o600) == 0)
        for name in ["a", "b"] {
            try writeFile(Array("new".utf8), to: path(name), replacingAnything: true)
            #expect(try content(name) == "new")
            #expect(try FileStatus(path: path(name), followingLinks: false).isRegular)
        }
        #expect(try bytes(ofFile: victim) == [1, 2, 3])
        #expect(
            try files.contentsOfDirectory(atPath: folder.path).sorted() == ["a", "b", "victim"])
    }

    @Test func linksAreReplaced() throws {
        try makeLink(path("link"), to: Array("one".utf8))
        try makeLink(path("link"), to: Array("two".utf8))
        #expect(try linkTarget(path("link")) == Array("two".utf8))
        #expect(try files.contentsOfDirectory(atPath: folder.path) == ["link"])
    }

    @Test func oneFolderIsMadeUnlessAFileHasItsName() throws {
        try makeOneFolder(path("folder"))
        try makeOneFolder(path("folder"))
        #expect(try FileStatus(path: path("folder")).isFolder)
        _ = try folder.write("file", [])
        #expect(throws: FileError.self) { try makeOneFolder(path("file")) }
        #expect(throws: FileError.self) { try makeOneFolder(path("missing/folder")) }
    }

    @Test func linesReplaceTheOldContent() throws {
        _ = try folder.write("log", Array("something longer than the lines".utf8))
        let file = try LineFile(path: path("log"))
        try file.append(Array("one".utf8))
        try file.append([])
        try file.flush()
        #expect(try content("log") == "one\n\n")
    }

    @Test func environmentIsThatOfTheProcess() {
        let path = ProcessInfo.processInfo.environment["PATH"]
        #expect(path != nil && environmentVariables()["PATH"] == path)
    }

    @Test func currentFolderIsThatOfTheProcess() {
        #expect(
            currentFolder().map { String(decoding: $0, as: UTF8.self) }
                == files.currentDirectoryPath)
    }
}
