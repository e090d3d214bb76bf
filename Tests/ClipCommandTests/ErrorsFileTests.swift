import Foundation
import TestSupport
import Testing

/// Tests --errors FILE, which replaces only the list of an earlier run.
@Suite struct ErrorsFileTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["a.jpg", "b.jpg"] {
            try folder.copy(Fixtures.root + "/Examples/bike.jpg", as: name)
        }
        try folder.write("bad.jpg", "no image".utf8)
        try folder.write("texts.txt", "a dog\na cat\n".utf8)
        try folder.write("names.txt", "a.jpg\n".utf8)
        try folder.write("pairs.csv", "image,text\na.jpg,a bike\n".utf8)
        try folder.write("notes.md", "# Notes\n".utf8)
    }

    private func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments + ["--model", "tiny"])
    }

    @Test(arguments: [
        (["encode", "--errors", "a.jpg", "b.jpg"], "was not written by --errors"),
        (["encode", "a.jpg", "--errors", "a.jpg"], "the same file as the input a.jpg"),
        (["encode", "a.jpg", "--errors", "./a.jpg"], "the same file as the input a.jpg"),
        (["encode", "a.jpg", "--errors", "notes.md"], "was not written by --errors"),
        (["encode", "a.jpg", "-o", "y.jsonl", "--errors", "y.jsonl"], "the output y.jsonl"),
        (["encode", "a.jpg", "-o", "y.jsonl", "--errors", "./y.jsonl"], "the output y.jsonl"),
        (["encode", "a.jpg", "-o", "y.npy", "--errors", "y.names.jsonl"], "the same file as"),
        (["encode", "--files-from", "names.txt", "--errors", "names.txt"], "--files-from"),
        (["encode", "--text-file", "texts.txt", "--errors", "texts.txt"], "--text-file"),
        (["zeroshot", "a.jpg", "--labels", "texts.txt", "--errors", "texts.txt"], "--labels"),
        (["zeroshot", "a.jpg", "b", "c", "--errors", "a.jpg"], "the input a.jpg"),
        (
            ["similarity", "a.jpg", "--text", "x", "--errors", "b.jpg"],
            "was not written by --errors"
        ),
        (["score", "--pairs", "pairs.csv", "--errors", "pairs.csv"], "--pairs"),
        (["encode", "a.jpg", "--errors", "photos/.clip-index/e"], "of an index"),
    ])
    func otherFilesAreNotReplaced(_ arguments: [String], says: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos/.clip-index", withIntermediateDirectories: true)
        let files = ["a.jpg", "b.jpg", "texts.txt", "names.txt", "pairs.csv", "notes.md"]
        let before = try files.map { try bytes(ofFile: "\(folder.path)/\($0)") }
        expectFailure(try clip(arguments), status: 2, says: says)
        for (name, expected) in zip(files, before) {
            let found = try bytes(ofFile: "\(folder.path)/\(name)")
            #expect(firstDifference(found, expected) == nil, "\(arguments) changed \(name)")
        }
    }

    @Test func linkToAnInputIsNotWritten() throws {
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/e.jsonl", withDestinationPath: "a.jpg")
        let before = try bytes(ofFile: folder.path + "/a.jpg")
        expectFailure(
            try clip(["encode", "a.jpg", "--errors", "e.jsonl"]), status: 2, says: "same file")
        #expect(try firstDifference(bytes(ofFile: folder.path + "/a.jpg"), before) == nil)
    }

    @Test func earlierErrorListIsReplaced() throws {
        let path = folder.path + "/e.jsonl"
        try folder.write("e.jsonl", [])  // an empty file too
        for _ in 0..<2 {
            let failed = try clip(["encode", "a.jpg", "bad.jpg", "--errors", "e.jsonl"])
            let list = String(decoding: try bytes(ofFile: path), as: UTF8.self)
            #expect(failed.status == 1, "\(failed.errors)")
            #expect(list.split(separator: "\n").count == 1, "\(list)")
            #expect(list.contains("bad.jpg"), "\(list)")
        }
        let good = try clip(["encode", "a.jpg", "--errors", "e.jsonl"])
        #expect(good.status == 0, "\(good.errors)")
        #expect(try bytes(ofFile: path).isEmpty)
    }

    @Test func deviceIsAccepted() throws {
        let result = try clip(["encode", "a.jpg", "bad.jpg", "--errors", "/dev/null"])
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.text.contains("a.jpg"), "\(result.errors)")
    }
}
