import Foundation
import TestSupport
import Testing

/// Tests the built command: its output, where it goes, and the exit status.
@Suite struct CommandTests {
    static let model = Fixtures.path("models/seeded")
    static let image = Fixtures.path("images/rgb.jpg")
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: String..., input: String = "", environment: [String: String] = [:]
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, input: input, environment: environment)
    }

    @Test func zeroshotPrintsJSON() throws {
        let result = try clip(
            "zeroshot", Self.image, "a man riding bicycle", "a man climbing mountain",
            "a photo of a cat", "--model", Self.model, "--json", "--reference")
        #expect(result.status == 0)
        #expect(result.errors.isEmpty)
        #expect(result.text.hasPrefix("{\"image\":\""))
        let predictions = try #require(result.json()["predictions"] as? [[String: Any]])
        let expected = try json(
            Data(contentsOf: URL(fileURLWithPath: Self.model + "/expected.json")))
        let probabilities = try #require(expected["probabilities"] as? [[Double]])[0]
        let found = try predictions.map { try #require($0["probability"] as? Double) }
        #expect(worstDifference(found, probabilities.sorted(by: >), limit: 2e-4) == nil)
        #expect(predictions[0]["label"] as? String == "a man riding bicycle")
    }

    @Test func zeroshotPrintsATable() throws {
        let labels = try folder.write("labels.txt", "\u{FEFF}cat\r\n\r\ndog\n".utf8)
        let result = try clip(
            "zeroshot", Self.image, "--labels", labels, "--top", "1", "--template",
            "a photo of a {}", "--model", Self.model)
        let lines = result.text.split(separator: "\n")
        #expect(result.status == 0)
        #expect(lines.count == 2)
        #expect(lines.first?.split(separator: " ") == ["probability", "cosine", "label"])
        #expect(lines.last?.contains(" % ") == true)
    }

    @Test func encodeWritesEveryFormat() throws {
        let texts = try folder.write("texts.txt", "a cat\na dog\n".utf8)
        let lines = try clip(
            "encode", Self.image, "--text", "-x", "--text-file", texts, "--model", Self.model
        ).successful().text.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(try json(Data(lines[1].utf8))["text"] as? String == "-x")
        let row = try #require(json(Data(lines[0].utf8))["embedding"] as? [Double])
        #expect(row.count == 16)
        #expect(abs(row.reduce(0) { $0 + $1 * $1 } - 1) < 1e-5)

        let one = try clip("encode", "--text", "a", "--format", "json", "--model", Self.model)
        #expect(try one.json()["dimension"] as? Int == 16)

        let path = folder.path + "/rows.npy"
        let npy = try clip("encode", Self.image, "--text", "a", "-o", path, "--model", Self.model)
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(npy.status == 0)
        #expect(npy.output.isEmpty)
        #expect(data.count == 128 + 2 * 16 * 4)
        #expect(data.starts(with: [0x93] + Array("NUMPY".utf8)))
        #expect(String(decoding: data[10..<128], as: UTF8.self).contains("'shape': (2, 16)"))
        let piped = try clip(
            "encode", Self.image, "--text", "a", "--format", "npy", "--model", Self.model)
        #expect(piped.output == data)
    }

    @Test func hiddenStatesCoverEveryPosition() throws {
        let path = folder.path + "/states.npy"
        let arguments = [
            "encode", "--text", "a cat", "--text", "a dog", "--hidden-states", "penultimate",
            "--no-final-norm", "--padding", "49407", "--model", Self.model,
        ]
        let binary = ClipBinary(folder: folder)
        #expect(try binary.run(arguments + ["-o", path]).status == 0)
        let data = try Data(contentsOf: URL(fileURLWithPath: path))
        let header = String(decoding: data[10..<128], as: UTF8.self)
        let shape = try #require(header.firstRange(of: "(2, 77, "))
        let width = try #require(Int(header[shape.upperBound...].prefix { $0.isNumber }))
        #expect(data.count == 128 + 2 * 77 * width * 4)
        let lines = try binary.run(arguments).successful().text.split(separator: "\n")
        let rows = try #require(json(Data(lines[1].utf8))["hidden_states"] as? [[Double]])
        #expect(lines.count == 2)
        #expect(rows.count == 77)
        #expect(rows.allSatisfy { $0.count == width })

        // Everything possible is done; a .npy is written completely or not at all.
        let long = String(repeating: "a ", count: 90)
        let some = try binary.run(arguments + ["--text", long])
        #expect(some.status == 1)
        #expect(some.text.split(separator: "\n").count == 2)
        #expect(some.errors.contains("92 tokens"))
        #expect(
            try binary.run(arguments + ["--text", long, "-o", folder.path + "/more.npy"]).status
                == 1)
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/more.npy"))
        #expect(try binary.run(arguments + [Self.image]).status == 2)
    }

    @Test func tokenizersHaveTheirOwnRules() throws {
        func ids(_ arguments: String..., input: String = "") throws -> String {
            try ClipBinary(folder: folder).run(["tokenize"] + arguments, input: input).successful()
                .text
        }
        #expect(try ids("don’t &amp; schÃ¶n") == "[49406,847,713,261,844,7255,333,49407]\n")
        #expect(try ids("don’t", "--tokenizer", "hf") == "[49406,847,728,503,339,49407]\n")
        #expect(try ids("<start_of_text>", "--tokenizer", "open_clip") == "[49406,49406,49407]\n")
        #expect(try ids("a", "--tokenizer", "hf", "--pad").hasSuffix(",49407,49407]\n"))
        #expect(
            try ids("-0", input: "a cat\0two\nlines\0")
                == "[49406,320,2368,49407]\n[49406,1237,3418,49407]\n")
        let long = String(repeating: "a ", count: 90)
        #expect(try ids(long, "--no-limit", "--count") == "92\n")
    }

    @Test func truncatedImagesAreReadOnRequest() throws {
        let cut = Fixtures.path("images/bad/truncated.png")
        let arguments = ["preprocess", cut, "-o", folder.path + "/cut.npy"]
        let binary = ClipBinary(folder: folder)
        let refused = try binary.run(arguments)
        #expect(refused.status == 1)
        #expect(refused.errors.contains("ends before the image"))
        #expect(try binary.run(arguments + ["--allow-truncated"]).status == 0)
    }

    @Test func onlyViTsTakeOtherResolutions() throws {
        let larger = try clip(
            "encode", Self.image, "--model", Self.model, "--resolution", "64", "--format", "json")
        #expect(larger.status == 0)
        #expect(try larger.json()["dimension"] as? Int == 16)
        let resnet = try clip(
            "encode", Self.image, "--model", Fixtures.path("models/resnet"), "--resolution", "96")
        #expect(resnet.status == 1)
        #expect(
            resnet.errors.contains("64 pixels a side, the only resolution of this model, found 96"))
    }

    @Test func similarityIsAMatrix() throws {
        let result = try clip(
            "similarity", "--image", Self.image, Self.image, "--text", "a", "b", "c", "--json",
            "--model", Self.model)
        let rows = try #require(result.json()["cosines"] as? [[Double]])
        try #require(rows.count == 2)
        #expect(rows[0].count == 3)
        #expect(rows[0] == rows[1])
    }

    @Test func tokenizeShowsIds() throws {
        #expect(try clip("tokenize", "a cat").successful().text == "[49406,320,2368,49407]\n")
        #expect(
            try clip("tokenize", input: "a\nb\n").successful().text
                == "[49406,320,49407]\n[49406,321,49407]\n")
        let padded = try clip("tokenize", "--pad", "a").successful().text
        #expect(padded.split(separator: ",").count == 77)
        let long = String(repeating: "a ", count: 100)
        let mixed = try clip("tokenize", "a", long, "b")
        #expect(mixed.status == 1)
        #expect(mixed.text.split(separator: "\n").count == 2)
        #expect(mixed.errors.contains("102 tokens"))
        #expect(try clip("tokenize", "--truncate", long).status == 0)
    }

    @Test func preprocessWritesFloats() throws {
        let path = folder.path + "/image.npy"
        let result = try clip("preprocess", Self.image, "-o", path, "--resolution", "32")
        #expect(result.status == 0)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 128 + 3 * 32 * 32 * 4)
    }

    @Test func infoAndBench() throws {
        let info = try clip("info", Self.model)
        #expect(info.text.contains("quickgelu"))
        #expect(info.text.contains("F16, F32"))
        for tower in ["image", "text"] {
            let bench = try json(
                clip(
                    "bench", "--tower", tower, "--batch", "3", "--tokens", "9", "--json", "--model",
                    Self.model, "--threads", "1"
                ).output)
            #expect(
                Set(bench.keys) == [
                    "tower", "batch", "precision", "threads", "median_ms", "min_ms", "per_second",
                    "peak_rss_mb", "isa", "engine", "blas", "blas_core",
                ])
        }
    }

    @Test func benchOnRequest() throws {
        let twice = try clip(
            "bench", "--tower", "text", "--tokens", "9", "--on-request", "--model", Self.model,
            input: "\n\n")
        let times = twice.text.split(separator: "\n").compactMap { Double($0) }
        #expect(times.count == 2)
        #expect(times.allSatisfy { $0 > 0 })
        expectFailure(
            try clip("bench", "--tower", "preprocess"), status: 2, says: "--image")
    }

    /// Without the CPU's instructions, the answer is float32's, and one line says so.
    @Test func unsupportedPrecisionFallsBack() throws {
        let arguments = ["encode", "--text", "a", "--model", Self.model]
        let binary = ClipBinary(folder: folder)
        let scalar = ["CLIP_ISA": "scalar"]
        let exact = try binary.run(arguments, environment: scalar)
        #expect(exact.status == 0)
        #expect(exact.errors.isEmpty)
        for precision in ["bf16", "int8"] {
            let result = try binary.run(
                arguments + ["--precision", precision], environment: scalar)
            #expect(result.status == 0)
            #expect(result.text == exact.text)
            #expect(result.errors.split(separator: "\n").count == 1)
            #expect(result.errors.contains("no instructions for \(precision)"))
        }
        expectFailure(
            try binary.run(arguments + ["--precision", "fp64"]), status: 2, says: "fp64")
    }

    @Test func environmentGivesDefaults() throws {
        let environment = ["CLIP_MODEL": Self.model, "CLIP_THREADS": "1"]
        #expect(try clip("encode", "--text", "a", environment: environment).status == 0)
        let bad = try clip(
            "encode", "--text", "a", environment: ["CLIP_MODEL": Self.model, "CLIP_THREADS": "x"])
        expectFailure(bad, status: 2, says: "CLIP_THREADS")
    }

    @Test func openAINamesAreLookedUp() throws {
        let missing = try clip(
            "encode", "--text", "a", "--model", "ViT-B/32", environment: ["CLIP_HOME": folder.path])
        expectFailure(missing, status: 1, says: "clip pull ViT-B/32")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/ViT-B-32", withDestinationPath: Self.model)
        let found = try clip(
            "encode", "--text", "a", "--model", "ViT-B/32", environment: ["CLIP_HOME": folder.path])
        // The file is found, but its sizes are not those of ViT-B/32.
        expectFailure(found, status: 1, says: folder.path + "/ViT-B-32/open_clip_model.safetensors")
    }

    @Test func helpAndVersion() throws {
        #expect(try clip("--help").status == 0)
        #expect(try clip("zeroshot", "--help").successful().text.contains("--template"))
        #expect(try clip("--version").successful().text.hasPrefix("clip "))
    }

    @Test func wrongUsageIsStatusTwo() throws {
        expectFailure(try clip("nonsense"), status: 2, says: "nonsense")
        expectFailure(try clip("zeroshot"), status: 2, says: "image")
        expectFailure(
            try clip("zeroshot", Self.image, "--model", Self.model), status: 2, says: "two labels"
        )
        expectFailure(
            try clip("zeroshot", Self.image, "one", "--model", Self.model), status: 2,
            says: "found 1")
        expectFailure(
            try clip("encode", "--model", Self.model), status: 2, says: "nothing to encode")
        expectFailure(
            try clip("encode", "--text", "a", "--threads", "0"), status: 2, says: "--threads")
        expectFailure(
            try clip("preprocess", Self.image, "-o", "x.npy", "--resolution", "0"), status: 2,
            says: "--resolution")
    }

    @Test(arguments: [
        ("bad/empty.png", "empty"), ("bad/text.jpg", "not an image of a supported format"),
        ("bad/truncated.jpg", "ends before"), ("bad/truncated.png", "ends before"),
        ("bad/huge.png", "60000 x 60000"), ("bad/zero-height.jpg", "damaged"),
        ("bad", "directory"), ("no-such.jpg", "No such file"),
    ]) func badImagesAreStatusOne(_ name: String, says: String) throws {
        let path = Fixtures.path("images/\(name)")
        let output = folder.path + "/out.npy"
        for arguments in [["zeroshot", path, "a", "b"], ["preprocess", path, "-o", output]]
        where name != "bad" || arguments[0] != "zeroshot" {
            let result = try clip(
                arguments[0], arguments[1], arguments[2], arguments[3], "--model", Self.model)
            expectFailure(result, status: 1, says: says)
        }
        #expect(!FileManager.default.fileExists(atPath: output))
    }

    @Test func unreadableImageDoesNotStopTheRest() throws {
        let bad = Fixtures.path("images/bad/text.jpg")
        let rows = try clip("encode", bad, Self.image, "--model", Self.model)
        #expect(rows.status == 1)
        #expect(rows.text.split(separator: "\n").count == 1)
        #expect(rows.errors.contains("text.jpg"))

        // A file of vectors has a file of names beside it; a pipe does not.
        let output = folder.path + "/rows.npy"
        let npy = try clip("encode", bad, Self.image, "-o", output, "--model", Self.model)
        #expect(npy.status == 1)
        #expect(npy.errors.contains("text.jpg"))
        #expect(try bytes(ofFile: output).count == 128 + 16 * 4)
        let names = try bytes(ofFile: folder.path + "/rows.names.jsonl")
        #expect(try json(Data(names))["image"] as? String == Self.image)
        let piped = try clip(
            "encode", bad, Self.image, "--format", "npy", "--model", Self.model)
        #expect(piped.status == 1)
        #expect(piped.output.isEmpty)
        #expect(piped.errors.contains("nothing is written"))
    }

    @Test func truncatedWeightsAreRejected() throws {
        let whole = try bytes(ofFile: Self.model + "/open_clip_model.safetensors")
        try folder.copy(Self.model + "/open_clip_config.json", as: "open_clip_config.json")
        for tenth in 0..<10 {
            let path = try folder.write("w.safetensors", whole.prefix(whole.count * tenth / 10))
            expectFailure(
                try clip("zeroshot", Self.image, "a", "b", "--model", path), status: 1,
                says: "cannot read the weights")
        }
    }

    @Test func textsKeepTheirLineNumbers() throws {
        let texts = try folder.write("texts.txt", "\u{FEFF}a\r\n\nb".utf8)
        let rows = try clip("encode", "--text-file", texts, "--model", Self.model).successful().text
        let found = try rows.split(separator: "\n").map {
            try json(Data($0.utf8))["text"] as? String
        }
        #expect(found == ["a", "", "b"])
        let piped = try clip("encode", "--text-file", "-", "--model", Self.model, input: "a\n\nb\n")
        #expect(piped.text == rows)
        let latin = try folder.write("latin.txt", [0x63, 0x61, 0x66, 0xE9])
        expectFailure(
            try clip("encode", "--text-file", latin, "--model", Self.model), status: 1,
            says: "not UTF-8")
    }

    @Test func preprocessFollowsTheModel() throws {
        let path = folder.path + "/image.npy"
        let result = try clip(
            "preprocess", Self.image, "-o", path, environment: ["CLIP_MODEL": Self.model])
        #expect(result.status == 0, "\(result.errors)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 128 + 3 * 32 * 32 * 4)
    }

    /// Each row of an encoding is flushed alone, so the failure comes long before the end.
    @Test(arguments: [
        ["tokenize", "a"], ["encode", "--text", "a", "--text", "b", "-m", "tiny"],
    ])
    func fullDiskIsReported(_ arguments: [String]) throws {
        guard FileManager.default.fileExists(atPath: "/dev/full") else { return }
        let process = ClipBinary(folder: folder).process(arguments)
        let errors = Pipe()
        process.standardOutput = FileHandle(forWritingAtPath: "/dev/full")
        process.standardError = errors
        try process.run()
        process.waitUntilExit()
        let line = String(decoding: errors.fileHandleForReading.availableData, as: UTF8.self)
        #expect(process.terminationStatus == 1, "\(line)")
        #expect(line.contains("No space left"))
    }

    @Test func weightsWithAnOfficialNameNeedNoConfiguration() throws {
        let wrong = try clip(
            "encode", "--text", "a", "--model", "ViT-B/32", "--activation", "gelu")
        expectFailure(wrong, status: 2, says: "quickgelu")
    }

    @Test func outputIsWrittenWholeOrNotAtAll() throws {
        let missing = try clip(
            "preprocess", Self.image, "-o", folder.path + "/no/such/folder.npy")
        expectFailure(missing, status: 2, says: "cannot write")
        expectFailure(
            try clip("preprocess", Self.image, "-o", folder.path), status: 2, says: "directory")
        // A device is written to, not replaced.
        #expect(try clip("preprocess", Self.image, "-o", "/dev/null").status == 0)
        let type = try FileManager.default.attributesOfItem(atPath: "/dev/null")[.type]
        #expect(type as? FileAttributeType == .typeCharacterSpecial)
    }
}
