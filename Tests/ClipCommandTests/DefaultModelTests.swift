import Foundation
import TestSupport
import Testing

/// Tests which model is used without --model and CLIP_MODEL.
@Suite struct DefaultModelTests {
    private static let note = "for photographs, run clip pull ViT-B/32"
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: String..., environment: [String: String] = [:]
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, environment: environment)
    }

    private static func example(_ name: String) -> String {
        Fixtures.root + "/Examples/\(name).jpg"
    }

    // MARK: nothing is installed

    @Test func firstCommandsOfNewUsersWork() throws {
        let encoded = try clip("encode", Self.example("bike"))
        #expect(encoded.status == 0, "\(encoded.errors)")
        #expect(try encoded.json()["model"] as? String == "tiny")
        let classified = try clip(
            "zeroshot", Self.example("bike"), "a man riding bicycle", "a man climbing mountain")
        #expect(classified.status == 0, "\(classified.errors)")
        #expect(classified.text.contains("a man riding bicycle"))
        for result in [encoded, classified] {
            let lines = result.errors.split(separator: "\n")
            try #require(
                lines.count == 1,
                "expected one line of standard error, found \(result.errors)")
            #expect(
                lines[0].contains(Self.note),
                "expected one line of standard error, found \(result.errors)")
            #expect(
                lines[0].contains("pictograms"),
                "expected one line of standard error, found \(result.errors)")
        }
    }

    @Test func quietSuppressesTheTinyNote() throws {
        let result = try clip("encode", Self.example("bike"), "--quiet")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.isEmpty, "\(result.errors)")
    }

    @Test func tinyAnswersWithoutInstalledModel() throws {
        let image = Self.example("dog")
        for arguments in [
            ["similarity", "--image", image, "--text", "a", "b", "--json"],
            ["score", "--image", image, "--text", "a dog", "--json"],
            ["encode", "--text", "a dog", "--format", "json"],
            ["zeroshot", image, "a", "b", "--json"],
            ["bench", "--tower", "text", "--repetitions", "1"],
        ] {
            let result = try ClipBinary(folder: folder).run(arguments)
            #expect(result.status == 0, "\(arguments): \(result.errors)")
            #expect(result.errors.contains(Self.note), "\(arguments): \(result.errors)")
            guard arguments[0] != "bench" else { continue }
            let object = try result.json()
            #expect(object["model"] as? String == "tiny", "\(arguments): \(result.text)")
        }
    }

    @Test func lastingOutputsAreNeverMadeWithTiny() throws {
        let photos = folder.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: photos, withIntermediateDirectories: false)
        try FileManager.default.copyItem(
            atPath: Self.example("dog"), toPath: photos + "/dog.jpg")
        let before = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            .filter { !$0.contains(".in") && !$0.contains(".out") && !$0.contains(".err") }
        for arguments in [
            ["index", photos], ["index", photos, "-q"],
            ["encode", photos, "-o", "x.npy"], ["encode", photos, "-o", "x.jsonl"],
            ["encode", photos, "-o", "x.json"], ["encode", photos, "-o", "shards/"],
            ["encode", photos, "-o", "x.npy", "--resume"],
            ["encode", "--text", "a", "--hidden-states", "last", "-o", "x.npy"],
        ] {
            let result = try ClipBinary(folder: folder).run(arguments)
            expectFailure(result, status: 2, says: "run clip pull ViT-B/32, or give --model tiny")
        }
        let after = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            .filter { !$0.contains(".in") && !$0.contains(".out") && !$0.contains(".err") }
        #expect(Set(after) == Set(before))

        // It may be used if it is named.
        let made = try clip("index", photos, "--model", "tiny", "--json")
        #expect(made.status == 0, "\(made.errors)")
        #expect(made.errors.isEmpty, "\(made.errors)")
        #expect(try made.json()["model"] as? String == "tiny")
        let search = try clip("search", "a dog", "--index", photos)
        #expect(search.status == 0, "\(search.errors)")
        #expect(search.errors.isEmpty, "\(search.errors)")
        let vectors = try clip(
            "encode", photos, "-o", "y.npy", environment: ["CLIP_MODEL": "tiny"])
        #expect(vectors.status == 0, "\(vectors.errors)")
        #expect(vectors.errors.isEmpty, "\(vectors.errors)")
        #expect(try clip("search", "a dog", "--index", "y.npy").status == 0)
        // Vectors without a record of their model: no default is accepted.
        try FileManager.default.removeItem(atPath: folder.path + "/y.model.json")
        expectFailure(
            try clip("search", "a dog", "--index", "y.npy"), status: 2, says: "--model")
    }

    // MARK: ViT-B/32 is installed

    /// The searched cache layouts: the path of the weights, and the variables that point to it.
    private static let layouts: [(path: String, variables: [String: String])] = [
        (".cache/huggingface/hub/\(timm)/open_clip_model.safetensors", [:]),
        (".cache/huggingface/hub/\(transformers)/model.safetensors", [:]),
        ("hf/hub/\(timm)/open_clip_model.safetensors", ["HF_HOME": "hf"]),
        ("hub/\(timm)/open_clip_model.safetensors", ["HF_HUB_CACHE": "hub"]),
        ("xdg/huggingface/hub/\(timm)/open_clip_model.safetensors", ["XDG_CACHE_HOME": "xdg"]),
        (".cache/clip/ViT-B-32.pt", [:]),
        ("own/ViT-B-32.safetensors", ["CLIP_HOME": "own"]),
    ]
    private static let timm = "models--timm--vit_base_patch32_clip_224.openai/snapshots/c0ffee"
    private static let transformers = "models--openai--clip-vit-base-patch32/snapshots/c0ffee"

    private func absolute(_ variables: [String: String]) -> [String: String] {
        variables.mapValues { "\(folder.path)/\($0)" }
    }

    private func install(_ weights: String, at path: String) throws {
        let path = "\(folder.path)/\(path)"
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: weights)
    }

    @Test func installedModelsAreUsedFromEveryCache() throws {
        let weights = try SparseWeights.write(to: folder.path + "/weights")
        let empty = folder.path + "/empty"
        try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: false)
        for (path, variables) in Self.layouts {
            try install(weights, at: path)
            let environment = absolute(variables)
            let result = try clip(
                "encode", "--text", "a cat", "--format", "json", environment: environment)
            #expect(result.status == 0, "\(path): \(result.errors)")
            #expect(result.errors.isEmpty, "\(path): \(result.errors)")
            let object = try result.json()
            #expect(object["model"] as? String == "ViT-B/32", "\(path)")
            #expect(object["dimension"] as? Int == 512, "\(path)")
            let index = try clip("index", empty, "--json", environment: environment)
            #expect(index.status == 0, "\(path): \(index.errors)")
            #expect(index.errors.isEmpty, "\(path): \(index.errors)")
            #expect(try index.json()["model"] as? String == "ViT-B/32", "\(path)")
            try FileManager.default.removeItem(atPath: "\(folder.path)/\(path)")
        }
        let without = try clip("encode", "--text", "a cat")
        #expect(without.errors.contains(Self.note), "\(without.errors)")
    }

    // MARK: another default

    private func defaults(
        _ environment: [String: String] = [:], _ arguments: String...
    ) throws -> [[String: Any]] {
        let result = try ClipBinary(folder: folder).run(
            ["models", "--json"] + arguments, environment: environment)
        let all = try JSONSerialization.jsonObject(with: result.output) as? [[String: Any]]
        return try #require(all).filter { $0["default"] as? Bool == true }
    }

    @Test func defaultsAreStoredAndShown() throws {
        #expect(try defaults().compactMap { $0["name"] as? String } == ["tiny"])
        let snapshot = ".cache/huggingface/hub/models--me--model/snapshots/c"
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/\(snapshot)", withIntermediateDirectories: true)
        for name in ["open_clip_model.safetensors", "open_clip_config.json"] {
            try folder.copy("\(CommandTests.model)/\(name)", as: "\(snapshot)/\(name)")
        }
        let pull = try clip("pull", "me/model", "--default")
        #expect(pull.status == 0)
        #expect(pull.errors.contains("me/model is the default model now"))
        let file = folder.path + "/.cache/clip/default-model"
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "me/model\n")

        let rows = try defaults()
        #expect(rows.count == 1, "\(rows)")
        #expect(rows.first?["name"] as? String == "me/model", "\(rows)")
        #expect(rows.first?["installed"] as? Bool == true)
        #expect(try clip("models").text.contains("yes, default"))
        let found = try clip("encode", "--text", "a", "--format", "json")
        #expect(found.status == 0, "\(found.errors)")
        #expect(found.errors.isEmpty, "\(found.errors)")
        #expect(try found.json()["model"] as? String == "me/model")
        let written = try clip("encode", "--text", "a", "-o", "x.npy")
        #expect(written.status == 0, "\(written.errors)")
        #expect(written.errors.isEmpty, "\(written.errors)")
        // A named model takes precedence over the default.
        let named = try clip("encode", "--text", "a", "--format", "json", "-m", "tiny")
        #expect(try named.json()["model"] as? String == "tiny")

        try FileManager.default.removeItem(atPath: "\(folder.path)/.cache/huggingface")
        for arguments in [["encode", "--text", "a"], ["encode", "--text", "a", "-o", "x.npy"]] {
            let gone = try ClipBinary(folder: folder).run(arguments)
            expectFailure(gone, status: 1, says: "the default model me/model (set in \(file))")
            #expect(gone.errors.contains("clip pull ViT-B/32 --default"), "\(gone.errors)")
        }
        #expect(try clip("models", "me/").text.contains("no, default"))

        #expect(try clip("pull", "tiny", "--default", "-q").status == 0)
        let tiny = try clip("encode", "--text", "a", "-o", "y.npy")
        #expect(tiny.status == 0, "\(tiny.errors)")
        #expect(tiny.errors.isEmpty, "\(tiny.errors)")
    }

    @Test func defaultIsStoredInCLIPHome() throws {
        let environment = ["CLIP_HOME": folder.path + "/own/home"]
        let set = try clip("pull", "tiny", "--default", environment: environment)
        #expect(set.status == 0, "\(set.errors)")
        let names = try FileManager.default.contentsOfDirectory(atPath: folder.path + "/own/home")
        #expect(names == ["default-model"])
    }

    @Test func messagesNameTheModelsVariable() throws {
        let result = try clip("encode", "--text", "a", environment: ["CLIP_MODEL": "nope"])
        expectFailure(result, status: 1, says: "the name comes from CLIP_MODEL")
        let typed = try clip("encode", "--text", "a", "--model", "nope")
        #expect(!typed.errors.contains("CLIP_MODEL"), "\(typed.errors)")
    }
}

/// Weights with the shapes of ViT-B/32 in a sparse file.
///
/// All numbers are 0, except the bias of the text tower's last norm and a row of its projection.
enum SparseWeights {
    /// Writes the file.
    static func write(to path: String) throws -> String {
        var entries: [String] = []
        var offset = 0
        var places: [String: Int] = [:]
        for (name, shape) in shapes() {
            let count = 2 * shape.reduce(1, *)
            places[name] = offset
            entries.append(
                """
                "\(name)":{"dtype":"F16","shape":\(shape),\
                "data_offsets":[\(offset),\(offset + count)]}
                """)
            offset += count
        }
        var header = Array("{\(entries.joined(separator: ","))}".utf8)
        header += [UInt8](repeating: 0x20, count: 7 - (header.count + 7) % 8)
        let size = withUnsafeBytes(of: UInt64(header.count).littleEndian) { Array($0) }
        _ = FileManager.default.createFile(atPath: path, contents: Data(size + header))
        let file = try #require(FileHandle(forUpdatingAtPath: path))
        try file.truncate(atOffset: UInt64(8 + header.count + offset))
        for name in ["ln_final.bias", "text_projection"] {
            let start = try #require(places[name])
            try file.seek(toOffset: UInt64(8 + header.count + start))
            file.write(
                Data(
                    [UInt8](repeating: 0, count: 1024).enumerated().map { $0.0 % 2 == 1 ? 0x3C : 0 }
                ))
        }
        try file.close()
        return path
    }

    private static func shapes() -> [(String, [Int])] {
        var all: [(String, [Int])] = [
            ("logit_scale", []), ("positional_embedding", [77, 512]),
            ("text_projection", [512, 512]), ("token_embedding.weight", [49408, 512]),
            ("ln_final.weight", [512]), ("ln_final.bias", [512]),
            ("visual.class_embedding", [768]), ("visual.positional_embedding", [50, 768]),
            ("visual.proj", [768, 512]), ("visual.conv1.weight", [768, 3, 32, 32]),
            ("visual.ln_pre.weight", [768]), ("visual.ln_pre.bias", [768]),
            ("visual.ln_post.weight", [768]), ("visual.ln_post.bias", [768]),
        ]
        for (tower, width) in [("", 512), ("visual.", 768)] {
            for layer in 0..<12 {
                let block = "\(tower)transformer.resblocks.\(layer)."
                all += [
                    ("\(block)ln_1.weight", [width]), ("\(block)ln_1.bias", [width]),
                    ("\(block)attn.in_proj_weight", [3 * width, width]),
                    ("\(block)attn.in_proj_bias", [3 * width]),
                    ("\(block)attn.out_proj.weight", [width, width]),
                    ("\(block)attn.out_proj.bias", [width]),
                    ("\(block)ln_2.weight", [width]), ("\(block)ln_2.bias", [width]),
                    ("\(block)mlp.c_fc.weight", [4 * width, width]),
                    ("\(block)mlp.c_fc.bias", [4 * width]),
                    ("\(block)mlp.c_proj.weight", [width, 4 * width]),
                    ("\(block)mlp.c_proj.bias", [width]),
                ]
            }
        }
        return all
    }
}
