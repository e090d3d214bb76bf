import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests the events of watched folders.
@Suite(.enabled(if: FolderWatch.isSupported)) struct FolderWatchTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private let watch: FolderWatch

    init() throws {
        folder = try TemporaryFolder()
        watch = try FolderWatch()
        watch.add(FilePath(folder.path))
    }

    private func path(_ name: String) -> FilePath { FilePath("\(folder.path)/\(name)") }

    /// The events that are waiting.
    private func events() throws -> [FolderEvent] {
        var found: [FolderEvent] = []
        while true {
            let next = try watch.events(until: .now + .milliseconds(50))
            if next.isEmpty { return found }
            found += next
        }
    }

    @Test func writtenFileIsCreatedWrittenAndClosed() throws {
        let file = FileHandle(forWritingAtPath: try folder.write("a", []))
        #expect(
            try events() == [.init(.created, path("a")), .init(.closed, path("a"))])
        try file?.write(contentsOf: Data([1]))
        #expect(try events() == [.init(.written, path("a"))])
        try file?.close()
        #expect(try events() == [.init(.closed, path("a"))])
    }

    @Test func movedAndRemovedFilesAreReported() throws {
        try folder.write("a", [1])
        _ = try events()
        try files.moveItem(atPath: "\(folder.path)/a", toPath: "\(folder.path)/b")
        #expect(try events() == [.init(.gone, path("a")), .init(.arrived, path("b"))])
        try files.removeItem(atPath: "\(folder.path)/b")
        #expect(try events() == [.init(.gone, path("b"))])
    }

    @Test func changedAttributesAndReadingAreNoEvents() throws {
        let file = try folder.write("a", [1])
        _ = try events()
        try files.setAttributes([.posixPermissions: 0o600], ofItemAtPath: file)
        _ = try bytes(ofFile: file)
        #expect(try events() == [])
    }

    @Test func foldersAreWatchedOnceTheyAreAdded() throws {
        try files.createDirectory(atPath: "\(folder.path)/c", withIntermediateDirectories: false)
        #expect(try events() == [.init(.created, path("c"), isFolder: true)])
        try folder.write("c/a", [])
        #expect(try events() == [])
        watch.add(path("c"))
        watch.add(path("missing"))
        #expect(watch.count == 2)
        #expect(watch.contains(path("c")))
        #expect(!watch.isLimitReached)
        try folder.write("c/b", [])
        #expect(try events().map(\.path) == [path("c/b"), path("c/b")])
    }

    @Test func removedFolderIsForgotten() throws {
        try folder.touch("c/a")
        watch.add(path("c"))
        _ = try events()
        try files.removeItem(atPath: "\(folder.path)/c")
        let last = try events().last
        #expect(last == .init(.gone, path("c"), isFolder: true))
        #expect(watch.count == 1)
        #expect(!watch.contains(path("c")))
    }

    @Test func movedFolderGetsItsNewPathWhenItIsAddedAgain() throws {
        try folder.touch("c/a")
        watch.add(path("c"))
        try files.moveItem(atPath: "\(folder.path)/c", toPath: "\(folder.path)/d")
        watch.add(path("d"))
        _ = try events()
        #expect(watch.count == 2)
        #expect(!watch.contains(path("c")))
        try folder.write("d/b", [])
        #expect(try events().first == .init(.created, path("d/b")))
    }

    @Test func foldersThatAreNotAddedAgainAreRemoved() throws {
        try folder.touch("c/a")
        watch.add(path("c"))
        watch.begin()
        watch.add(FilePath(folder.path))
        watch.removeOthers()
        #expect(watch.count == 1)
        _ = try events()
        try folder.write("c/b", [])
        #expect(try events() == [])
        try folder.write("b", [])
        #expect(try events().first == .init(.created, path("b")))
    }
}
