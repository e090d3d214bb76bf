import Foundation
import TestSupport
import Testing

/// Tests that probes are used with the decoding and preprocessing of their training, and that
/// Ctrl-C during the training says what is kept.
@Suite struct ProbeDecodingTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private static let classes = ["beach": ["beach", "mountain"], "cat": ["cat", "dog"]]

    init() throws {
        folder = try TemporaryFolder()
        for (name, images) in Self.classes {
            try files.createDirectory(
                atPath: "\(folder.path)/train/\(name)", withIntermediateDirectories: true)
            for image in images {
                try folder.copy(
                    "\(Fixtures.root)/Examples/\(image).jpg", as: "train/\(name)/\(image).jpg")
            }
        }
    }

    private func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    /// Trains the probe `p.safetensors` with `tiny`.
    private func train(_ options: [String]) throws {
        _ = try clip(
            ["probe", "train", "train", "-o", "p.safetensors", "-m", "tiny", "-q"] + options
        ).successful()
    }

    private func zeroshot(_ options: [String]) throws -> ClipBinary.Result {
        try clip(["zeroshot", "train/cat/cat.jpg", "--probe", "p.safetensors", "--json"] + options)
    }

    private func eval(_ options: [String]) throws -> ClipBinary.Result {
        try clip(["eval", "train", "--probe", "p.safetensors", "--json", "-q"] + options)
    }

    @Test(arguments: [
        ["--preprocess", "hf"], ["--decode", "fast"], ["--reference"],
        ["--preprocess", "hf", "--decode", "fast", "--reference"],
    ])
    func optionsOfTheTrainingAreUsed(_ options: [String]) throws {
        try train(options)
        let plain = try zeroshot([]).successful()
        #expect(try zeroshot(options).successful().output == plain.output)
        #expect(try zeroshot(["--allow-truncated"]).successful().output == plain.output)
        func accuracy(_ options: [String]) throws -> Double {
            let metrics = try eval(options).successful().json()["metrics"] as? [String: Any]
            return try #require(metrics?["lp_acc1"] as? Double)
        }
        #expect(try accuracy([]) == accuracy(options))
    }

    @Test(arguments: [
        ([], ["--preprocess", "hf"], "with --preprocess openai", "with --preprocess hf"),
        (["--preprocess", "hf"], ["--preprocess", "openai"], "with --preprocess hf", "openai"),
        ([], ["--decode", "fast"], "with --decode exact", "with --decode fast"),
        (["--decode", "fast"], ["--decode", "exact"], "with --decode fast", "exact"),
        ([], ["--reference"], "without --reference", "with it"),
    ])
    func otherOptionsAreRefused(
        _ trained: [String], _ given: [String], _ stored: String, _ found: String
    ) throws {
        try train(trained)
        for result in [try zeroshot(given), try eval(given)] {
            expectFailure(
                result, status: 1, says: "the probe p.safetensors was trained \(stored)")
            #expect(result.errors.contains(found), "\(result.errors)")
            #expect(result.errors.contains("omit the option, or train"), "\(result.errors)")
        }
    }

    @Test func interruptedTrainingSaysWhatIsKept() throws {
        // The warning about a class without examples is the last line before the training.
        try files.createDirectory(
            atPath: folder.path + "/train/none", withIntermediateDirectories: true)
        for index in 0..<60 {
            var canvas = Canvas(40, 40)
            canvas.fill(
                index % 30, index % 20, 3 + index % 9, 8, [UInt8(4 * index), 0, UInt8(index), 255])
            try folder.write("train/\(index % 2 == 0 ? "cat" : "beach")/\(index).png", canvas.png)
        }
        try train([])
        try files.removeItem(atPath: folder.path + "/p.safetensors")
        let errors = folder.path + "/errors"
        func text() throws -> String { String(decoding: try bytes(ofFile: errors), as: UTF8.self) }
        var isInterrupted = false
        for _ in 0..<10 where !isInterrupted {
            try Data().write(to: URL(fileURLWithPath: errors))
            let process = ClipBinary(folder: folder).process(
                ["probe", "train", "train", "-o", "p.safetensors", "-m", "tiny", "--sweep"],
                environment: ["CLIP_THREADS": "1"])
            process.standardOutput = FileHandle.nullDevice
            process.standardError = FileHandle(forWritingAtPath: errors)
            try process.run()
            while process.isRunning, try !text().contains("have no examples") { usleep(200) }
            kill(process.processIdentifier, SIGINT)
            process.waitUntilExit()
            isInterrupted = process.terminationReason == .uncaughtSignal
            if isInterrupted { #expect(process.terminationStatus == SIGINT) }
        }
        try #require(isInterrupted, "the training ended ten times before the signal came")
        let last = try text().split(separator: "\n").last.map(String.init)
        #expect(
            last == """
                clip: probe: the embeddings of 64 images are cached; run the command again to \
                continue
                """)
    }
}
