import Foundation
import TestSupport
import Testing

/// Tests files of texts and vectors with invalid content.
@Suite struct BadTextTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, environment: ["CLIP_MODEL": "tiny"])
    }

    /// Lines, one of which is not UTF-8.
    private func write(_ name: String, lines: Int, bad: Int) throws {
        var bytes: [UInt8] = []
        for number in 1...lines {
            bytes += "text \(number)".utf8
            if number == bad { bytes.append(0xE9) }
            bytes.append(10)
        }
        try folder.write(name, bytes)
    }

    @Test func nonUTF8TextFileStopsTheJobBeforeItStarts() throws {
        try write("texts.txt", lines: 40, bad: 33)
        expectFailure(
            try clip("encode", "--text-file", "texts.txt", "-o", "x.npy"), status: 1,
            says: "cannot read texts.txt: line 33 is not UTF-8")
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasPrefix("x.") }, "\(left)")
        try folder.copy(Fixtures.root + "/Examples/bike.jpg", as: "bike.txt")
        expectFailure(
            try clip("encode", "--text-file", "bike.txt"), status: 1, says: "is not UTF-8")
    }

    @Test func laterNonUTF8LineStopsTheJobWithOneError() throws {
        try write("texts.txt", lines: 4000, bad: 3990)
        let result = try clip("encode", "--text-file", "texts.txt")
        expectFailure(result, status: 1, says: "cannot read texts.txt: line 3990 is not UTF-8")
    }

    @Test func nonUTF8LabelNamesItsLine() throws {
        try write("labels.txt", lines: 5, bad: 4)
        expectFailure(
            try clip(
                "zeroshot", Fixtures.root + "/Examples/bike.jpg", "--labels", "labels.txt"),
            status: 1, says: "cannot read labels.txt: line 4 is not UTF-8")
    }

    @Test(arguments: [false, true])
    func tokenizeRejectsNonUTF8(isNULTerminated: Bool) throws {
        let end: [UInt8] = [isNULTerminated ? 0 : 10]
        try folder.write("texts", Array("a dog".utf8) + end + [0xFF, 0x61] + end)
        let binary = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let option = isNULTerminated ? "-0" : ""
        let result = try binary.run(
            ["-c", "'\(ClipBinary.built.path)' tokenize \(option) < texts"])
        let part = isNULTerminated ? "text" : "line"
        #expect(result.status == 1)
        #expect(
            result.errors == "clip: error: cannot read standard input: \(part) 2 is not UTF-8\n",
            "\(result.errors)")
        if !isNULTerminated { #expect(result.text == "[49406,320,1929,49407]\n") }
    }

    @Test(arguments: [
        ["tokenize"], ["tokenize", "-0"], ["bench", "--tower", "text", "--on-request"],
        ["encode", "-"], ["encode", "--text-file", "-"], ["encode", "--files-from", "-"],
        ["zeroshot", "--labels", "-", "a.jpg"],
    ])
    func folderOnStandardInputIsAnError(_ arguments: [String]) throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        let result = try shell.run(
            ["-c", "exec \"$0\" \"$@\" < .", ClipBinary.built.path] + arguments,
            environment: ["CLIP_MODEL": "tiny"])
        expectFailure(result, status: 1, says: ": Is a directory\n")
    }

    @Test func lineEndsOfStandardInputAreRemoved() throws {
        let result = try ClipBinary(folder: folder).run(["tokenize"], input: "a dog\r\n\na dog")
        #expect(
            result.text == "[49406,320,1929,49407]\n[49406,49407]\n[49406,320,1929,49407]\n",
            "\(result.text)")
    }

    /// Editors of Windows put it there.
    @Test func byteOrderMarkIsRemoved() throws {
        let bike = Fixtures.root + "/Examples/bike.jpg"
        for (name, text) in [("list", "\(bike)\n"), ("labels", "a dog\na cat\n")] {
            try folder.write(name, "\u{FEFF}\(text)".utf8)
        }
        let binary = ClipBinary(folder: folder)
        let expected = try clip("tokenize", "a dog", "a cat").text
        for (option, end) in [([], "\n"), (["-0"], "\0")] {
            let input = "\u{FEFF}a dog\(end)a cat\(end)"
            #expect(try binary.run(["tokenize"] + option, input: input).text == expected)
        }
        let encoded = try clip("encode", "--files-from", "list", "--text-file", "labels").text
        for name in ["{\"image\":\"\(bike)\"", "{\"text\":\"a dog\""] {
            #expect(encoded.contains(name), "\(encoded)")
        }
        let classified = try clip("zeroshot", bike, "--labels", "labels").text
        #expect(!classified.contains("\u{FEFF}"), "\(classified)")
    }

    @Test func matrixWithoutRowsIsReported() throws {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 256), }"
        let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
        try folder.write("x.npy", [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + padded.utf8)
        expectFailure(
            try clip("search", "a", "--index", "x.npy"), status: 1,
            says: "cannot read x.npy: it has no rows")
    }

    @Test func emptyPairsAndUnknownModelsAreReported() throws {
        try folder.write("empty.csv", [])
        expectFailure(
            try clip("score", "--pairs", "empty.csv"), status: 1,
            says: "it has no column \"image\": it is empty")
        expectFailure(try clip("verify", "nope"), status: 1, says: "no model nope")
    }
}
