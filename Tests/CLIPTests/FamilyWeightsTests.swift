import Foundation
import TestSupport
import Testing

@testable import CLIP

/// Weights of the families after CLIP: names, missing tensors and configurations, and conversion.
@Suite struct FamilyWeightsTests {
    static let models = [
        "siglip", "siglip2", "siglip-hf", "siglip-i18n-so400m", "siglip2-naflex",
        "siglip2-naflex-hf", "mobileclip-b", "mobileclip2-l", "metaclip2", "metaclip2-hf", "pe",
        "pe-noclass", "eva01", "vit-avg",
    ]

    let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// A written model, whose layout is OpenAI's and whose configuration is in the file, gives the
    /// same bits.
    @Test(arguments: models) func writtenModelsAreTheSame(_ name: String) throws {
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
        let path = folder.path + "/written.safetensors"
        try model.write(safetensors: path)
        let written = try CLIPModel(path: path)
        #expect(written.configuration == model.configuration)
        #expect(written.preprocessor == model.preprocessor)
        #expect(written.tokenizerRules == model.tokenizerRules)
        #expect(written.weights.layout == .openAI)
        #expect(written.logitBias == model.logitBias)
        let tokens = [Array(1...8) + [9, 2]]
        #expect(try written.encode(tokens: tokens) == model.encode(tokens: tokens))
        let side = model.configuration.resolution
        let pixels = (0..<(3 * side * side)).map { Float($0 % 17) / 8 - 1 }
        #expect(try written.encode(pixels: pixels) == model.encode(pixels: pixels))
    }

    /// A file without one of its tensors is refused, and the error names the tensor as the file
    /// does, or what its absence makes unclear.
    @Test(arguments: models) func everyTensorIsNeeded(_ name: String) throws {
        let source = Fixtures.path("models/\(name)")
        let file = name.hasSuffix("-hf") ? "model.safetensors" : "open_clip_model.safetensors"
        for other in try FileManager.default.contentsOfDirectory(atPath: source)
        where other.hasSuffix(".json") {
            try folder.copy(source + "/" + other, as: other)
        }
        let bytes = try bytes(ofFile: source + "/" + file)
        let headerSize = (0..<8).reduce(0) { $0 | Int(bytes[$1]) << (8 * $1) }
        let header = String(decoding: bytes[8..<(8 + headerSize)], as: UTF8.self)
        let names = try #require(
            try JSONSerialization.jsonObject(with: Data(header.utf8)) as? [String: Any]
        ).keys.filter { $0 != "__metadata__" && !$0.hasSuffix("num_batches_tracked") }
        #expect(names.count > 40)
        for tensor in names.sorted() {
            // The tensor gets a name of the same length that no model has.
            let renamed = header.replacingOccurrences(
                of: "\"\(tensor)\"", with: "\"\(String(repeating: "x", count: tensor.utf8.count))\""
            )
            try folder.write(file, bytes[..<8] + Array(renamed.utf8) + bytes[(8 + headerSize)...])
            #expect(throws: CLIPError.self, "\(tensor)") { try CLIPModel(path: folder.path) }
            do {
                _ = try CLIPModel(path: folder.path)
            } catch CLIPError.missingTensor(_, let found, _, let others) where others == 0 {
                // The norm after a mean is named `fc_norm`; nothing says which of both is missing.
                #expect(found == tensor.replacingOccurrences(of: "fc_norm", with: "norm"))
            } catch {
                // Other errors name an extra tensor, or a shape that is no longer clear.
            }
        }
    }

    /// Without a configuration, what the shapes do not show is an error.
    @Test(arguments: models.filter { !["metaclip2", "metaclip2-hf"].contains($0) })
    func configurationIsNeeded(_ name: String) throws {
        let file = name.hasSuffix("-hf") ? "model.safetensors" : "open_clip_model.safetensors"
        let path = try folder.copy(Fixtures.path("models/\(name)/\(file)"), as: file)
        #expect {
            try CLIPModel(path: path, activation: .gelu)
        } throws: { error in
            "\(error)".contains("configuration")
        }
    }

    /// Copies a model and changes its configuration, and returns the error of loading it.
    private func error(
        of name: String, _ file: String, _ changes: KeyValuePairs<String, String>
    ) throws -> String {
        let source = Fixtures.path("models/\(name)")
        for other in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
            try FileManager.default.removeItem(atPath: folder.path + "/" + other)
        }
        for other in try FileManager.default.contentsOfDirectory(atPath: source) {
            try folder.copy(source + "/" + other, as: other)
        }
        var text = try String(contentsOfFile: source + "/" + file, encoding: .utf8)
        for (old, new) in changes {
            #expect(text.contains(old), "\(old)")
            text = text.replacingOccurrences(of: old, with: new)
        }
        try folder.write(file, text.utf8)
        do {
            _ = try CLIPModel(path: folder.path)
            return "none"
        } catch {
            return "\(error)"
        }
    }

    @Test func configurationsThatDoNotFitAreRefused() throws {
        let openCLIP = "open_clip_config.json"
        let cases: [(String, String, KeyValuePairs<String, String>, String)] = [
            ("vit", openCLIP, ["\"shortest\"": "\"patches\""], "resize_mode"),
            ("pe-noclass", openCLIP, ["\"squash\"": "\"patches\""], "resize_mode"),
            (
                "pe-noclass", openCLIP, ["\"timm_pool\"": "\"naflex\": true, \"timm_pool\""],
                "visual.conv1.weight"
            ),
            (
                "mobileclip-b", openCLIP, ["\"timm_pool\"": "\"naflex\": true, \"timm_pool\""],
                "keep their aspect ratio"
            ),
            (
                "siglip", openCLIP, ["vit_base_patch16_siglip_224": "vit_unknown"],
                "timm_model_name"
            ),
            (
                "siglip", openCLIP, ["\"pool_type\": \"last\"": "\"pool_type\": \"mean\""],
                "pool_type"
            ),
            (
                "metaclip2", openCLIP, ["\"eos_id\": 2": "\"eos_id\": 9999"], "end token"
            ),
            (
                "siglip2-naflex-hf", "preprocessor_config.json",
                ["\"max_num_patches\": 25": "\"max_num_patches\": 1000000"], "max_num_patches"
            ),
            (
                "siglip2-naflex-hf", "config.json",
                ["\"num_patches\": 25": "\"num_patches\": 9223372036854775807"], "num_patches"
            ),
            (
                "siglip-hf", "config.json", ["\"gelu_pytorch_tanh\"": "\"swish\""], "hidden_act"
            ),
        ]
        for (name, file, changes, says) in cases {
            let found = try error(of: name, file, changes)
            #expect(found.contains(says), "\(name) \(changes): \(found)")
        }
    }

    /// Configurations that contradict the weights, or leave open what decides their numbers.
    @Test(
        arguments: [
            ("siglip", "vit_base_patch16_siglip_224", "vit_base_patch16_clip_224", "class token"),
            (
                "mobileclip2-l", "vit_large_patch14_clip_224", "vit_base_mci_224",
                "before the blocks"
            ),
            (
                "pe", "vit_pe_core_base_patch16_224", "vit_base_patch16_clip_224",
                "attention pooling"
            ),
            ("siglip", "\"heads\": 4,\n      \"image", "\"image", "width"),
            ("siglip", "\"timm_pool\": \"map\"", "\"timm_pool\": \"token\"", "timm_pool"),
            ("siglip", "\"context_length\": 10", "\"context_length\": 12", "context length"),
            ("siglip", "\"vocab_size\": 64", "\"vocab_size\": 65", "vocabulary size"),
            ("siglip", "\"layers\": 2", "\"layers\": 3", "number of blocks"),
            ("siglip", "\"mlp_ratio\": 2.0", "\"mlp_ratio\": 4.0", "MLP width"),
            ("siglip", "\"mlp_ratio\": 2.0", "\"mlp_ratio\": \"x\"", "mlp_ratio"),
            ("siglip", "\"vision_cfg\": {", "\"vision_cfg\": 1, \"x\": {", "object vision_cfg"),
            ("siglip", "\"text_cfg\": {", "\"text_cfg\": null, \"x\": {", "object text_cfg"),
            ("siglip", "\"preprocess_cfg\"", "\"other\"", "preprocess_cfg is missing"),
            ("siglip", "\"preprocess_cfg\": {", "\"preprocess_cfg\": 1, \"x\": {", "object"),
            ("siglip", "\"heads\": 4", "\"layer_norm_eps\": \"a\", \"heads\": 4", "layer_norm_eps"),
        ])
    func contradictionsAreRefused(
        _ name: String, _ old: String, _ new: String, _ says: String
    ) throws {
        let found = try error(of: name, "open_clip_config.json", [old: new])
        #expect(found.contains(says), "\(found)")
    }

    @Test(
        arguments: [
            (
                "siglip-hf", "config", "\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3",
                "blocks"
            ),
            ("siglip-hf", "config", "\"patch_size\": 8", "\"patch_size\": 16", "patch size"),
            ("siglip-hf", "config", "\"text_config\": {", "\"text_config\": 1, \"x\": {", "object"),
            (
                "siglip-hf", "preprocessor_config", "0.00392156862745098", "0.004", "rescale_factor"
            ),
            (
                "siglip-hf", "preprocessor_config", "SiglipImageProcessor", "Siglip2ImageProcessor",
                "image_processor_type"
            ),
            (
                "siglip2-naflex-hf", "preprocessor_config", "Siglip2ImageProcessor",
                "SiglipImageProcessorFast", "image_processor_type"
            ),
        ])
    func contradictionsInTransformersFilesAreRefused(
        _ name: String, _ file: String, _ old: String, _ new: String, _ says: String
    ) throws {
        let found = try error(of: name, "\(file).json", [old: new])
        #expect(found.contains(says), "\(found)")
    }

    /// A preprocessor_config.json that is no object is not taken for a missing one.
    @Test func preprocessorThatIsNoObjectIsRefused() throws {
        let source = Fixtures.path("models/siglip-hf")
        for other in try FileManager.default.contentsOfDirectory(atPath: source) {
            try folder.copy(source + "/" + other, as: other)
        }
        try folder.write("preprocessor_config.json", "[]".utf8)
        #expect {
            try CLIPModel(path: folder.path)
        } throws: { "\($0)".contains("expected a JSON object") }
    }

    @Test func vocabularyThatCannotBeCLIPsIsRefused() throws {
        let model = try CLIPModel(path: Fixtures.path("models/mobileclip-b"))
        #expect {
            try model.encode(texts: ["a cat"])
        } throws: { "\($0)".contains("hf_tokenizer_name") }
    }

    /// The limit of patches is that of the configuration, and is kept in a written model.
    @Test func limitOfPatches() throws {
        let found = try error(
            of: "siglip2-naflex-hf", "preprocessor_config.json",
            ["\"max_num_patches\": 25": "\"max_num_patches\": 64"])
        #expect(found == "none")
        let model = try CLIPModel(path: folder.path)
        #expect(model.preprocessor.resolution == 64 && model.configuration.resolution == 64)
        let path = folder.path + "/written.safetensors"
        try model.write(safetensors: path)
        let written = try CLIPModel(path: path)
        #expect(written.preprocessor == model.preprocessor)
        #expect(written.configuration == model.configuration)
        let image = try RGBImage(
            width: 40, height: 20, pixels: (0..<2400).map { UInt8($0 % 251) })
        #expect(try written.encode(images: [image]) == model.encode(images: [image]))
        let narrow = try model.at(resolution: 40)
        #expect(
            narrow.preprocessor.size(of: image).width < model.preprocessor.size(of: image).width)
        #expect(narrow.fingerprint != model.fingerprint)
    }

    /// Models of one file that preprocess in other ways have other fingerprints.
    @Test func fingerprintsTellPreprocessingApart() throws {
        let first = try CLIPModel(path: Fixtures.path("models/siglip")).fingerprint
        #expect(
            try error(of: "siglip", "open_clip_config.json", ["\"bicubic\"": "\"bilinear\""])
                == "none")
        #expect(try CLIPModel(path: folder.path).fingerprint != first)
    }

    @Test func hiddenStatesOfTowersThatAttendToPadding() throws {
        let model = try CLIPModel(path: Fixtures.path("models/siglip"))
        let tokens = (0..<2).map { text in (0..<10).map { ($0 * 7 + text) % 60 } }
        let states = try model.hiddenStates(ofTokens: tokens)
        var stages: [Float] = []
        try model.observe(tokens: tokens.map { $0[...] }) {
            if $0 == "ln_final" { stages = $1.values }
        }
        // The last position is the pooled one.
        #expect(states.positions == 10)
        #expect(states[0][9] + states[1][9] == stages[...])
    }

    @Test func timmTowers() throws {
        #expect(TimmTower.named("vit_base_patch16_siglip_224")?.layerNormEpsilon == 1e-6)
        #expect(TimmTower.named("vit_base_patch32_siglip_256")?.activation == .tanhGELU)
        #expect(TimmTower.named("vit_base_patch16_siglip_gap_224") == nil)
        #expect(TimmTower.named("vit_pe_core_large_patch14_336")?.poolHeads == 8)
        #expect(TimmTower.named("convnext_base") == nil && TimmTower.named("") == nil)
    }

    /// Texts of a model whose vocabulary is not CLIP's need the tokenizer's file.
    @Test func tokenizerIsNeededForTextsOnly() throws {
        let model = try CLIPModel(path: Fixtures.path("models/siglip"))
        #expect(throws: CLIPError.self) { try model.encode(texts: ["a cat"]) }
        #expect(
            throws: CLIPError.missingTokenizer(
                folder: Fixtures.path("models/siglip") + "/",
                expected: model.modelTokenizer.fileNames)
        ) { try model.tokenizer }
        #expect(
            throws: CLIPError.unavailableRules(
                "openai", expected: ["open_clip", "hf", "big_vision", "sentencepiece"])
        ) {
            try model.following(tokenizer: .openAI).tokenizer
        }
        let clip = try CLIPModel(path: Fixtures.path("models/vit"))
        #expect(
            throws: CLIPError.unavailableRules(
                "big_vision", expected: ["openai", "open_clip", "hf"])
        ) {
            try clip.following(tokenizer: .bigVision).tokenizer
        }
        // Rows that are shorter than the context are padded with the vocabulary's id.
        let short = try model.encode(tokens: [[5, 6, 1]])
        #expect(try short == model.encode(tokens: [[5, 6, 1, 1, 1, 1, 1, 1, 1, 1]]))
    }

    @Test func sizesOfImagesWithTheirOwnAspect() throws {
        var preprocessor = ImagePreprocessor(resolution: 256)
        preprocessor.resizeMode = .patches
        func size(_ width: Int, _ height: Int) throws -> [Int] {
            let image = try RGBImage(
                width: width, height: height,
                pixels: [UInt8](repeating: 9, count: 3 * width * height))
            let size = preprocessor.size(of: image)
            #expect(preprocessor(image).count == 3 * size.width * size.height)
            return [size.width, size.height]
        }
        // From transformers' get_image_size_for_max_num_patches.
        #expect(try size(640, 480) == [288, 224])
        #expect(try size(480, 640) == [224, 288])
        #expect(try size(1, 1) == [112, 112])
        #expect(try size(1000, 1) == [4096, 16])
        #expect(try size(17, 1999) == [32, 2048])
        #expect(try size(300, 299) == [256, 256])
    }
}
