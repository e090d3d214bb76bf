import CLIPAnalysis
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Files

/// Tests that nothing is removed without proof, and that the log is true.
@Suite struct DuplicateRemovalTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private var photos: String { folder.path + "/photos" }
    private var log: FilePath { FilePath(folder.path + "/log.jsonl") }

    init() throws {
        folder = try TemporaryFolder()
        for name in ["photos/sub", "outside"] {
            try files.createDirectory(
                atPath: "\(folder.path)/\(name)", withIntermediateDirectories: true)
        }
        try folder.write("photos/kept.png", "the same".utf8)
        try folder.write("photos/copy.png", "the same".utf8)
        try folder.write("photos/sub/copy.png", "the same".utf8)
    }

    /// A file as an index lists it.
    private func image(_ name: String) throws -> IndexedImage {
        let path = FilePath("\(photos)/\(name)")
        let status = try FileStatus(path: path.bytes)
        return IndexedImage(
            file: path, width: 1, height: 1, size: status.size, modified: status.modified,
            digest: sha256(try bytes(ofFile: path.description)))
    }

    private func removal(_ action: DuplicateRemoval.Action) throws -> DuplicateRemoval {
        try DuplicateRemoval(folder: FilePath(photos), action: action) {
            () throws(RemovalError) in try RemovalLog(path: log)
        }
    }

    private func exists(_ name: String) -> Bool {
        files.fileExists(atPath: "\(folder.path)/\(name)")
    }

    /// Expects that an image is kept, for a reason.
    private func expectStays(
        _ image: IndexedImage, keeping other: IndexedImage, says: String,
        _ action: DuplicateRemoval.Action = .delete,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let removal = try removal(action)
        do {
            try removal.remove(image, keeping: other)
            Issue.record("\(image.path) was removed", sourceLocation: sourceLocation)
        } catch {
            #expect("\(error)".contains(says), "\(error)", sourceLocation: sourceLocation)
        }
        #expect(
            (try? FileStatus(path: image.file.bytes)) != nil, sourceLocation: sourceLocation)
    }

    @Test func duplicatesAreDeletedAndLogged() throws {
        let (copy, kept) = (try image("copy.png"), try image("kept.png"))
        try removal(.delete).remove(copy, keeping: kept)
        #expect(!exists("photos/copy.png"))
        #expect(exists("photos/kept.png"))
        let entries = try RemovalLog.entries(of: log)
        #expect(entries.map(\.step) == [.intent, .done])
        #expect(entries.allSatisfy { $0.digest == copy.digest && $0.to == nil && $0.size == 8 })
        #expect(entries.first?.from.lastComponent == Array("copy.png".utf8)[...])
        #expect(entries.first?.kept.lastComponent == Array("kept.png".utf8)[...])
    }

    /// Size and time are equal, the content differs.
    @Test(arguments: ["copy.png", "kept.png"])
    func changedFilesAreKept(_ changed: String) throws {
        let (copy, kept) = (try image("copy.png"), try image("kept.png"))
        let path = "\(photos)/\(changed)"
        let date = try #require(files.attributesOfItem(atPath: path)[.modificationDate] as? Date)
        try folder.write("photos/\(changed)", "THE SAME".utf8)
        try files.setAttributes([.modificationDate: date], ofItemAtPath: path)
        try expectStays(copy, keeping: kept, says: "has changed since it was indexed")
        #expect(try RemovalLog.entries(of: log).isEmpty)
    }

    @Test func nothingIsRemovedWithoutAKeptCopy() throws {
        let (copy, kept) = (try image("copy.png"), try image("kept.png"))
        try files.removeItem(atPath: photos + "/kept.png")
        try expectStays(copy, keeping: kept, says: "kept.png, which is kept, cannot be relied on")
    }

    /// Paths that a foreign index may have.
    @Test(arguments: ["../outside/thesis.tex", "sub/../../outside/thesis.tex", "", "sub//copy.png"])
    func pathsOutsideTheFolderAreRejected(_ path: String) throws {
        try folder.write("outside/thesis.tex", "the same".utf8)
        let kept = try image("kept.png")
        let planted = IndexedImage(
            file: FilePath("\(photos)/\(path)"), width: 1, height: 1, size: 8, modified: 0,
            digest: kept.digest)
        try expectStays(
            planted, keeping: kept, says: "expected a relative path inside the folder")
        let absolute = IndexedImage(
            file: FilePath(folder.path + "/outside/thesis.tex"), width: 1, height: 1, size: 8,
            modified: 0, digest: kept.digest)
        try expectStays(absolute, keeping: kept, says: "leads out of the folder")
        #expect(exists("outside/thesis.tex"))
    }

    @Test func linksAreNotFollowed() throws {
        try folder.write("outside/z.png", "the same".utf8)
        try files.createSymbolicLink(
            atPath: photos + "/link", withDestinationPath: folder.path + "/outside")
        try files.createSymbolicLink(
            atPath: photos + "/link.png", withDestinationPath: folder.path + "/outside/z.png")
        let kept = try image("kept.png")
        try expectStays(
            try image("link/z.png"), keeping: kept, says: "link is a symbolic link")
        try expectStays(
            try image("link.png"), keeping: kept, says: "link.png is a symbolic link")
        try expectStays(
            try image("copy.png"), keeping: try image("link/z.png"),
            says: "cannot be relied on")
        #expect(exists("outside/z.png"))
    }

    @Test func hardLinksAreNoDuplicates() throws {
        try files.linkItem(atPath: photos + "/kept.png", toPath: photos + "/hard.png")
        try expectStays(
            try image("hard.png"), keeping: try image("kept.png"), says: "the same file as")
    }

    @Test func duplicatesAreMovedAndMovedBack() throws {
        let kept = try image("kept.png")
        let away = FilePath(folder.path + "/away")
        let removal = try removal(.move(to: away))
        try removal.remove(try image("copy.png"), keeping: kept)
        try removal.remove(try image("sub/copy.png"), keeping: kept)
        #expect(exists("away/copy.png"))
        #expect(exists("away/sub/copy.png"))
        #expect(!exists("photos/copy.png"))
        #expect(!exists("photos/sub/copy.png"))
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.restored.count == 2)
        #expect(undone.failures.isEmpty)
        #expect(undone.deleted.isEmpty)
        #expect(exists("photos/copy.png"))
        #expect(exists("photos/sub/copy.png"))
        #expect(!exists("away/copy.png"))
        #expect(!exists("away/sub/copy.png"))
        let again = try RemovalUndo(log: log).run()
        #expect(again.restored.isEmpty)
        #expect(again.unchanged == 2)
        #expect(again.failures.isEmpty)
    }

    /// Only a target inside the indexed folder is marked; links in its path are resolved.
    @Test func targetsInsideTheFolderAreMarked() throws {
        try files.createSymbolicLink(
            atPath: folder.path + "/link", withDestinationPath: photos + "/sub")
        for (target, isMarked) in [
            ("away", false), ("photos", false), ("photos-too", false), ("photos/sub/new", true),
            ("link", true),
        ] {
            _ = try removal(.move(to: FilePath("\(folder.path)/\(target)")))
            #expect(exists("\(target)/.clip-ignore") == isMarked, "\(target)")
        }
        // A second run does not change the file.
        try folder.write("photos/sub/.clip-ignore", "mine".utf8)
        _ = try removal(.move(to: FilePath(photos + "/sub")))
        #expect(try bytes(ofFile: photos + "/sub/.clip-ignore") == Array("mine".utf8))
    }

    @Test func markedFoldersAreSkipped() throws {
        try folder.write("photos/sub/.clip-ignore", "".utf8)
        let whole = Array(FolderWalk(FilePath(photos)))
        #expect(
            whole == ["copy.png", "kept.png"].map { .file(FilePath("\(photos)/\($0)")) },
            "\(whole)")
        // The folder that the caller names is walked.
        let sub = Array(FolderWalk(FilePath(photos + "/sub")))
        #expect(sub == [.file(FilePath(photos + "/sub/copy.png"))], "\(sub)")
    }

    @Test func nothingIsOverwritten() throws {
        try files.createDirectory(
            atPath: folder.path + "/away", withIntermediateDirectories: false)
        try folder.write("away/copy.png", "precious".utf8)
        let (copy, kept) = (try image("copy.png"), try image("kept.png"))
        let away = FilePath(folder.path + "/away")
        try expectStays(copy, keeping: kept, says: "is there already", .move(to: away))
        #expect(try bytes(ofFile: folder.path + "/away/copy.png") == Array("precious".utf8))
        // Nothing is overwritten on undo either.
        try files.removeItem(atPath: folder.path + "/away/copy.png")
        try removal(.move(to: away)).remove(copy, keeping: kept)
        try folder.write("photos/copy.png", "precious".utf8)
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.restored.isEmpty)
        #expect(undone.failures.count == 1)
        #expect(
            "\(undone.failures)".contains("another file has the original path now"),
            "\(undone.failures)")
        #expect(try bytes(ofFile: photos + "/copy.png") == Array("precious".utf8))
        #expect(exists("away/copy.png"))
    }

    @Test func linksInTheTargetAreNotFollowed() throws {
        try files.createDirectory(
            atPath: folder.path + "/away", withIntermediateDirectories: false)
        try files.createSymbolicLink(
            atPath: folder.path + "/away/sub", withDestinationPath: folder.path + "/outside")
        try expectStays(
            try image("sub/copy.png"), keeping: try image("kept.png"),
            says: "sub is a symbolic link", .move(to: FilePath(folder.path + "/away")))
        #expect(!exists("outside/copy.png"))
    }

    /// A move to another disk copies the file.
    @Test func copiesKeepTimesAndPermissions() throws {
        let name = Array("copy.png".utf8)
        let path = photos + "/copy.png"
        let date = Date(timeIntervalSince1970: 1_234_567_890)
        try files.setAttributes(
            [.posixPermissions: 0o640, .modificationDate: date], ofItemAtPath: path)
        let file = try OpenFolder(path: Array(photos.utf8)).file([name])
        let outside = try OpenFolder(path: Array((folder.path + "/outside").utf8))
        let contents = try file.contents(limit: 100)
        try file.copy(to: outside, name, contents: contents)
        let copy = folder.path + "/outside/copy.png"
        #expect(try bytes(ofFile: copy) == contents)
        let attributes = try files.attributesOfItem(atPath: copy)
        #expect(attributes[.posixPermissions] as? Int == 0o640)
        #expect(attributes[.modificationDate] as? Date == date)
        #expect(throws: FileError.self) { try file.copy(to: outside, name, contents: contents) }
        #expect(try files.contentsOfDirectory(atPath: folder.path + "/outside") == ["copy.png"])
    }

    @Test func namesOfAnyBytesSurviveTheLog() throws {
        let name = Array("\"from\":,\"kept\":\n\\".utf8) + [0xFF, 0x1B]
        let path = FilePath("/a").appending(name)
        let entry = RemovalLog.Entry(
            step: .failed, folder: "/a", target: "/b", from: path,
            to: FilePath("/b").appending(name), digest: [UInt8](repeating: 0xAB, count: 32),
            size: 7, kept: "/a/k", reason: "a \"reason\"")
        try RemovalLog(path: log).append(entry)
        #expect(try RemovalLog.entries(of: log) == [entry])
    }

    /// The process ends between two lines, or within one.
    @Test func interruptedMovesAreResolvedFromTheDisk() throws {
        let kept = try image("kept.png")
        let away = FilePath(folder.path + "/away")
        let removal = try removal(.move(to: away))
        try removal.remove(try image("copy.png"), keeping: kept)
        try removal.remove(try image("sub/copy.png"), keeping: kept)
        let lines = try bytes(ofFile: log.description).split(separator: 10).map(Array.init)
        #expect(lines.count == 4)
        // The second action was logged and done, but its last line is truncated.
        let cut = lines[..<3].flatMap { $0 + [10] } + lines[3].prefix(20)
        try folder.write("log.jsonl", cut)
        #expect(try RemovalLog.entries(of: log).map(\.step) == [.intent, .done, .intent])
        // In the first action, the process ended when the file had both names.
        try folder.write("log.jsonl", lines[0] + [10] + lines[2] + [10] + lines[3].prefix(20))
        try files.linkItem(
            atPath: folder.path + "/away/copy.png", toPath: photos + "/copy.png")
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.restored.count == 2, "\(undone)")
        #expect(undone.failures.isEmpty, "\(undone)")
        #expect(exists("photos/copy.png"))
        #expect(exists("photos/sub/copy.png"))
        #expect(!exists("away/copy.png"))
        #expect(!exists("away/sub/copy.png"))
        let again = try RemovalUndo(log: log).run()
        #expect(again.unchanged == 2, "\(again)")
        #expect(again.restored.isEmpty, "\(again)")
    }

    @Test func unstartedMovesAreIgnored() throws {
        let kept = try image("kept.png")
        try removal(.move(to: FilePath(folder.path + "/away"))).remove(
            try image("copy.png"), keeping: kept)
        let first = try #require(bytes(ofFile: log.description).split(separator: 10).first)
        try folder.write("log.jsonl", first + [10])
        try files.moveItem(
            atPath: folder.path + "/away/copy.png", toPath: photos + "/copy.png")
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.unchanged == 1)
        #expect(undone.restored.isEmpty)
        #expect(undone.failures.isEmpty)
    }

    @Test func deletedFilesAreListedWithTheirDuplicate() throws {
        try removal(.delete).remove(try image("copy.png"), keeping: try image("kept.png"))
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.deleted.count == 1)
        #expect(undone.restored.isEmpty)
        #expect(undone.deleted.first?.path.lastComponent == Array("copy.png".utf8)[...])
        #expect(undone.deleted.first?.kept.lastComponent == Array("kept.png".utf8)[...])
    }

    @Test func movedAndChangedFilesAreKept() throws {
        try removal(.move(to: FilePath(folder.path + "/away"))).remove(
            try image("copy.png"), keeping: try image("kept.png"))
        try folder.write("away/copy.png", "edited".utf8)
        let undone = try RemovalUndo(log: log).run()
        #expect("\(undone.failures)".contains("has changed since it was moved"))
        #expect(exists("away/copy.png"))
        #expect(!exists("photos/copy.png"))
    }

    @Test func otherFilesAreNotTakenForLogs() throws {
        for text in ["x\n", "{\"step\":\"done\"}\n", "[1]\n"] {
            try folder.write("log.jsonl", text.utf8)
            #expect(throws: RemovalError.self) { try RemovalUndo(log: log).run() }
        }
        try files.createSymbolicLink(
            atPath: folder.path + "/link.jsonl", withDestinationPath: log.description)
        #expect(throws: RemovalError.self) {
            try RemovalLog(path: FilePath(folder.path + "/link.jsonl"))
        }
    }

    /// The process may end at any byte of an entry; the next line is appended after it.
    @Test(arguments: [nil, "a \"reason\"\n"])
    func truncatedEntriesAreSkipped(_ reason: String?) throws {
        let entry = RemovalLog.Entry(
            step: .done, folder: "/a", target: reason.map { _ in "/b" }, from: "/a/\"{\\}\n",
            to: reason.map { _ in "/b/x" }, digest: [UInt8](repeating: 0xAB, count: 32),
            size: 1234, kept: "/a/k", reason: reason)
        try RemovalLog(path: log).append(entry)
        let line = try bytes(ofFile: log.description)
        for end in 1..<line.count - 1 {
            try folder.write("log.jsonl", line + line[..<end] + [10] + line + line[..<end])
            let found = try RemovalLog.entries(of: log)
            #expect(found == [entry, entry], "cut off at byte \(end) of \(line.count)")
            try folder.write("log.jsonl", line[..<end])
            #expect(throws: Never.self, "\(end)") { try RemovalLog.check(log) }
        }
    }

    @Test(arguments: ["x", "{\"step\":\"done\"}", "{\"step\":\"done\",\"from\":7", "[1]", "\0\0"])
    func damagedLinesAreReported(_ damage: String) throws {
        let removal = try removal(.move(to: FilePath(folder.path + "/away")))
        for name in ["copy.png", "sub/copy.png"] {
            try removal.remove(try image(name), keeping: try image("kept.png"))
        }
        let lines = try bytes(ofFile: log.description).split(separator: 10).map { $0 + [10] }
        // Both lines of the first file are missing.
        let damaged = Array(damage.utf8) + [10]
        try folder.write("log.jsonl", damaged + damaged + lines[2] + lines[3])
        let undone = try RemovalUndo(log: log).run()
        #expect(undone.damagedLines == [1, 2], "\(undone)")
        #expect(undone.restored.count == 1, "\(undone)")
        #expect(exists("photos/sub/copy.png"), "\(undone)")
        #expect(exists("away/copy.png"))
        let error = #expect(throws: RemovalError.self) { try RemovalLog.entries(of: log) }
        #expect(
            "\(try #require(error))".contains(
                "line 1 is not an entry of a log of removed duplicates"))
    }

    @Test func otherFilesAreNotAppendedTo() throws {
        for content in [Array("{\"a\":1}\n".utf8), SmallPNG.bytes(1)] {
            try folder.write("other", content)
            let path = FilePath(folder.path + "/other")
            let error = #expect(throws: RemovalError.self) { try RemovalLog(path: path) }
            #expect("\(try #require(error))".contains("it is not a log of removed duplicates"))
            #expect(try bytes(ofFile: path.description) == content)
        }
        // An empty file, and a log.
        try folder.write("log.jsonl", "".utf8)
        for name in ["copy.png", "sub/copy.png"] {
            try removal(.delete).remove(try image(name), keeping: try image("kept.png"))
        }
        #expect(try RemovalLog.entries(of: log).count == 4)
    }

    @Test func emptyLogsAreRemoved() throws {
        do {
            let log = try RemovalLog(in: FilePath(photos))
            #expect((try? FileStatus(path: log.path.bytes)) != nil)
        }
        #expect(try !files.contentsOfDirectory(atPath: photos).contains { $0.hasSuffix("jsonl") })
    }
}
