import Foundation
import TestSupport
import Testing

@testable import Files

/// Tests renaming and removing files of an open folder that others may change meanwhile.
@Suite struct OpenFolderTests {
    private let folder: TemporaryFolder
    private let open: OpenFolder
    private let files = FileManager.default
    private let a = Array("a".utf8)
    private let b = Array("b".utf8)
    private let c = Array("c".utf8)

    init() throws {
        folder = try TemporaryFolder()
        try folder.write("a", "one".utf8)
        try folder.write("b", "other".utf8)
        open = try OpenFolder(path: Array(folder.path.utf8))
    }

    /// The content of each file in the folder by its name.
    private func contents() throws -> [String: String] {
        var found: [String: String] = [:]
        for name in try files.contentsOfDirectory(atPath: folder.path) {
            found[name] = String(
                decoding: try bytes(ofFile: "\(folder.path)/\(name)"), as: UTF8.self)
        }
        return found
    }

    @Test func filesAreRenamedToFreeNames() throws {
        let file = try #require(open.status(of: a))
        #expect(throws: OpenFolder.isTaken) { try open.rename(a, file, to: open, b) }
        #expect(try contents() == ["a": "one", "b": "other"])
        #expect(try open.rename(a, file, to: open, c))
        #expect(try contents() == ["c": "one", "b": "other"])
    }

    /// As if an editor had replaced the checked file.
    @Test func replacedFileIsNotRenamedOrRemoved() throws {
        let other = try #require(open.status(of: b))
        #expect(throws: FileError.self) { try open.rename(a, other, to: open, c) }
        #expect(try contents() == ["a": "one", "b": "other"])
        #expect(throws: FileError.self) { try open.remove(a, other) }
        #expect(try contents() == ["a": "one", "b": "other"])
        let before = try #require(open.status(of: a))
        try folder.write("a", "longer".utf8)
        #expect(throws: FileError.self) { try open.remove(a, before) }
        #expect(try contents() == ["a": "longer", "b": "other"])
    }

    @Test func removedFileIsGone() throws {
        try open.file([a]).remove()
        #expect(try contents() == ["b": "other"])
    }
}
