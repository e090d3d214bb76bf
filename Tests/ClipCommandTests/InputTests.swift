import Foundation
import TestSupport
import Testing

/// Tests the inputs of `clip similarity`, `score` and `zeroshot`, the fields that they keep, and
/// skipped files.
@Suite struct InputTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private static let model = CommandTests.model

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
        for (index, name) in [
            "rgb.jpg", "rgb.png", "grey.jpg", "tall.png", "wide.png", "small.png",
        ]
        .enumerated() {
            try folder.copy(
                Fixtures.path("images/\(name)"),
                as: index % 2 == 0 ? "photos/\(name)" : "photos/sub/\(name)")
        }
    }

    private static let names = [
        "photos/grey.jpg", "photos/rgb.jpg", "photos/sub/rgb.png", "photos/sub/small.png",
        "photos/sub/tall.png", "photos/wide.png",
    ]

    private func clip(_ arguments: [String], input: String = "") throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments + ["--model", Self.model], input: input)
    }

    private func similarity(_ arguments: [String], input: String = "") throws -> [String: Any] {
        let result = try clip(["similarity", "--json"] + arguments, input: input)
        #expect(result.status == 0, "\(arguments): \(result.errors)")
        return try result.json()
    }

    /// Creates a WebDataset of the images, each with a class, a text and a JSON object.
    private func makeArchive(adding others: [String] = []) throws {
        var parts: [String] = []
        for (index, name) in Self.names.enumerated() {
            let kind = (name as NSString).pathExtension
            try folder.copy("\(folder.path)/\(name)", as: "s\(index).\(kind)")
            try folder.write("s\(index).cls", "\(index)\n".utf8)
            try folder.write("s\(index).txt", "a \"thing\", seen\n".utf8)
            try folder.write("s\(index).json", "{\"a\": [1, null]}".utf8)
            parts += ["cls", "json", kind, "txt"].map { "s\(index).\($0)" }
        }
        for name in others { try folder.write(name, "x".utf8) }
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/tar")
        tar.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        tar.arguments = ["-cf", "data.tar"] + parts + others
        try tar.run()
        tar.waitUntilExit()
    }

    // MARK: one set of inputs

    @Test func similarityTakesEveryKindOfInput() throws {
        let texts = ["--text", "a cat", "a dog"]
        let expected = try similarity(["--image"] + Self.names + texts)
        #expect(expected["images"] as? [String] == Self.names)
        let rows = try #require(expected["cosines"] as? [[Double]])
        #expect(rows.count == 6)
        #expect(rows.allSatisfy { $0.count == 2 })
        try folder.write("list", Self.names.joined(separator: "\n").utf8)
        let inputs: [([String], String)] = [
            (["--image", "photos"], ""), (["photos"], ""),
            (
                ["photos/grey.jpg", "photos/rgb.jpg", "--image", "photos/sub", "photos/wide.png"],
                ""
            ),
            (["--image", "photos/*.jpg", "photos/sub", "photos/wide.png"], ""),
            (["--image", "-"], Self.names.joined(separator: "\n")),
            (["--files-from", "list"], ""),
            (["--files-from", "-", "-0"], Self.names.joined(separator: "\0")),
        ]
        for (input, standard) in inputs {
            let found = try similarity(input + texts, input: standard)
            #expect(found["images"] as? [String] == Self.names, "\(input): \(found)")
            #expect(found["cosines"] as? [[Double]] == rows, "\(input)")
        }
        try makeArchive()
        let archived = try similarity(["--image", "data.tar"] + texts)
        #expect(archived["cosines"] as? [[Double]] == rows)
        #expect((archived["images"] as? [String])?.first == "data.tar/s0.jpg")

        try folder.write("texts", "a cat\n\na dog\n".utf8)
        try folder.write("texts.csv", "id,caption\n1,a cat\n2,a dog\n".utf8)
        for file in [["texts"], ["texts.csv", "--text-column", "caption"]] {
            let found = try similarity(["--image", "photos", "--text-file"] + file)
            #expect(found["texts"] as? [String] == ["a cat", "a dog"])
            #expect(found["cosines"] as? [[Double]] == rows)
        }
        // One bad input does not stop the rest.
        try folder.write("photos/bad.jpg", "no image".utf8)
        let partly = try clip(["similarity", "--json", "--image", "photos"] + texts)
        #expect(partly.status == 1)
        #expect(partly.errors.contains("photos/bad.jpg"))
        #expect(try partly.json()["images"] as? [String] == Self.names)
    }

    @Test func similarityExplainsMisuse() throws {
        for (arguments, says) in [
            (["photos/rgb.jpg", "cat"], "similarity --image photos/rgb.jpg --text \"cat\""),
            (["--text", "cat"], "--image or --files-from"),
            (["--image", "photos"], "give --text or --text-file"),
            (["--image", "photos", "--text", "a", "--sample", "0"], "at least 1"),
        ] {
            expectFailure(try clip(["similarity"] + arguments), status: 2, says: says)
        }
    }

    @Test func scoreTakesEveryKindOfInput() throws {
        func score(_ arguments: [String]) throws -> String {
            let result = try clip(["score", "--json"] + arguments)
            #expect(result.status == 0, "\(arguments): \(result.errors)")
            return result.text
        }
        try folder.write("texts", "a cat\na dog\n".utf8)
        let expected = try score(["--image"] + Self.names + ["--text", "a cat", "a dog"])
        #expect(expected.split(separator: "\n").count == 6)
        #expect(try score(["--image", "photos", "--text-file", "texts"]) == expected)
        try makeArchive()
        let archived = try score(["--image", "data.tar", "--text-file", "texts"])
        #expect(archived.split(separator: "\n").count == 6)
        expectFailure(
            try clip(["score", "--image", "photos", "--text", "a", "--references", "b"]), status: 2,
            says: "--references need exactly one image, found 6")
    }

    @Test func tooLargeMatrixIsRejected() throws {
        let texts = (0..<2000).map { "\($0)" }.joined(separator: "\n")
        try folder.write("texts", texts.utf8)
        let result = try clip([
            "similarity", "--image", "photos", "--text-file", "texts", "--heatmap", "h.svg",
        ])
        expectFailure(result, status: 1, says: "limit 10,000 cosines")
        #expect(result.errors.contains("--sample"), "\(result.errors)")
    }

    // MARK: samples

    @Test func sampleIsReproducible() throws {
        let texts = ["--text", "a cat", "a dog"]
        let all = try similarity(["--image", "photos"] + texts)
        let rows = try #require(all["cosines"] as? [[Double]])
        var seen: Set<[String]> = []
        for seed in 0..<8 {
            let arguments = ["--image", "photos", "--sample", "3", "--seed", "\(seed)"] + texts
            let found = try similarity(arguments)
            let names = try #require(found["images"] as? [String])
            #expect(names.count == 3, "\(names)")
            #expect(names == names.sorted(), "\(names)")
            let places = try names.map { try #require(Self.names.firstIndex(of: $0)) }
            #expect(found["cosines"] as? [[Double]] == places.map { rows[$0] })
            #expect(try similarity(arguments)["images"] as? [String] == names)
            seen.insert(names)
        }
        #expect(seen.count > 3)
        #expect(
            try similarity(["--image", "photos", "--sample", "10"] + texts)["images"] as? [String]
                == Self.names)
        try makeArchive()
        let result = try clip(
            ["similarity", "--image", "data.tar", "--sample", "3", "--heatmap", "h.svg"] + texts)
        let rowsShown = result.text.split(separator: "\n").filter { $0.contains("data.tar/") }
        #expect(result.status == 0, "\(result.text)")
        #expect(rowsShown.count == 3, "\(result.text)")
        let drawing = String(decoding: try bytes(ofFile: folder.path + "/h.svg"), as: UTF8.self)
        #expect(drawing.components(separatedBy: "<image ").count == 4)
    }

    // MARK: fields of WebDatasets

    @Test func zeroshotKeepsTheFieldsOfSamples() throws {
        try makeArchive()
        try folder.write("labels", "a cat\na dog\n".utf8)
        let arguments = ["zeroshot", "data.tar", "--labels", "labels"]
        let rows = try clip(arguments).text.split(separator: "\n").map { try json(Data($0.utf8)) }
        let encoded = try clip(["encode", "data.tar"]).text.split(separator: "\n")
            .map { try json(Data($0.utf8)) }
        #expect(rows.count == 6)
        #expect(encoded.count == 6)
        for (index, (row, other)) in zip(rows, encoded).enumerated() {
            #expect(row["cls"] as? Int == index)
            #expect(other["cls"] as? Int == index)
            #expect(row["txt"] as? String == other["txt"] as? String)
            #expect(row["json"] as? NSDictionary == other["json"] as? NSDictionary)
            #expect((row["predictions"] as? [Any])?.count == 1)
        }
        let plain = try clip(arguments + ["--format", "csv"]).text.split(separator: "\n")
        #expect(plain[0] == "image,rank,label,probability,logit,cosine")
        let csv = try clip(arguments + ["--format", "csv", "--column", "cls", "--column", "txt"])
            .text.split(separator: "\n")
        #expect(csv[0] == "image,rank,label,probability,logit,cosine,cls,txt")
        for (index, line) in csv.dropFirst().enumerated() {
            #expect(line == "\(plain[index + 1]),\(index),\"a \"\"thing\"\", seen\"")
        }
        expectFailure(
            try clip(arguments + ["--column", "cls"]), status: 2, says: "--format csv")
    }

    // MARK: unsupported formats

    @Test func skippedFormatsAreCounted() throws {
        for name in ["a.psd", "b.PSD", "sub/c.Psd", "d.svg", "e.SVG", "notes.txt", ".f.tga"] {
            try folder.write("photos/\(name)", "x".utf8)
        }
        try folder.write("labels", "a cat\na dog\n".utf8)
        let says = "5 files skipped: PSD 3, SVG 2"
        let commands = [
            ["encode", "photos"], ["zeroshot", "photos", "--labels", "labels"],
            ["similarity", "--image", "photos", "--text", "a"],
            ["similarity", "--image", "photos", "--sample", "2", "--text", "a"],
            ["score", "--image", "photos", "--text", "a"], ["index", "photos"],
        ]
        for command in commands {
            let result = try clip(command)
            #expect(result.status == 0, "\(command): \(result.errors)")
            let lines = result.errors.split(separator: "\n").filter { $0.contains("skipped") }
            #expect(lines == ["clip: \(command[0]): \(says)"], "\(command): \(result.errors)")
            let quiet = try clip(command + ["-q"])
            #expect(quiet.status == 0, "\(command): \(quiet.errors)")
            #expect(quiet.errors.isEmpty, "\(command): \(quiet.errors)")
        }
        let object = try json(clip(["index", "photos", "--json"]).output)
        #expect(object["skipped"] as? Int == 5)
        #expect(object["skipped_formats"] as? [String: Int] == ["PSD": 3, "SVG": 2])
        try makeArchive(adding: ["s0.x3f", "s6.exr"])
        let archived = try clip(["encode", "data.tar"])
        #expect(archived.status == 0)
        #expect(archived.errors.contains("2 files skipped: EXR 1, RAW 1"), "\(archived.errors)")
        // A file that the user names is an error, not skipped.
        expectFailure(try clip(["encode", "photos/a.psd"]), status: 1, says: "photos/a.psd")
    }

    /// The image of a pair is a file, whatever its name looks like; a folder is a reported failure.
    @Test func foldersAndPatternsInPairsFail() throws {
        try folder.write(
            "pairs.csv", "image,text\nphotos,a\nphotos/grey.jpg,b\nphotos/*.jpg,c\n".utf8)
        let result = try clip(["score", "--pairs", "pairs.csv"])
        #expect(result.status == 1, "\(result.text)")
        #expect(result.text.contains("1 pair:"), "\(result.text)")
        let lines = result.errors.split(separator: "\n").filter { $0.contains("error") }
        #expect(lines.count == 2, "\(result.errors)")
        try folder.write("empty.csv", "image,text\n,a\n".utf8)
        expectFailure(
            try clip(["score", "--pairs", "empty.csv"]), status: 1, says: "record 1 of empty.csv")
    }

    /// A file that is not a model record is neither replaced nor read as one.
    @Test func foreignFilesBesideVectorsAreKept() throws {
        try files.createDirectory(
            atPath: folder.path + "/out", withIntermediateDirectories: false)
        try folder.write("out/model.json", "{\"mine\": 1}".utf8)
        #expect(try clip(["encode", "photos", "-o", "out/"]).status == 0)
        let kept = try Data(contentsOf: URL(fileURLWithPath: folder.path + "/out/model.json"))
        #expect(String(decoding: kept, as: UTF8.self) == "{\"mine\": 1}")
        #expect(try clip(["search", "a cat", "--index", "out/00000.npy"]).status == 0)
        try folder.write("x.model.json", "{\"mine\": 1}".utf8)
        expectFailure(
            try clip(["encode", "photos", "-o", "x.npy"]), status: 1,
            says: "x.model.json exists and is not a model record: remove it, or choose")
        #expect(!files.fileExists(atPath: folder.path + "/x.npy"))
    }

    @Test func standardInputGivenTwiceIsRejected() throws {
        expectFailure(
            try clip(["similarity", "-", "--text-file", "-"], input: "a\n"), status: 2,
            says: "standard input (-) can be given only once")
    }
}
