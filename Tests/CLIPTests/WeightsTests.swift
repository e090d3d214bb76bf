import Files
import Foundation
import Tensors
import TestSupport
import Testing

@testable import CLIP
@testable import TensorFiles

/// Tests the configuration that is read from weights and their files, and rejected combinations.
@Suite struct WeightsTests {
    private let folder: TemporaryFolder
    private let vit = Fixtures.path("models/vit")

    init() throws { folder = try TemporaryFolder() }

    /// The tiny ViT, or another model, without its configuration and with a changed JSON header.
    @discardableResult private func bareFile(
        of model: String = "vit/open_clip_model.safetensors", as name: String = "bare.safetensors",
        _ change: (String) -> String = { $0 }
    ) throws -> String {
        let whole = try bytes(ofFile: Fixtures.path("models/\(model)"))
        let length = whole[0..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
        let header = Array(change(String(decoding: whole[8..<(8 + length)], as: UTF8.self)).utf8)
        let prefix = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        return try folder.write(name, prefix + header + whole[(8 + length)...])
    }

    private func loadError(_ path: String, activation: Activation? = nil) -> CLIPError? {
        do {
            _ = try CLIPModel(path: path, activation: activation)
            return nil
        } catch {
            return error
        }
    }

    /// A configuration like the tiny ViT's, with some text replaced.
    private func writeConfiguration(_ changes: KeyValuePairs<String, String> = [:]) throws {
        var text = String(
            decoding: try bytes(ofFile: vit + "/open_clip_config.json"), as: UTF8.self)
        for (old, new) in changes {
            #expect(text.contains(old), "nothing to replace: \(old)")
            text.replace(old, with: new)
        }
        try folder.write("open_clip_config.json", text.utf8)
    }

    @Test func configurationOfTinyModelsIsInferred() throws {
        let vit = try CLIPModel(path: vit).configuration
        var expected = CLIPConfiguration.VisionTransformer(
            resolution: 32, patchSize: 8, width: 48, layers: 2, heads: 3, mlpWidth: 192)
        expected.activation = .quickGELU
        #expect(vit.vision == .visionTransformer(expected))
        #expect(vit.activation == .quickGELU)
        #expect(vit.embeddingDimension == 24)
        #expect(vit.text.contextLength == 16)
        #expect(vit.text.heads == 2)

        let hf = try CLIPModel(path: Fixtures.path("models/vit-hf"))
        #expect(hf.configuration.activation == .gelu)
        #expect(hf.weights.layout == .huggingFace)

        let resnet = try CLIPModel(path: Fixtures.path("models/resnet")).configuration
        #expect(
            resnet.vision
                == .modifiedResNet(
                    .init(resolution: 64, width: 4, layers: [1, 2, 1, 1], heads: 8)))
    }

    @Test func unknownHeadCountIsRejected() throws {
        let error = loadError(try bareFile())
        #expect("\(try #require(error))".contains("number of heads"))
    }

    /// A model of zeros without a configuration, whose head count follows from its widths.
    private func writeZeros(as name: String) throws -> String {
        var configuration = try CLIPModel(path: vit).configuration
        configuration.vision = .visionTransformer(
            .init(resolution: 64, patchSize: 32, width: 64, layers: 1, heads: 1, mlpWidth: 256))
        configuration.text = .init(
            contextLength: 8, vocabularySize: 10, width: 64, layers: 1, heads: 1, mlpWidth: 256)
        var entries: [String] = []
        var end = 0
        for (name, shape) in configuration.tensorShapes.sorted(by: { $0.key < $1.key }) {
            let start = end
            end += 2 * shape.reduce(1, *)
            entries.append(
                #""\#(name)":{"dtype":"BF16","shape":\#(shape),"data_offsets":[\#(start),\#(end)]}"#
            )
        }
        let header = Array("{\(entries.joined(separator: ","))}".utf8)
        let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
        return try folder.write(name, length + header + [UInt8](repeating: 0, count: end))
    }

    @Test func unknownActivationIsRejected() throws {
        let path = try writeZeros(as: "weights.safetensors")
        #expect(loadError(path) == .unknownActivation(path: path))
        let model = try CLIPModel(path: path, activation: .gelu)
        #expect(model.configuration.activation == .gelu)
        #expect(model.weights.activationSource == .caller)
        #expect(model.weights.types == ["BF16"])
        #expect(try model.encode(tokens: [[1, 9]]).values == [Float](repeating: 0, count: 24))
    }

    @Test func officialNameWithOtherShapesIsRejected() throws {
        // The name is OpenAI's, the sizes differ.
        let path = try writeZeros(as: "ViT-B-32.safetensors")
        #expect(loadError(path) == .unknownActivation(path: path))
    }

    @Test func officialSizes() throws {
        var configuration = try CLIPModel(path: vit).configuration
        configuration.embeddingDimension = 512
        configuration.text = .init(
            contextLength: 77, vocabularySize: 49408, width: 512, layers: 12, heads: 8,
            mlpWidth: 2048)
        configuration.vision = .visionTransformer(
            .init(
                resolution: 224, patchSize: 32, width: 768, layers: 12, heads: 12, mlpWidth: 3072))
        #expect(OfficialModel.allCases.filter { $0.matches(configuration) } == [.vitB32])
        #expect(OfficialModel.vitL14at336.fileStem == "ViT-L-14-336px")
    }

    @Test func activationSourcesHavePrecedence() throws {
        try bareFile(as: "open_clip_model.safetensors")
        try writeConfiguration()
        #expect(try CLIPModel(path: folder.path).configuration.activation == .quickGELU)
        #expect(
            loadError(folder.path, activation: .gelu)
                == .contradictoryActivation(
                    path: folder.path + "/open_clip_model.safetensors", stated: .quickGELU,
                    requested: .gelu))
        try writeConfiguration(["\"quick_gelu\": true": "\"quick_gelu\": false"])
        #expect(try CLIPModel(path: folder.path).configuration.activation == .gelu)
    }

    @Test func configurationOfAnotherModelIsRejected() throws {
        let path = try bareFile()
        for (changes, says): (KeyValuePairs<String, String>, String) in [
            (["\"width\": 48": "\"width\": 64"], "does not match the weights"),
            (["\"embed_dim\": 24": "\"embed_dim\": 25"], "does not match the weights"),
            (["\"image_size\": 32": "\"image_size\": 64"], "64"),
            (["\"quick_gelu\": true": "\"surprise\": true"], "surprise"),
            (
                ["\"patch_size\": 8": "\"patch_size\": 8, \"timm_model_name\": \"x\""],
                "timm_model_name"
            ),
            (["\"bicubic\"": "\"random\""], "random"),
            (["\"head_width\": 16": "\"head_width\": 0"], "head_width"),
            (["\"head_width\": 16": "\"head_width\": \"16\""], "not a whole number"),
            (["\"quick_gelu\": true": "\"quick_gelu\": \"true\""], "not true or false"),
            (["\"image_size\": 32": "\"image_size\": [32, 40]"], "not a square"),
            (["\"head_width\": 16": "\"head_width\": 5"], "heads"),
            (["\"heads\": 2": "\"heads\": -2"], "heads"),
            (["{": "["], "not JSON"),
        ] {
            try writeConfiguration(changes)
            let error = loadError(path)
            #expect("\(try #require(error))".contains(says), "\(changes): \(error as Any)")
        }
    }

    @Test func wholeNumbersMayHaveADecimalPoint() throws {
        let path = try bareFile()
        try writeConfiguration(["\"heads\": 2": "\"heads\": 4.0"])
        #expect(try CLIPModel(path: path).configuration.text.heads == 4)
    }

    @Test func unrelatedFileOfTheSameNameIsSkipped() throws {
        let path = try bareFile()
        try writeConfiguration()
        try folder.write("bare.json", "{\"notes\": 1}".utf8)
        #expect(try CLIPModel(path: path).configuration.activation == .quickGELU)
    }

    @Test func preprocessorsOfHuggingFaceAreRead() throws {
        try folder.copy(Fixtures.path("models/vit-hf/model.safetensors"), as: "model.safetensors")
        try folder.copy(Fixtures.path("models/vit-hf/config.json"), as: "config.json")
        func load(_ json: String) throws -> ImagePreprocessor {
            try folder.write("preprocessor_config.json", json.utf8)
            return try CLIPModel(path: folder.path).preprocessor
        }
        let squash = try load(
            #"{"size":{"height":28,"width":28},"resample":2,"image_mean":[0,0,0]}"#)
        #expect(squash.resizeMode == .squash)
        #expect(squash.interpolation == .bilinear)
        #expect(squash.mean == [0, 0, 0])
        let shortest = try load(
            #"{"size":{"shortest_edge":28},"crop_size":{"height":28,"width":28}}"#)
        #expect(shortest == ImagePreprocessor(resolution: 28))
        #expect(try load(#"{"size":28,"crop_size":28}"#) == shortest)
        for bad in [
            #"{"size":{"shortest_edge":32},"crop_size":28}"#, #"{"do_normalize":false}"#,
            #"{"resample":"bilinear"}"#, #"{"image_std":[0,1,1]}"#,
            #"{"size":{"longest_edge":28}}"#,
            #"{"size":56,"crop_size":56}"#,
        ] {
            #expect(throws: CLIPError.self, "\(bad)") { try load(bad) }
        }
    }

    @Test func emptyTensorIsRejected() throws {
        try writeConfiguration()
        let path = try folder.write(
            "bare.safetensors",
            SafetensorsTests.file(
                #"{"token_embedding.weight":{"dtype":"F16","shape":[4611686018427387903,0],"#
                    + #""data_offsets":[0,0]}}"#
            ))
        #expect("\(loadError(path) as Any)".contains("is empty"))
    }

    @Test func towerIsReadAtFirstUse() throws {
        let model = try CLIPModel(path: vit)
        _ = try model.encode(images: [])
        _ = try model.encode(tokens: [])
        #expect(model.towersRead == (false, false))
        _ = try model.encode(tokens: [[62, 63]])
        #expect(model.towersRead == (false, true))
    }

    @Test func wrongTensorIsNamed() throws {
        try writeConfiguration()
        func error(replacing old: String, with new: String) throws -> CLIPError? {
            loadError(try bareFile { $0.replacing(old, with: new) })
        }
        let path = folder.path + "/bare.safetensors"
        #expect(
            try error(replacing: "\"visual.ln_pre.bias\"", with: "\"visual.ln_pri.bias\"")
                == .missingTensor(path: path, name: "visual.ln_pre.bias", shape: [48], others: 0))
        #expect(
            try error(replacing: "\"visual.proj\"", with: "\"visual.prij\"")
                == .unknownArchitecture(
                    path: path,
                    expected: "the tensor visual.proj or visual.attnpool.positional_embedding",
                    found: "neither"))
        let name = "visual.transformer.resblocks.1.mlp.c_fc.weight"
        #expect(
            try error(
                replacing: "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[192,48]",
                with: "\"\(name)\":{\"dtype\":\"F32\",\"shape\":[48,192]")
                == .misshapenTensor(
                    path: path, name: name, expected: [192, 48], found: [48, 192]))
        let unknown = try error(
            replacing: "\"token_embedding.weight\"", with: "\"some_embedding.weight\"")
        #expect("\(try #require(unknown))".contains("the tensor token_embedding.weight"))
        let integers = try error(
            replacing: "\"visual.class_embedding\":{\"dtype\":\"F32\"",
            with: "\"visual.class_embedding\":{\"dtype\":\"I32\"")
        #expect("\(try #require(integers))".contains("I32"))
    }

    @Test func tensorNamesFollowTheFile() throws {
        try folder.copy(Fixtures.path("models/vit-hf/config.json"), as: "config.json")
        let path = folder.path + "/bare.safetensors"
        func error(replacing old: String, with new: String) throws -> CLIPError? {
            loadError(
                try bareFile(of: "vit-hf/model.safetensors") {
                    #expect($0.contains(old))
                    return $0.replacing(old, with: new)
                })
        }
        #expect(try error(replacing: "__metadata__", with: "__metadata__") == nil)
        let value = "vision_model.encoder.layers.1.self_attn.v_proj.weight"
        #expect(
            try error(replacing: value, with: "vision_model.x")
                == .missingTensor(path: path, name: value, shape: [40, 40], others: 0))
        let norm = "text_model.encoder.layers.0.layer_norm2.bias"
        #expect(
            try error(replacing: norm, with: "x")
                == .missingTensor(path: path, name: norm, shape: [24], others: 0))
        #expect(
            try error(replacing: "visual_projection.weight", with: "visual.proj")
                == .misshapenTensor(
                    path: path, name: "visual.proj", expected: [40, 20], found: [20, 40]))
        let query = "text_model.encoder.layers.1.self_attn.q_proj.weight"
        let second = "text_model.encoder.layers.1.self_attn.k_proj.weight"
        #expect(try error(replacing: second, with: query) != nil)
    }

    @Test func tensorWithNaNIsNamed() throws {
        var whole = try bytes(ofFile: vit + "/open_clip_model.safetensors")
        let weights = vit + "/open_clip_model.safetensors"
        let file = try SafetensorsFile(MappedFile(path: weights))
        let name = "visual.transformer.resblocks.1.mlp.c_fc.weight"
        let start = try #require(file.entries[name]).byteRange.lowerBound + 4 * 100
        whole.replaceSubrange(start..<(start + 4), with: [0, 0, 0xC0, 0x7F])
        let path = try folder.write("open_clip_model.safetensors", whole)
        try writeConfiguration()

        let model = try CLIPModel(path: folder.path)
        #expect(throws: CLIPError.nonFiniteResult(path: path, stage: "the tensor \(name)")) {
            try model.encode(pixels: [Float](repeating: 0.5, count: 3 * 32 * 32))
        }
        for count in [1, 300] {
            let encoded = Array(
                model.encodings(of: 0..<count) { seed throws(CLIPError) in
                    try RGBImage(
                        width: 8, height: 8,
                        pixels: (0..<192).map { UInt8(truncatingIfNeeded: $0 * (seed + 3)) })
                })
            #expect(
                encoded.map(\.embedding)
                    == [.failure(.nonFiniteResult(path: path, stage: "the tensor \(name)"))])
        }
        // The other tower is not affected.
        #expect(try model.encode(tokens: [[62, 5, 63]]).values.allSatisfy(\.isFinite))
    }

    @Test func bytesInMemoryGiveTheSameModel() throws {
        let weights = try bytes(ofFile: vit + "/open_clip_model.safetensors")
        let configuration = try bytes(ofFile: vit + "/open_clip_config.json")
        let model = try CLIPModel(
            safetensors: weights, configuration: configuration, name: "the model")
        let other = try CLIPModel(path: vit)
        #expect(model.weights.path == "the model")
        #expect(model.configuration == other.configuration)
        let tokens = [[62, 5, 9, 63]]
        #expect(try model.encode(tokens: tokens) == other.encode(tokens: tokens))

        func error(
            _ weights: some Collection<UInt8>, _ configuration: [UInt8], sha256: String? = nil
        ) -> String {
            do {
                _ = try CLIPModel(
                    safetensors: weights, configuration: configuration, name: "the model",
                    sha256: sha256)
                return ""
            } catch {
                return "\(error)"
            }
        }
        for count in [0, 7, 100, weights.count / 2, weights.count - 1] {
            #expect(
                error(weights.prefix(count), configuration)
                    .hasPrefix("cannot read the weights the model"))
        }
        #expect(error(weights, []).hasPrefix("cannot use the configuration the model"))
        #expect(error(weights, Array("{}".utf8)).contains("not a configuration of open_clip"))
        let wrong = String(repeating: "0", count: 64)
        #expect(error(weights, configuration, sha256: wrong).hasPrefix("the model is damaged"))
    }

    @Test func checksumBesideTheWeightsIsVerified() throws {
        var whole = try bytes(ofFile: Fixtures.root + "/Weights/tiny.safetensors")
        let sum = try bytes(ofFile: Fixtures.root + "/Weights/tiny.sha256")
        try folder.copy(Fixtures.root + "/Weights/tiny.json", as: "tiny.json")
        try folder.write("tiny.sha256", sum)
        let path = try folder.write("tiny.safetensors", whole)
        #expect(loadError(path) == nil)

        try folder.write("tiny.sha256", String(decoding: sum, as: UTF8.self).uppercased().utf8)
        #expect(loadError(path) == nil)
        try folder.write("tiny.sha256", "not a sum\n".utf8)
        #expect("\(loadError(path) as Any)".contains("64 hexadecimal digits"))

        try FileManager.default.moveItem(
            atPath: folder.path + "/tiny.sha256", toPath: folder.path + "/tiny.safetensors.sha256")
        #expect("\(loadError(path) as Any)".contains("64 hexadecimal digits"))
        try folder.write("tiny.safetensors.sha256", sum)
        whole[whole.count - 1] ^= 1
        try folder.write("tiny.safetensors", whole)
        guard case .damagedWeights(path, let expected, let found) = loadError(path) else {
            Issue.record("\(loadError(path) as Any)")
            return
        }
        #expect(sum.starts(with: expected.utf8))
        #expect(found != expected)
        try folder.write("tiny.safetensors", whole.dropLast())
        #expect("\(loadError(path) as Any)".contains("cannot read the weights \(path)"))
    }

    @Test func folderWithoutWeightsIsRejected() {
        let error = loadError(folder.path)
        #expect("\(error as Any)".contains("with one of open_clip_model.safetensors"))
    }
}
