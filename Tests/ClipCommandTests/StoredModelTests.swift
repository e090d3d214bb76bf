import Foundation
import TestSupport
import Testing

#if WebP
    private let readsWebP = true
#else
    private let readsWebP = false
#endif

/// Tests the stored model of vectors on disk, also in files of the first format.
@Suite(.enabled(if: readsWebP, "the index of its fixture has WebP images"))
struct StoredModelTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default
    private static let model = CommandTests.model
    private static let other = "tiny"

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: String..., in place: String? = nil, environment: [String: String] = [:]
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(
            arguments, in: place, environment: environment)
    }

    /// Creates the images that version 0.1.0 indexed, with their original times.
    private func makePhotos() throws {
        try files.createDirectory(
            atPath: folder.path + "/photos/sub", withIntermediateDirectories: true)
        let source = Fixtures.path("images")
        for name in try files.contentsOfDirectory(atPath: source) {
            guard let ending = name.split(separator: ".").last else { continue }
            guard ["jpg", "png", "webp"].contains(ending) else { continue }
            let place = ending == "png" ? "photos/sub/\(name)" : "photos/\(name)"
            try folder.copy("\(source)/\(name)", as: place)
            try files.setAttributes(
                [.modificationDate: Date(timeIntervalSince1970: 1_700_000_000)],
                ofItemAtPath: "\(folder.path)/\(place)")
        }
    }

    private func copyOld(_ name: String, as target: String) throws {
        try files.copyItem(
            atPath: Fixtures.path("versions/0.1.0/\(name)"), toPath: "\(folder.path)/\(target)")
    }

    private func updated(_ result: ClipBinary.Result) throws -> [String: Int] {
        #expect(result.status == 0, "\(result.errors)")
        return try result.json().compactMapValues { $0 as? Int }
    }

    // MARK: version 0.1.0

    @Test func indexesOfVersion010AreUpgraded() throws {
        try makePhotos()
        try copyOld("tiny", as: "photos/.clip-index")
        let found = try clip("search", "a cat", "--index", "photos")
        #expect(found.status == 0)
        #expect(found.text.split(separator: "\n").count == 10)
        let summary = try updated(clip("index", "photos", "--json"))
        #expect(summary["encoded"] == 0, "\(summary)")
        #expect(summary["unchanged"] == 16, "\(summary)")
        #expect(summary["deleted"] == 0, "\(summary)")
        #expect(summary["moved"] == 0, "\(summary)")
        #expect(
            try firstDifference(
                bytes(ofFile: folder.path + "/photos/.clip-index/vectors.f32"),
                bytes(ofFile: Fixtures.path("versions/0.1.0/tiny/vectors.f32"))) == nil)
        #expect(try clip("search", "a cat", "--index", "photos").text == found.text)
    }

    /// In version 0.1.0, model paths were relative and activations were not stored.
    @Test func modelsOfVersion010AreFoundFromEveryFolder() throws {
        try makePhotos()
        try copyOld("bare", as: "photos/.clip-index")
        let weights = try folder.copy(
            Fixtures.root + "/Weights/tiny.safetensors", as: "bare.safetensors")
        let expected = try clip("search", "a cat", "--index", "photos", "--paths", "--top", "3")
        #expect(expected.status == 0, "\(expected.errors)")
        let inside = try clip("search", "a cat", "--paths", "--top", "3", in: "photos/sub/..")
        #expect(
            inside.text == expected.text.replacingOccurrences(of: "photos/", with: "./"),
            "\(inside.text)\(inside.errors)")
        let summary = try updated(clip("index", ".", "--json", in: "photos"))
        #expect(summary["encoded"] == 0, "\(summary)")
        #expect(summary["unchanged"] == 16, "\(summary)")

        // From now on the path is absolute: the folder may be moved, but not the model.
        try files.moveItem(
            atPath: folder.path + "/photos", toPath: folder.path + "/elsewhere")
        let moved = try clip("search", "a cat", "--index", "elsewhere", "--paths", "--top", "3")
        #expect(
            moved.text == expected.text.replacingOccurrences(of: "photos/", with: "elsewhere/"))
        try files.moveItem(atPath: weights, toPath: folder.path + "/moved.safetensors")
        let missing = try clip("search", "a cat", "--index", "elsewhere")
        expectFailure(missing, status: 1, says: "--model PATH")
        #expect(missing.errors.contains("/bare.safetensors"), "\(missing.errors)")
        let given = ["--model", "moved.safetensors"]
        let again = try ClipBinary(folder: folder).run(
            ["search", "a cat", "--index", "elsewhere", "--paths", "--top", "3"] + given)
        #expect(again.text == moved.text, "\(again.errors)")
        _ = try updated(ClipBinary(folder: folder).run(["index", "elsewhere", "--json"] + given))
        #expect(try clip("search", "a cat", "--index", "elsewhere").status == 0)
        let wrong = try ClipBinary(folder: folder).run(
            ["search", "a cat", "--index", "elsewhere", "--activation", "gelu"] + given)
        expectFailure(wrong, status: 1, says: "activation gelu")
        #expect(wrong.errors.contains("activation quickgelu"), "\(wrong.errors)")
    }

    @Test func jobsOfVersion010AreResumed() throws {
        try makePhotos()
        for name in ["y.npy.partial", "y.names.jsonl.partial", "y.npy.job"] {
            try copyOld("partial/\(name)", as: name)
        }
        for name in ["x.npy", "x.names.jsonl"] { try copyOld("whole/\(name)", as: name) }
        let result = try clip("encode", "photos", "--model", "tiny", "-o", "y.npy", "--resume")
        #expect(result.status == 0, "\(result.errors)")
        for (new, old) in [("y.npy", "x.npy"), ("y.names.jsonl", "x.names.jsonl")] {
            let (found, expected) = try (
                bytes(ofFile: "\(folder.path)/\(new)"), bytes(ofFile: "\(folder.path)/\(old)")
            )
            // The existing rows keep their bits; the others may be computed with another
            // instruction set.
            let kept = new == "y.npy" ? 128 + 9 * 1024 : expected.count
            #expect(found.count == expected.count)
            #expect(firstDifference(found.prefix(kept), expected.prefix(kept)) == nil, "\(new)")
        }
        expectFailure(
            try clip("search", "a cat", "--index", "x.npy"), status: 2,
            says: "does not record its model")
        let found = try clip("search", "a cat", "--index", "y.npy", "--top", "3", "--paths")
        #expect(
            try clip(
                "search", "a cat", "--index", "x.npy", "--top", "3", "--paths", "--model", "tiny"
            ).text == found.text)
    }

    // MARK: the model of an index

    @Test func modelOfTheIndexOverridesTheEnvironment() throws {
        try makePhotos()
        let made = try clip("index", "photos", "-q", environment: ["CLIP_MODEL": Self.model])
        #expect(made.status == 0, "\(made.errors)")
        let expected = try clip("search", "a cat", "--index", "photos")
        let environment = ["CLIP_MODEL": Self.other]
        #expect(
            try clip("search", "a cat", "--index", "photos", environment: environment).text
                == expected.text)
        let summary = try updated(clip("index", "photos", "--json", environment: environment))
        #expect(summary["encoded"] == 0, "\(summary)")
        #expect(summary["unchanged"] == 16, "\(summary)")
        try folder.write("labels", "a cat\na dog\n".utf8)
        #expect(
            try clip(
                "cluster", "photos", "-k", "2", "--labels", "labels", environment: environment
            ).status == 0)
        for command in [["index", "photos"], ["search", "a cat", "--index", "photos"]] {
            let refused = try ClipBinary(folder: folder).run(command + ["--model", Self.other])
            expectFailure(refused, status: 1, says: "clip index --rebuild photos")
            #expect(
                refused.errors.contains(Self.model),
                "\(refused.errors)")
            #expect(
                refused.errors.contains(Self.other),
                "\(refused.errors)")
        }
    }

    @Test func theModelsOptionsAreStored() throws {
        try makePhotos()
        let made = try clip("index", "photos", "--model", Self.model, "--resolution", "48", "-q")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try clip("search", "a cat", "--index", "photos").status == 0)
        #expect(try updated(clip("index", "photos", "--json"))["encoded"] == 0)
        expectFailure(
            try clip("search", "a cat", "--index", "photos", "--resolution", "32"), status: 1,
            says: "48 pixels a side")

        // Without the CPU's instructions, int8 falls back to fp32.
        let rounded = try clip(
            "index", "photos", "--rebuild", "--model", Self.model, "--precision", "int8", "-q")
        #expect(rounded.status == 0, "\(rounded.errors)")
        #expect(try updated(clip("index", "photos", "--json"))["encoded"] == 0)
        #expect(try clip("search", "a cat", "--index", "photos").status == 0)
        #expect(try updated(clip("index", "photos", "--rebuild", "--json"))["encoded"] == 16)
    }

    @Test func relativeModelPathIsStoredAbsolute() throws {
        try makePhotos()
        try files.copyItem(atPath: Self.model, toPath: folder.path + "/weights")
        let made = try clip("index", "../photos", "--model", "./../weights", "-q", in: "photos")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try clip("search", "a cat", in: "photos").status == 0)
        #expect(try clip("search", "a cat", "--index", "..", in: "photos/sub").status == 0)
        #expect(try clip("search", "a cat", "--index", "photos").status == 0)
    }

    // MARK: rebuilding an index

    @Test func indexesAreRebuilt() throws {
        try makePhotos()
        _ = try clip("index", "photos", "--model", Self.model, "-q")
        let before = try clip("search", "a cat", "--index", "photos").text
        let rebuilt = try updated(
            clip("index", "--rebuild", "photos", "--model", Self.other, "--json"))
        #expect(rebuilt["encoded"] == 16, "\(rebuilt)")
        let after = try clip("search", "a cat", "--index", "photos")
        #expect(after.status == 0, "\(after.errors)")
        #expect(after.text != before, "\(after.errors)")
        let names = try files.contentsOfDirectory(atPath: folder.path + "/photos")
        #expect(names.filter { $0.hasPrefix(".clip") } == [".clip-index"], "\(names)")
        // Without --model, the model is kept.
        #expect(try updated(clip("index", "--rebuild", "photos", "--json"))["encoded"] == 16)
        expectFailure(
            try clip("index", "photos", "--model", Self.model), status: 1, says: Self.other)
        // A damaged index can be rebuilt.
        try Data("no database".utf8)
            .write(to: URL(fileURLWithPath: folder.path + "/photos/.clip-index/files.sqlite"))
        #expect(try clip("search", "a cat", "--index", "photos").status == 1)
        let mended = try clip("index", "--rebuild", "photos", "--model", Self.model, "--json")
        #expect(try updated(mended)["encoded"] == 16)
        #expect(try clip("search", "a cat", "--index", "photos").text == before)
    }

    /// Whenever the process ends, either the old index or the new one is complete.
    @Test func interruptedRebuildLosesNothing() throws {
        try makePhotos()
        for copy in 0..<4 {
            try files.copyItem(
                atPath: folder.path + "/photos/sub", toPath: folder.path + "/photos/\(copy)")
        }
        _ = try clip("index", "photos", "--model", Self.other, "-q")
        let old = try clip("search", "a cat", "--index", "photos").text
        let arguments = ["index", "--rebuild", "photos", "--model", Self.model, "-q"]
        for round in 0..<6 {
            let process = ClipBinary(folder: folder).process(arguments)
            try process.run()
            usleep(UInt32(20_000 + 40_000 * round))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            let found = try clip("search", "a cat", "--index", "photos")
            #expect(found.status == 0, "\(found.errors)")
        }
        #expect(try ClipBinary(folder: folder).run(arguments).status == 0)
        let new = try clip("search", "a cat", "--index", "photos").text
        #expect(new != old)

        // Between the two steps in which the new index replaces the old one.
        let path = folder.path + "/photos/.clip-index"
        try files.moveItem(atPath: path, toPath: path + ".old")
        #expect(try clip("search", "a cat", "--index", "photos").text == new)
        #expect(try updated(clip("index", "photos", "--json"))["encoded"] == 0)
        #expect(
            try !files.contentsOfDirectory(atPath: folder.path + "/photos").contains(
                ".clip-index.old"))

        // An update reports an unfinished rebuild.
        try files.copyItem(atPath: path, toPath: path + ".new")
        let update = try clip("index", "photos")
        #expect(update.status == 0, "\(update.errors)")
        #expect(update.errors.contains("--rebuild photos"), "\(update.errors)")
    }

    // MARK: .npy

    @Test func embeddingFileRecordsItsModel() throws {
        try makePhotos()
        let made = try clip("encode", "photos", "--model", Self.model, "-o", "x.npy", "-q")
        #expect(made.status == 0, "\(made.errors)")
        let record = try json(Data(bytes(ofFile: folder.path + "/x.model.json")))
        #expect(record["model"] as? String == Self.model)
        #expect(record["dimension"] as? Int == 16)
        let expected = try clip("search", "a cat", "--index", "x.npy")
        #expect(expected.status == 0, "\(expected.errors)")
        #expect(
            try clip(
                "search", "a cat", "--index", "x.npy", environment: ["CLIP_MODEL": Self.other]
            ).text == expected.text)
        expectFailure(
            try clip("search", "a cat", "--index", "x.npy", "--model", Self.other), status: 1,
            says: "x.npy were made with \(Self.model)")
        try folder.write("labels", "a cat\na dog\n".utf8)
        #expect(try clip("cluster", "x.npy", "-k", "2", "--labels", "labels").status == 0)

        // Shards share one record.
        let shards = try clip(
            "encode", "photos", "--model", Self.model, "-o", "shards/", "--shard-size", "9", "-q")
        #expect(shards.status == 0, "\(shards.errors)")
        let names = try files.contentsOfDirectory(atPath: folder.path + "/shards").sorted()
        #expect(
            names == [
                "00000.names.jsonl", "00000.npy", "00001.names.jsonl", "00001.npy",
                "clip-model.json",
            ])
        #expect(try clip("search", "a cat", "--index", "shards/00001.npy").status == 0)

        // A record of other vectors is detected where possible.
        try files.removeItem(atPath: folder.path + "/x.npy")
        try files.removeItem(atPath: folder.path + "/x.names.jsonl")
        try copyOld("whole/x.npy", as: "x.npy")
        expectFailure(
            try clip("search", "a cat", "--index", "x.npy"), status: 1, says: "x.model.json")
        try folder.write("x.model.json", "{}".utf8)
        expectFailure(
            try clip("search", "a cat", "--index", "x.npy"), status: 1, says: "damaged")
    }

    // MARK: nothing found

    @Test func searchExplainsEmptyResults() throws {
        try makePhotos()
        try files.createDirectory(
            atPath: folder.path + "/empty", withIntermediateDirectories: true)
        for path in ["empty", "photos"] {
            #expect(try clip("index", path, "--model", Self.model, "-q").status == 0)
        }
        for (arguments, says) in [
            (["--index", "empty"], "empty has no images"),
            (
                ["--index", "photos", "--threshold", "0.99"],
                "a cosine of 0.99 or more; the largest is"
            ),
        ] {
            let result = try ClipBinary(folder: folder).run(["search", "a cat"] + arguments)
            #expect(result.status == 1)
            #expect(result.output.isEmpty)
            #expect(result.errors.contains(says), "\(result.errors)")
            let quiet = try ClipBinary(folder: folder).run(["search", "a cat", "-q"] + arguments)
            #expect(quiet.status == 1, "\(quiet.errors)")
            #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        }
        let text = try clip("search", "nope.jpg", "--index", "photos", "--top", "1")
        #expect(text.status == 0)
        #expect(text.errors.contains("file not found: nope.jpg"))
        let word = try clip("search", "a photo, nope.jpg", "--index", "photos", "--top", "1")
        #expect(word.status == 0, "\(word.errors)")
        #expect(word.errors.isEmpty, "\(word.errors)")
        expectFailure(
            try clip("index", "nope", "--model", Self.model), status: 1,
            says: "cannot index nope: No such file")
        expectFailure(
            try clip("index", "photos/rgb.jpg", "--model", Self.model), status: 1,
            says: "it is a file; give the folder")
    }
}
