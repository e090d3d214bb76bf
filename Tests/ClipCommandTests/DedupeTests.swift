import Foundation
import TestSupport
import Testing

/// Tests `clip dedupe`: similar images are kept, duplicates are removed on request and can be moved
/// back.
@Suite struct DedupeTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private var photos: String { folder.path + "/photos" }

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
    }

    @discardableResult
    private func clip(_ arguments: String..., input: String = "") throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, input: input)
    }

    private func index() throws {
        let result = try clip("index", photos, "--model", "tiny", "-q")
        #expect(result.status == 0, "\(result.errors)")
    }

    /// Creates two different pages and two copies of the first: one of the same bytes, one of the
    /// same pixels in another file.
    private func makePages() throws {
        let page = Canvas.page(seed: 1)
        try folder.write("photos/a.png", page.png)
        try folder.write("photos/b.png", page.png)
        try folder.write(
            "photos/sub/c.png",
            pngFile(width: page.width, height: page.height, channels: 3, pixels: page.rgb))
        try folder.write("photos/other.png", Canvas.page(seed: 2).png)
        try index()
    }

    /// Deleting the target of a link as a duplicate of the link would leave nothing.
    @Test func linksAreNotDuplicates() throws {
        try makePages()
        for name in ["b.png", "sub/c.png"] {
            try files.removeItem(atPath: "\(photos)/\(name)")
        }
        try files.createSymbolicLink(
            atPath: "\(photos)/0.png", withDestinationPath: "a.png")
        try files.linkItem(atPath: "\(photos)/a.png", toPath: "\(photos)/sub/hard.png")
        try index()
        let result = try clip("dedupe", photos, "-0")
        #expect(result.status == 0, "\(result.text)")
        #expect(result.output.isEmpty, "\(result.text)")
        #expect(
            result.errors.contains("2 images are links (symbolic or hard) and not compared"),
            "\(result.errors)")
        // A copy is a duplicate of the file itself.
        try files.copyItem(atPath: "\(photos)/a.png", toPath: "\(photos)/z.png")
        try index()
        #expect(try clip("dedupe", photos, "--paths", "-q").text == "\(photos)/z.png\n")
        let deleted = try clip("dedupe", photos, "--delete", "--yes")
        #expect(deleted.status == 0, "\(deleted.errors)")
        #expect(!files.fileExists(atPath: "\(photos)/z.png"))
        let again = try clip("dedupe", photos, "--paths")
        #expect(again.status == 0, "\(again.text)")
        #expect(again.output.isEmpty, "\(again.text)")
        #expect(again.errors.contains("dedupe: no duplicates among"), "\(again.errors)")
        #expect(
            again.errors.contains("1 image is missing: run clip index \(photos)"), "\(again.errors)"
        )
    }

    private var names: Set<String> {
        get throws {
            Set(try files.subpathsOfDirectory(atPath: photos).filter { $0.hasSuffix("png") })
        }
    }

    private func members(_ result: ClipBinary.Result) throws -> [[String: Any]] {
        #expect(result.status == 0, "\(result.errors)")
        return try result.output.split(separator: 10).flatMap {
            try json(Data($0))["duplicates"] as? [[String: Any]] ?? []
        }
    }

    /// Black ink on transparent ground is black on black for CLIP: all cosines are 1.
    @Test func differentTransparentLogosAreKept() throws {
        let ground = Canvas(256, 256, [0, 0, 0, 0])
        var logos = [ground, ground, ground, ground]
        let ink: [UInt8] = [0, 0, 0, 255]
        logos[0].fill(ink) { x, y in (x - 128) * (x - 128) + (y - 128) * (y - 128) < 6400 }
        logos[1].fill(50, 50, 156, 156, ink)
        for x in stride(from: 50, to: 200, by: 40) { logos[2].fill(x, 50, 20, 156, ink) }
        logos[3].fill(ink) { x, y in abs(x - 128) + abs(y - 128) < 90 }
        for (number, logo) in logos.enumerated() {
            try folder.write("photos/\(number).png", logo.png)
        }
        try index()
        let found = try members(clip("dedupe", photos, "--json", "-q"))
        #expect(found.count == 3, "all of them are similar: \(found)")
        #expect(found.allSatisfy { $0["duplicate"] as? Bool == false }, "\(found)")
        #expect(found.allSatisfy { $0["identical"] as? Bool == false }, "\(found)")
        #expect(try clip("dedupe", photos, "--paths", "-q").output.isEmpty)
        let summary = try clip("dedupe", photos, "--paths").errors
        #expect(
            summary == "clip: dedupe: no duplicates among 4 images; 3 are similar and kept\n")
        let deleted = try clip("dedupe", photos, "--delete", "--yes")
        #expect(deleted.status == 0)
        #expect(deleted.errors.contains("3 similar images are kept"))
        #expect(try names.count == 4, "\(deleted.errors)")
    }

    @Test func textSaysDuplicateOrSimilar() throws {
        try makePages()
        let found = try clip("dedupe", photos, "--threshold", "0.5")
        let lines = found.text.split(separator: "\n").map { $0.split(separator: "\t") }
        #expect(lines.allSatisfy { $0.count == ($0[0] == "kept" ? 3 : 4) }, "\(found.text)")
        let duplicates = lines.filter { $0.last == "duplicate" }.map { $0[2] }
        #expect(duplicates.count == 2, "\(found.text)")
        #expect(lines.contains { $0.last == "similar" }, "\(found.text)")
        #expect(
            found.errors.contains("2 of 4 images are duplicates of 1 that is kept"),
            "\(found.errors)")
        let paths = try clip("dedupe", photos, "--threshold", "0.5", "--paths", "-q").text
        #expect(paths.split(separator: "\n") == duplicates, "\(paths)")
    }

    @Test func deletingNeedsConfirmation() throws {
        try makePages()
        expectFailure(
            try clip("dedupe", photos, "--delete", input: "y\n"), status: 2, says: "--yes")
        expectFailure(try clip("dedupe", photos, "--yes"), status: 2, says: "--delete")
        expectFailure(
            try clip("dedupe", photos, "--log", "x.jsonl"), status: 2, says: "--move-to")
        expectFailure(
            try clip("dedupe", photos, "--undo", "x.jsonl"), status: 2,
            says: "--undo cannot be combined")
        expectFailure(try clip("dedupe"), status: 2, says: "<vectors>")
        #expect(try names.count == 4)
        let terminal = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        func answer(_ text: String) throws -> String {
            try terminal.run(
                ["-qec", "'\(ClipBinary.built.path)' dedupe photos --delete", "/dev/null"],
                input: text + "\n", environment: ["SHELL": "/bin/sh"]
            ).text
        }
        let refused = try answer("n")
        #expect(refused.contains("delete 2 duplicates of 1 image ("), "\(refused)")
        #expect(refused.contains("[y/N]"), "\(refused)")
        #expect(refused.contains("nothing was deleted"), "\(refused)")
        #expect(try names.count == 4)
        let agreed = try answer("y")
        #expect(agreed.contains("2 deleted"), "\(agreed)")
        #expect(try names.count == 2)
    }

    @Test func undoMovesDuplicatesBack() throws {
        try makePages()
        let before = try names
        let moved = try clip("dedupe", photos, "--move-to", "away", "--log", "log.jsonl")
        #expect(moved.status == 0, "\(moved.errors)")
        #expect(moved.errors.contains("2 moved"), "\(moved.errors)")
        #expect(moved.errors.contains("the log is log.jsonl"), "\(moved.errors)")
        #expect(try names.count == 2)
        let undone = try clip("dedupe", "--undo", "log.jsonl")
        #expect(undone.status == 0, "\(undone.errors)")
        #expect(undone.errors.contains("2 put back"), "\(undone.errors)")
        #expect(try names == before)
        let again = try clip("dedupe", "--undo", "log.jsonl")
        #expect(
            again.status == 0,
            "\(again.errors)")
        #expect(
            again.errors.contains("0 put back, 2 already in place"),
            "\(again.errors)")
        // The index sees no change, and the log has its own name.
        let second = try clip("dedupe", photos, "--move-to", "away", "-q")
        #expect(second.status == 0, "\(second.errors)")
        #expect(second.errors.isEmpty, "\(second.errors)")
        let logs = try files.contentsOfDirectory(atPath: folder.path + "/away").filter {
            $0.hasPrefix("clip-dedupe-") && $0.hasSuffix(".jsonl")
        }
        #expect(logs.count == 1, "\(logs)")
    }

    @Test func deletedDuplicatesAreListed() throws {
        try makePages()
        let deleted = try clip(
            "dedupe", photos, "--delete", "--yes", "--log", folder.path + "/log.jsonl", "-q")
        #expect(deleted.status == 0, "\(deleted.errors)")
        #expect(deleted.errors.isEmpty, "\(deleted.errors)")
        let lines = String(
            decoding: try bytes(ofFile: folder.path + "/log.jsonl"), as: UTF8.self
        ).split(separator: "\n")
        #expect(lines.count == 4)
        for line in lines {
            let entry = try json(Data(line.utf8))
            #expect(entry["to"] is NSNull, "\(line)")
            #expect(entry["size"] is Int, "\(line)")
            #expect((entry["sha256"] as? String)?.count == 64, "\(line)")
            #expect((entry["kept"] as? String)?.hasSuffix("png") == true, "\(line)")
        }
        let undone = try clip("dedupe", "--undo", "log.jsonl")
        #expect(undone.status == 1, "\(undone.errors)")
        #expect(
            undone.errors.contains("it was deleted; the image it duplicates is"),
            "\(undone.errors)")
    }

    @Test func changedFilesAreKeptAndReportedOnOneLine() throws {
        try makePages()
        // One more byte after the image: different content, still an image.
        for name in ["b.png", "a.png"] {
            try folder.write("photos/\(name)", bytes(ofFile: "\(photos)/\(name)") + [0])
        }
        let result = try clip("dedupe", photos, "--delete", "--yes")
        #expect(result.status == 1)
        let errors = result.errors.split(separator: "\n").filter { $0.contains("error") }
        try #require(errors.count == 1, "\(result.errors)")
        #expect(errors[0].contains("clip index again"), "\(result.errors)")
        #expect(!result.errors.contains("cannot write"), "\(result.errors)")
        #expect(try names.count == 4)
    }

    /// Files that are copies by the digests of the index, one of which has become another image.
    @Test func replacedCopyIsNotADuplicate() throws {
        try makePages()
        let unique = Canvas.page(seed: 9).png
        try folder.write("photos/b.png", unique)
        let paths = try clip("dedupe", photos, "-0", "-q")
        #expect(paths.status == 0, "\(paths.errors)")
        let shown = paths.text.split(separator: "\0").map { String($0) }
        #expect(!shown.contains { $0.hasSuffix("b.png") }, "\(shown)")
        let found = try members(clip("dedupe", photos, "--json", "-q"))
        let b = found.filter { ($0["path"] as? String)?.hasSuffix("b.png") == true }
        try #require(b.count == 1, "\(found)")
        #expect(b[0]["duplicate"] as? Bool == false, "\(found)")
        #expect(b[0]["identical"] as? Bool == false, "\(found)")
        let text = try clip("dedupe", photos, "-q").text
        #expect(
            text.split(separator: "\n").contains {
                $0.hasSuffix("b.png\tsimilar, changed since it was indexed")
            }, "\(text)")
        let deleted = try clip("dedupe", photos, "--delete", "--yes")
        #expect(
            deleted.status == 1,
            "\(deleted.errors)")
        #expect(
            deleted.errors.contains("b.png has changed since it was indexed"),
            "\(deleted.errors)")
        #expect(try firstDifference(bytes(ofFile: photos + "/b.png"), unique) == nil)
    }

    /// The message names the file that has changed.
    @Test func changedKeptImageIsNamed() throws {
        try folder.write("photos/a.png", Canvas.page(seed: 1, width: 960, height: 720).png)
        try folder.write("photos/b.png", Canvas.page(seed: 1, width: 960, height: 718).png)
        try index()
        try folder.write("photos/a.png", bytes(ofFile: photos + "/a.png") + [0])
        let result = try clip("dedupe", photos, "--threshold", "0", "--delete", "--yes")
        #expect(
            result.status == 1,
            "\(result.errors)")
        #expect(
            result.errors.contains("b.png was not removed: "),
            "\(result.errors)")
        #expect(
            result.errors.contains("a.png, the duplicate to keep, has changed"),
            "\(result.errors)")
        #expect(
            result.text.contains("b.png\tsimilar, the kept image has changed since it was indexed"),
            "\(result.text)")
    }

    @Test func duplicatesMovedInsideAreNotIndexedAgain() throws {
        try makePages()
        let before = try names
        let target = photos + "/duplicates"
        let moved = try clip("dedupe", photos, "--move-to", target, "--log", "log.jsonl")
        #expect(moved.status == 0, "\(moved.errors)")
        #expect(moved.errors.contains("2 moved"), "\(moved.errors)")
        let mark = try bytes(ofFile: target + "/.clip-ignore")
        #expect(String(decoding: mark, as: UTF8.self).contains("duplicates that were moved here"))
        try index()
        let again = try clip("dedupe", photos, "--threshold", "0.9", "--move-to", target)
        #expect(
            again.status == 0,
            "\(again.errors)")
        #expect(
            again.errors.contains("no duplicates among 2 images"),
            "\(again.errors)")
        let undone = try clip("dedupe", "--undo", "log.jsonl")
        #expect(undone.status == 0, "\(undone.errors)")
        #expect(undone.errors.contains("2 put back"), "\(undone.errors)")
        #expect(try names == before)
        #expect(try bytes(ofFile: target + "/.clip-ignore") == mark)
    }

    /// The index is older than the mark in the folder.
    @Test func nothingIsMovedIfTheTargetHoldsTheKeptImage() throws {
        try files.createDirectory(
            atPath: photos + "/duplicates", withIntermediateDirectories: false)
        let page = Canvas.page(seed: 1)
        try folder.write("photos/duplicates/z.png", page.png)
        try folder.write("photos/y.png", page.png)
        try index()
        let result = try clip("dedupe", photos, "--move-to", photos + "/duplicates")
        #expect(
            result.status == 1,
            "\(result.errors)")
        #expect(
            result.errors.contains("is in the folder that duplicates are moved to"),
            "\(result.errors)")
        #expect(try names == ["duplicates/z.png", "y.png"])
    }

    /// A user's mistake: `--log` names an image.
    @Test func imageIsNotTakenForALog() throws {
        try makePages()
        let before = try bytes(ofFile: photos + "/other.png")
        expectFailure(
            try clip("dedupe", photos, "--delete", "--yes", "--log", photos + "/other.png", "-q"),
            status: 2, says: "other.png: it is not a log of removed duplicates")
        #expect(try names.count == 4)
        #expect(try firstDifference(bytes(ofFile: photos + "/other.png"), before) == nil)
    }

    @Test func damagedLogLinesAreReported() throws {
        try makePages()
        try clip("dedupe", photos, "--move-to", "away", "--log", "log.jsonl")
        let path = folder.path + "/log.jsonl"
        try folder.write("log.jsonl", Array("garbage\n".utf8) + bytes(ofFile: path))
        let undone = try clip("dedupe", "--undo", "log.jsonl")
        #expect(undone.status == 1, "\(undone.errors)")
        #expect(undone.errors.contains("2 put back"), "\(undone.errors)")
        #expect(
            undone.errors.contains("1 line of log.jsonl is damaged, the first is line 1"),
            "\(undone.errors)")
    }

    @Test func filesReachedThroughLinksAreKept() throws {
        try makePages()
        try files.createDirectory(
            atPath: folder.path + "/outside", withIntermediateDirectories: false)
        try folder.write("outside/z.png", bytes(ofFile: photos + "/a.png"))
        try files.createSymbolicLink(
            atPath: photos + "/link", withDestinationPath: folder.path + "/outside")
        try index()
        let result = try clip("dedupe", photos, "--delete", "--yes")
        #expect(result.status == 1)
        #expect(result.errors.contains("is a symbolic link"))
        #expect(files.fileExists(atPath: folder.path + "/outside/z.png"), "\(result.errors)")
    }
}
