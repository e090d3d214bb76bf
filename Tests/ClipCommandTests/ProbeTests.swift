import Foundation
import TestSupport
import Testing

/// Tests `clip probe train` and `clip zeroshot --probe`.
@Suite struct ProbeTests {
    static let classes = ["bar", "cross", "square"]
    static let perClass = 6
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws {
        folder = try TemporaryFolder()
        for (label, name) in Self.classes.enumerated() {
            for index in 0..<Self.perClass { try write(label, index, as: "train/\(name)/\(index)") }
        }
    }

    /// Writes an image of a class: a black shape on white, at a place that depends on the index.
    private func write(_ label: Int, _ index: Int, as path: String) throws {
        var canvas = Canvas(64, 64)
        let (x, y) = (6 + 2 * index, 20 - 2 * index)
        let black: [UInt8] = [0, 0, 0, 255]
        switch label {
        case 0: canvas.fill(x, y + 15, 36, 6, black)
        case 1:
            canvas.fill(x, y + 12, 30, 6, black)
            canvas.fill(x + 12, y, 6, 30, black)
        default: canvas.fill(x, y, 30, 30, black)
        }
        let whole = "\(folder.path)/\(path).png"
        try files.createDirectory(
            atPath: URL(fileURLWithPath: whole).deletingLastPathComponent().path,
            withIntermediateDirectories: true)
        try Data(canvas.png).write(to: URL(fileURLWithPath: whole))
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    /// Trains a probe `p.safetensors` with `tiny`.
    private func train(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(
            ["probe", "train", "train", "-o", "p.safetensors", "--model", "tiny"] + arguments)
    }

    private func probe() throws -> [UInt8] { try bytes(ofFile: folder.path + "/p.safetensors") }

    /// The caches of embeddings, wherever CLIP_HOME is by default.
    private func caches() throws -> [String] {
        let all = try files.subpathsOfDirectory(atPath: folder.path)
        return all.filter { $0.hasSuffix(".features") }.map { "\(folder.path)/\($0)" }
    }

    // MARK: training

    @Test(arguments: ["linear", "zslinear", "tip"])
    func zeroshotRepeatsTheTraining(_ method: String) throws {
        let result = try train("--method", method).successful()
        #expect(result.output.isEmpty)
        let lines = result.errors.split(separator: "\n")
        try #require(lines.count == 1, "\(result.errors)")
        #expect(lines[0].hasPrefix("clip: probe: \(method), "), "\(lines)")
        #expect(lines[0].contains(": 18 examples of 3 classes, training accuracy "), "\(lines)")
        #expect(lines[0].hasSuffix("; wrote p.safetensors"), "\(lines)")

        let shown = try clip("zeroshot", "train", "--probe", "p.safetensors", "--json")
            .successful()
        #expect(shown.errors.isEmpty, "\(shown.errors)")
        let images = try shown.text.split(separator: "\n").map { try json(Data($0.utf8)) }
        #expect(images.count == 18)
        var correct = 0
        for image in images {
            let path = try #require(image["image"] as? String)
            let best = try #require((image["predictions"] as? [[String: Any]])?.first)
            #expect(Set(best.keys) == ["label", "probability", "logit"])
            if path.contains("/\(best["label"] as? String ?? "?")/") { correct += 1 }
        }
        let summary = try train("--method", method, "--json").successful().json()
        let accuracy = try #require(summary["training_accuracy"] as? Double)
        #expect(abs(Double(correct) - 18 * accuracy) < 1e-6, "\(method): \(shown.text)")
        if method == "linear" { #expect(correct >= 15, "\(shown.text)") }
    }

    @Test func jsonSummaryHasTheNumbers() throws {
        let summary = try train("--json", "--C", "1000").successful().json()
        #expect(summary["method"] as? String == "linear")
        #expect(summary["model"] as? String == "tiny")
        #expect(summary["classes"] as? Int == 3)
        #expect(summary["examples"] as? Int == 18)
        #expect(summary["images"] as? Int == 18)
        #expect(summary["cached"] as? Int == 0)
        #expect(summary["failed"] as? Int == 0)
        #expect(summary["C"] as? Double == 1000)
        #expect(summary["training_accuracy"] as? Double == 1)
        let shots = try train("--json", "--method", "tip", "--shots", "2").successful().json()
        #expect(shots["examples"] as? Int == 6)
        #expect(shots["cached"] as? Int == 18)
    }

    @Test func sweepChoosesC() throws {
        let summary = try train("--sweep", "--validation", "0.34", "--json").successful().json()
        let c = try #require(summary["C"] as? Double)
        #expect((1e-6...1e6).contains(c))
        let accuracy = try #require(summary["validation_accuracy"] as? Double)
        #expect((0...1).contains(accuracy))
        expectFailure(
            try train("--sweep", "--shots", "1", "--quiet"), status: 1,
            says: "--sweep needs at least two examples of a class")
    }

    @Test func cachedEmbeddingsGiveTheSameProbe() throws {
        _ = try train().successful()
        let first = try probe()
        #expect(try caches().count == 1)
        let summary = try train("--json").successful().json()
        #expect(summary["cached"] as? Int == 18)
        #expect(try probe() == first)
        // Images are found by their content, not by their names.
        try files.moveItem(
            atPath: folder.path + "/train/bar/0.png", toPath: folder.path + "/train/bar/00.png")
        #expect(try train("--json").successful().json()["cached"] as? Int == 18)
        // Another decoding has its own embeddings.
        #expect(
            try train("--json", "--preprocess", "hf").successful().json()["cached"] as? Int == 0)
    }

    @Test func unusableImagesAreListed() throws {
        try folder.write("train/bar/bad.png", "no image".utf8)
        let result = try train("--errors", "errors.jsonl", "--json")
        #expect(result.status == 1)
        let summary = try result.json()
        #expect(summary["failed"] as? Int == 1)
        #expect(summary["examples"] as? Int == 18)
        let lines = result.errors.split(separator: "\n")
        try #require(lines.count == 1, "\(result.errors)")
        #expect(lines[0].hasPrefix("clip: error: ") && lines[0].contains("bad.png"), "\(lines)")
        let errors = try bytes(ofFile: folder.path + "/errors.jsonl")
        #expect(String(decoding: errors, as: UTF8.self).contains("bad.png"))
        #expect(try clip("zeroshot", "train/bar/0.png", "--probe", "p.safetensors").status == 0)
    }

    @Test func filesOfOtherFormatsAreCounted() throws {
        for name in ["bar/a.svg", "cross/b.psd"] { try folder.write("train/" + name, [0]) }
        let result = try train("--json").successful()
        #expect(result.errors == "clip: probe: 2 files skipped: PSD 1, SVG 1\n")
        #expect(try result.json()["examples"] as? Int == 18)
        // The embeddings come from the cache, the files are counted again.
        #expect(try train("--json").successful().errors == result.errors)
        #expect(try train("--json", "--quiet").successful().errors.isEmpty)
    }

    @Test func labelsOfATableAreChecked() throws {
        let rows = Self.classes.flatMap { name in
            (0..<3).map { "train/\(name)/\($0).png,\(name)\n" }
        }
        try folder.write("table.csv", ("path,label\n" + rows.joined()).utf8)
        try folder.write("names.txt", "bar\ncross\n".utf8)
        let result = try clip(
            "probe", "train", "table.csv", "-o", "p.safetensors", "-m", "tiny", "--classes",
            "names.txt", "--json")
        #expect(result.status == 1)
        let summary = try result.json()
        #expect(summary["examples"] as? Int == 6)
        #expect(summary["failed"] as? Int == 3)
        #expect(result.errors.contains("square"), "\(result.errors)")
    }

    // MARK: interruption

    @Test func killedTrainingContinues() throws {
        // Enough images to stop in the middle: an optimised build is much faster.
        #if DEBUG
            let count = 60
        #else
            let count = 600
        #endif
        for index in Self.perClass..<(count - 2 * Self.perClass) {
            var canvas = Canvas(200, 200)
            canvas.fill(
                index % 90, index % 70, 20 + index % 50, 30,
                [UInt8(index % 251), 0, UInt8(index / 251), 255])
            try folder.write("train/bar/\(index).png", canvas.png)
        }
        let arguments = ["probe", "train", "train", "-o", "p.safetensors", "--model", "tiny"]
        var isKilled = false
        for _ in 0..<5 where !isKilled {
            for cache in try caches() { try files.removeItem(atPath: cache) }
            let process = ClipBinary(folder: folder).process(
                arguments, environment: ["CLIP_THREADS": "1"])
            process.standardError = FileHandle.nullDevice
            try process.run()
            while process.isRunning {
                let attributes = try caches().first.flatMap {
                    try? files.attributesOfItem(atPath: $0)
                }
                if (attributes?[.size] as? Int ?? 0) > 4096 { break }
                usleep(1000)
            }
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            isKilled = process.terminationReason == .uncaughtSignal
        }
        try #require(isKilled, "the training ended five times before the signal came")
        #expect(!files.fileExists(atPath: folder.path + "/p.safetensors"))
        let summary = try train("--json").successful().json()
        let cached = try #require(summary["cached"] as? Int)
        #expect((1..<count).contains(cached), "\(cached)")
        #expect(summary["images"] as? Int == count)
    }

    @Test func twoTrainingsAtOnceGiveTheSame() throws {
        let names = ["a.safetensors", "b.safetensors"]
        let processes = names.map { name in
            ClipBinary(folder: folder).process([
                "probe", "train", "train", "-o", name, "--model", "tiny", "--quiet",
            ])
        }
        for process in processes { try process.run() }
        for process in processes {
            process.waitUntilExit()
            #expect(process.terminationStatus == 0)
        }
        let results = try names.map { try bytes(ofFile: "\(folder.path)/\($0)") }
        #expect(results[0] == results[1])
        #expect(try train("--json").successful().json()["cached"] as? Int == 18)
    }

    // MARK: use

    @Test func outputsHaveNoCosine() throws {
        _ = try train().successful()
        let table = try clip("zeroshot", "train/bar/0.png", "--probe", "p.safetensors")
            .successful().text.split(separator: "\n")
        #expect(table.count == 4)
        #expect(table[0].split(separator: " ") == ["probability", "logit", "label"])
        let csv = try clip(
            "zeroshot", "train", "--probe", "p.safetensors", "--format", "csv", "--top", "2"
        ).successful().text.split(separator: "\n")
        #expect(csv[0] == "image,rank,label,probability,logit")
        #expect(csv.count == 1 + 2 * 18)
        let one = try clip("zeroshot", "train/bar/0.png", "--probe", "p.safetensors", "--json")
            .successful().json()
        #expect(one["model"] as? String == "tiny")
        let predictions = try #require(one["predictions"] as? [[String: Any]])
        let sum = predictions.reduce(0.0) { $0 + ($1["probability"] as? Double ?? 0) }
        #expect(abs(sum - 1) < 1e-5)
        #expect(
            Set(predictions.compactMap { $0["label"] as? String }) == Set(Self.classes))
    }

    @Test func otherModelsAreRefused() throws {
        _ = try train().successful()
        let image = "train/bar/0.png"
        expectFailure(
            try clip(
                "zeroshot", image, "--probe", "p.safetensors", "--model",
                Fixtures.path("models/seeded")),
            status: 1, says: "the probe p.safetensors was trained with the model tiny")
        // CLIP_MODEL does not matter.
        let other = try ClipBinary(folder: folder).run(
            ["zeroshot", image, "--probe", "p.safetensors"],
            environment: ["CLIP_MODEL": Fixtures.path("models/seeded")])
        #expect(other.status == 0)
    }

    @Test func modelIsNotReplaced() throws {
        try folder.copy(Fixtures.root + "/Weights/tiny.safetensors", as: "m.safetensors")
        try folder.copy(Fixtures.root + "/Weights/tiny.json", as: "m.json")
        let before = try bytes(ofFile: folder.path + "/m.safetensors").count
        let result = try ClipBinary(folder: folder).run(
            ["probe", "train", "train", "-o", "m.safetensors", "-m", "m.safetensors"])
        expectFailure(result, status: 2, says: "it is a file of the model")
        #expect(result.errors.contains("(see clip probe train --help)"), "\(result.errors)")
        #expect(try bytes(ofFile: folder.path + "/m.safetensors").count == before)
    }

    @Test func inputsAreNotReplaced() throws {
        let rows = "path,label\ntrain/bar/0.png,bar\ntrain/cross/0.png,cross\n"
        let table = try folder.write("in.csv", rows.utf8)
        let link = folder.path + "/link.safetensors"
        try files.createSymbolicLink(atPath: link, withDestinationPath: "in.csv")
        expectFailure(
            try clip("probe", "train", "in.csv", "-o", "link.safetensors", "-m", "tiny"),
            status: 2, says: "-o link.safetensors: it is the same file as the data set")
        #expect(try bytes(ofFile: table) == Array(rows.utf8))
        let names = "bar\ncross\nsquare\n"
        let classes = try folder.write("classes.safetensors", names.utf8)
        expectFailure(
            try ClipBinary(folder: folder).run([
                "probe", "train", "train", "-o", "./classes.safetensors", "-m", "tiny",
                "--classes", "classes.safetensors",
            ]), status: 2, says: "it is the same file as --classes")
        #expect(try bytes(ofFile: classes) == Array(names.utf8))
    }

    @Test func damagedProbesAreErrors() throws {
        _ = try train().successful()
        let whole = try probe()
        for (bytes, says) in [
            (Array(whole.dropLast(40)), "cannot use p.safetensors as a probe"),
            (
                whole.dropLast(1) + [whole[whole.count - 1] ^ 1],
                "the probe p.safetensors is damaged"
            ),
            ([], "the file is empty"),
            (
                try bytes(ofFile: Fixtures.path("models/vit/open_clip_model.safetensors")),
                "clip probe"
            ),
        ] {
            try folder.write("p.safetensors", bytes)
            let result = try clip("zeroshot", "train/bar/0.png", "--probe", "p.safetensors")
            expectFailure(result, status: 1, says: says)
        }
        expectFailure(
            try clip("zeroshot", "train/bar/0.png", "--probe", "none.safetensors"), status: 1,
            says: "cannot read the probe none.safetensors")
    }

    @Test func tinyIsNotUsedSilently() throws {
        expectFailure(
            try clip("probe", "train", "train", "-o", "p.safetensors"), status: 2,
            says: "no model chosen for the probe")
        #expect(!files.fileExists(atPath: folder.path + "/p.safetensors"))
    }

    @Test(arguments: [
        (["--C", "0"], "--C must be 1e-10 to 1e10"),
        (["--C", "-1"], "--C must be 1e-10 to 1e10"),
        (["--C", "1e38"], "--C must be 1e-10 to 1e10"),
        (["--C", "1", "--sweep"], "--C and --sweep cannot be combined"),
        (["--validation", "0.5"], "--validation needs --sweep"),
        (["--sweep", "--validation", "1"], "--validation must be between 0 and 1"),
        (["--shots", "0"], "--shots must be at least 1"),
        (["--method", "tip", "--C", "1"], "need --method linear"),
        (["--template", "a {}"], "need --method zslinear or tip"),
        (["--method", "tip", "--template", "a"], "has no {}"),
        (["--method", "knn"], "--method"),
        (["-o", "p.npy"], "its suffix contradicts the format"),
        (["-o", "-"], "cannot be written to standard output"),
    ])
    func wrongUsageIsRefused(_ arguments: [String], says: String) throws {
        let output = arguments.contains("-o") ? [] : ["-o", "p.safetensors"]
        expectFailure(
            try ClipBinary(folder: folder).run(
                ["probe", "train", "train", "-m", "tiny"] + output + arguments),
            status: 2, says: says)
    }

    @Test(arguments: [
        (["--labels", "l.txt"], "--probe and --labels cannot be combined"),
        (["--template", "a {}"], "have no effect with --probe"),
        (["--probe", ""], "--probe is empty"),
    ])
    func zeroshotRefusesOtherLabels(_ arguments: [String], says: String) throws {
        let probe = arguments.contains("--probe") ? [] : ["--probe", "p.safetensors"]
        expectFailure(
            try ClipBinary(folder: folder).run(
                ["zeroshot", "train/bar/0.png"] + probe + arguments),
            status: 2, says: says)
    }
}
