import Tensors
import TestSupport
import Testing

@testable import CLIP

/// Compares the activations after every stage of small models of SigLIP, MobileCLIP, MetaCLIP 2,
/// PE-Core and EVA with those of open_clip, timm and transformers.
@Suite struct FamilyStageTests {
    /// Models whose images are squares.
    static let square = [
        "siglip", "siglip2", "siglip-hf", "siglip-i18n-so400m", "mobileclip-b", "mobileclip2-l",
        "metaclip2", "metaclip2-hf", "pe", "pe-noclass", "eva01", "vit-avg",
    ]
    /// Models whose images keep their aspect ratio.
    static let aspect = ["siglip2-naflex", "siglip2-naflex-hf"]

    @Test(arguments: square) func imageTower(_ name: String) throws {
        let (model, goldens) = try load(name)
        let planes = ImagePlanes(
            try goldens.floats("pixels")[...], resolution: model.configuration.resolution)
        try compareImages(model, planes, goldens)
    }

    @Test(arguments: aspect) func imageTowerOfAnyAspect(_ name: String) throws {
        let (model, goldens) = try load(name)
        try compareImages(model, model.planes(of: images(goldens)), goldens)
    }

    /// Compares preprocessed pixels with transformers' patches, [images, patches, row * column *
    /// channel].
    @Test(arguments: aspect) func patches(_ name: String) throws {
        let (model, goldens) = try load(name)
        let shape = try goldens.shape("pixels")
        let (expected, grids) = (
            try goldens.floats("pixels"), try goldens.integers("spatial_shapes")
        )
        let side = model.preprocessor.patchSize
        for (index, image) in try images(goldens).enumerated() {
            let size = model.preprocessor.size(of: image)
            let (rows, columns) = (grids[2 * index], grids[2 * index + 1])
            #expect(size.width == columns * side && size.height == rows * side, "\(index)")
            let pixels = model.preprocessor(image)
            var found: [Float] = []
            for patch in 0..<(rows * columns) {
                let (top, left) = (patch / columns * side, patch % columns * side)
                for (y, x) in (0..<(side * side)).map({ (top + $0 / side, left + $0 % side) }) {
                    found += (0..<3).map { pixels[($0 * size.height + y) * size.width + x] }
                }
            }
            let start = index * shape[1] * shape[2]
            let wanted = Array(expected[start..<(start + found.count)])
            #expect(relativeDifference(found, wanted, limit: 1e-6) == nil, "\(index)")
        }
    }

    @Test(arguments: square + aspect) func textTower(_ name: String) throws {
        let (model, goldens) = try load(name)
        let texts = try rows(goldens).map { try model.configuration.text.row($0) }
        var stages: [(name: String, values: [Float])] = []
        try model.observe(tokens: try rows(goldens).map { $0[...] }) {
            stages.append(($0, $1.values))
        }
        let own = TokenTrie(texts.map(\.ids), shares: model.configuration.text.isCausal).sequences
            .own
        let last = "transformer.resblocks.\(model.configuration.text.layers - 1)"
        for (stage, values) in stages {
            let (shape, all) = (try goldens.shape(stage), try goldens.floats(stage))
            var expected = all
            if shape.count == 3 {
                expected = texts.enumerated().flatMap { index, text in
                    let positions =
                        stage.hasPrefix(last)
                        ? text.position..<(text.position + 1)
                        : (text.ids.count - own[index].count)..<text.ids.count
                    return positions.flatMap {
                        all[((index * shape[1] + $0) * shape[2])...].prefix(shape[2])
                    }
                }
            }
            try #require(
                relativeDifference(values, expected, limit: StageTests.tolerance) == nil,
                "the first stage that differs is \(stage)")
        }
        let names = goldens.names.filter { $0.hasPrefix("transformer.") }
        #expect(Set(stages.map(\.name)).isSuperset(of: names))
        #expect(
            stages.last?.name == "text_embedding" || model.configuration.text.projection == .none)
    }

    @Test(arguments: square + aspect) func logits(_ name: String) throws {
        let (model, goldens) = try load(name)
        let images =
            Self.aspect.contains(name)
            ? try model.encode(images: images(goldens))
            : try model.encode(pixels: try goldens.floats("pixels"))
        let texts = try model.encode(tokens: try rows(goldens))
        let logits = try images.cosineSimilarities(to: texts).flatMap {
            model.logits(ofCosines: $0)
        }
        for (found, stage) in [
            (images.values, "image_embedding"), (texts.values, "text_embedding"),
            (logits, "logits_per_image"),
        ] {
            let expected = try goldens.floats(stage)
            #expect(
                relativeDifference(found, expected, limit: StageTests.tolerance) == nil,
                "\(stage)")
        }
    }

    /// A batch, and any number of threads, give the bits of each input alone.
    @Test(arguments: square + aspect) func batches(_ name: String) throws {
        let (model, goldens) = try load(name)
        let tokens = try rows(goldens)
        let together = try model.encode(tokens: tokens + tokens.reversed())
        for (index, row) in tokens.enumerated() {
            let alone = try model.encode(tokens: [row])
            #expect(alone[0] == together[index], "text \(index)")
            #expect(alone[0] == together[2 * tokens.count - 1 - index], "text \(index)")
        }
        guard Self.aspect.contains(name) else { return }
        let images = try images(goldens)
        let all = try model.encode(images: images + images.reversed())
        for (index, image) in images.enumerated() {
            #expect(try model.encode(images: [image])[0] == all[index], "image \(index)")
        }
    }

    private func load(_ name: String) throws -> (CLIPModel, Goldens) {
        (
            try CLIPModel(path: Fixtures.path("models/\(name)")),
            try Goldens("models/\(name)/stages.safetensors")
        )
    }

    private func rows(_ goldens: Goldens) throws -> [[Int]] {
        let (tokens, context) = (
            try goldens.integers("tokens"), try goldens.shape("tokens")[1]
        )
        return stride(from: 0, to: tokens.count, by: context).map {
            Array(tokens[$0..<($0 + context)])
        }
    }

    /// The images `image.N`, [height, width, 3].
    private func images(_ goldens: Goldens) throws -> [RGBImage] {
        try goldens.names.filter { $0.hasPrefix("image.") }.map { name in
            let shape = try goldens.shape(name)
            return try RGBImage(
                width: shape[1], height: shape[0], pixels: try goldens.bytes(name))
        }
    }

    private func compareImages(
        _ model: CLIPModel, _ images: ImagePlanes, _ goldens: Goldens
    ) throws {
        guard case .visionTransformer(let vision) = model.configuration.vision else {
            Issue.record("expected a vision transformer")
            return
        }
        var stages: [(name: String, values: [Float])] = []
        model.observe(images) { stages.append(($0, $1.values)) }
        let last = "visual.transformer.resblocks.\(vision.layers - 1)"
        for (stage, values) in stages {
            let (shape, all) = (try goldens.shape(stage), try goldens.floats(stage))
            var expected = all
            if stage.hasPrefix(last), vision.pooling == .classToken {
                // Only the class token is computed in the last block.
                expected = (0..<shape[0]).flatMap {
                    all[($0 * shape[1] * shape[2])...].prefix(shape[2])
                }
            }
            try #require(
                relativeDifference(values, expected, limit: StageTests.tolerance) == nil,
                "the first stage that differs is \(stage)")
        }
        let names = goldens.names.filter { $0.hasPrefix("visual.") }
        #expect(Set(stages.map(\.name)).isSuperset(of: names))
    }
}
