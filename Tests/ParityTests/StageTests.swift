import Tensors
import TestSupport
import Testing

@testable import CLIP

/// Compares the activations after every stage of tiny models with PyTorch's.
@Suite struct StageTests {
    static let models = ["vit", "vit-hf", "resnet"]
    static let tolerance = 1e-5

    /// The observed stages of a tower: names and values, in order.
    typealias Stages = [(name: String, values: [Float])]

    @Test(arguments: models) func imageTower(_ name: String) throws {
        let goldens = try Goldens("models/\(name)/stages.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
        var stages: Stages = []
        model.observe(pixels: try goldens.floats("pixels")) { stages.append(($0, $1.values)) }

        let lastBlock = stages.last { $0.name.contains("resblocks") && !$0.name.hasSuffix(".attn") }
        try compare(stages, goldens, expectedNames: goldens.names.filter(isVisual)) { stage, all in
            // Only the class token is computed in the last block.
            guard let lastBlock, stage.hasPrefix(lastBlock.name) else { return all }
            let shape = try goldens.shape(stage)
            return (0..<shape[0]).flatMap { image in
                all[(image * shape[1] * shape[2])...].prefix(shape[2])
            }
        }
    }

    @Test(arguments: models) func textTower(_ name: String) throws {
        let goldens = try Goldens("models/\(name)/stages.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
        let tokens = try goldens.integers("tokens")
        let context = try goldens.shape("tokens")[1]
        let rows = stride(from: 0, to: tokens.count, by: context).map { start -> ArraySlice<Int> in
            let row = tokens[start..<(start + context)]
            return row[...(row.firstIndex(of: row.max() ?? 0) ?? start)]
        }
        var stages: Stages = []
        try model.observe(tokens: rows) { stages.append(($0, $1.values)) }

        let lastBlock = stages.last { $0.name.contains("resblocks") && !$0.name.hasSuffix(".attn") }
        let names = goldens.names.filter {
            !isVisual($0) && !["pixels", "tokens", "logits_per_image"].contains($0)
        }
        try compare(stages, goldens, expectedNames: names) { stage, all in
            let shape = try goldens.shape(stage)
            guard shape.count == 3 else { return all }
            // Positions after the end token are not computed, nor, in the last block, those before
            // it.
            let isLast = lastBlock.map { stage.hasPrefix($0.name) } ?? false
            let own = TokenTrie(rows).sequences.own.map(\.count)
            return rows.enumerated().flatMap { text, row in
                let positions = (row.count - (isLast ? 1 : own[text]))..<row.count
                return positions.flatMap { position in
                    all[((text * shape[1] + position) * shape[2])...].prefix(shape[2])
                }
            }
        }
    }

    @Test(arguments: [24, 48, 56]) func otherResolutions(_ resolution: Int) throws {
        let goldens = try Goldens("models/vit/interpolated.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/vit")).at(resolution: resolution)
        let found = try model.encode(pixels: goldens.floats("pixels@\(resolution)")).values
        let expected = try goldens.floats("image_embedding@\(resolution)")
        #expect(relativeDifference(found, expected, limit: Self.tolerance) == nil)
        #expect(model.preprocessor.resolution == resolution)
    }

    @Test(arguments: HiddenStates.Layer.allCases, [true, false])
    func hiddenStates(_ layer: HiddenStates.Layer, finalNorm: Bool) throws {
        let goldens = try Goldens("models/vit-hf/hidden_states.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/vit-hf"))
        let tokens = try goldens.integers("tokens")
        let rows = stride(from: 0, to: tokens.count, by: 12).map { Array(tokens[$0..<($0 + 12)]) }
        let states = try model.hiddenStates(ofTokens: rows, after: layer, finalNorm: finalNorm)
        let expected = try goldens.floats(layer.rawValue + (finalNorm ? ".ln_final" : ""))
        try #require(states.count == rows.count)
        try #require(states[1].count == 12)
        #expect(states[1][11].count == 24)
        #expect(relativeDifference(states.values, expected, limit: Self.tolerance) == nil)
        #expect(throws: CLIPError.self) { try model.hiddenStates(ofTokens: [[1, 63]]) }
    }

    @Test(arguments: models + ["vit-f16", "vit-bf16"]) func logits(_ name: String) throws {
        let goldens = try Goldens("models/\(name)/stages.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
        let context = try goldens.shape("tokens")[1]
        let tokens = try goldens.integers("tokens")
        let images = try model.encode(pixels: try goldens.floats("pixels"))
        let texts = try model.encode(
            tokens: stride(from: 0, to: tokens.count, by: context).map {
                Array(tokens[$0..<($0 + context)])
            })
        let logits = try images.cosineSimilarities(to: texts).joined().map { $0 * model.logitScale }

        for (found, stage) in [
            (images.values, "image_embedding"), (texts.values, "text_embedding"),
            (logits, "logits_per_image"),
        ] {
            let expected = try goldens.floats(stage)
            #expect(
                relativeDifference(found, expected, limit: Self.tolerance) == nil, "\(stage)")
        }
    }

    private func isVisual(_ name: String) -> Bool {
        name.hasPrefix("visual.") || name == "image_embedding"
    }

    /// Compares stage by stage and stops at the first that differs, since the later ones depend on
    /// it.
    private func compare(
        _ stages: Stages, _ goldens: Goldens, expectedNames: [String],
        _ wanted: (_ stage: String, _ all: [Float]) throws -> [Float]
    ) throws {
        #expect(stages.map(\.name).sorted() == expectedNames)
        for (name, values) in stages {
            let expected = try wanted(name, try goldens.floats(name))
            try #require(
                relativeDifference(values, expected, limit: Self.tolerance) == nil,
                "the first stage that differs is \(name)")
        }
    }
}
