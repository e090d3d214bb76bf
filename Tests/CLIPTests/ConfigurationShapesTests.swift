import Testing

@testable import CLIP

/// Tests the hyperparameters that follow from the shapes of tensors.
@Suite struct ConfigurationShapesTests {
    private static let text = [
        "token_embedding.weight": [49408, 512], "positional_embedding": [77, 512],
        "transformer.resblocks.0.mlp.c_fc.weight": [2048, 512],
        "transformer.resblocks.11.mlp.c_fc.weight": [2048, 512], "text_projection": [512, 640],
    ]
    private static let transformer = [
        "visual.proj": [768, 640], "visual.conv1.weight": [768, 3, 32, 32],
        "visual.positional_embedding": [50, 768],
        "visual.transformer.resblocks.0.mlp.c_fc.weight": [3072, 768],
        "visual.transformer.resblocks.1.mlp.c_fc.weight": [3072, 768],
    ]
    private static let resNet = [
        "visual.attnpool.positional_embedding": [82, 2560],
        "visual.layer1.0.conv1.weight": [80, 80, 1, 1], "visual.layer1.1.conv1.weight": [],
        "visual.layer2.0.conv1.weight": [], "visual.layer3.0.conv1.weight": [],
        "visual.layer4.0.conv1.weight": [],
    ]

    private func configuration(
        _ tower: [String: [Int]], _ changes: [String: [Int]?] = [:],
        stated: ConfigurationFile = ConfigurationFile()
    ) throws -> CLIPConfiguration {
        var shapes = Self.text.merging(tower) { $1 }
        for (name, shape) in changes { shapes[name] = shape }
        return try CLIPConfiguration(
            shapes: shapes, stated: stated, activation: .gelu, path: "model")
    }

    @Test func textTower() throws {
        let found = try configuration(Self.transformer)
        #expect(
            found.text
                == .init(
                    contextLength: 77, vocabularySize: 49408, width: 512, layers: 2, heads: 8,
                    mlpWidth: 2048))
        #expect(found.embeddingDimension == 640 && found.activation == .gelu, "\(found)")
    }

    @Test func visionTransformer() throws {
        var expected = CLIPConfiguration.VisionTransformer(
            resolution: 224, patchSize: 32, width: 768, layers: 2, heads: 12, mlpWidth: 3072)
        #expect(try configuration(Self.transformer).vision == .visionTransformer(expected))
        var stated = ConfigurationFile()
        (stated.resolution, stated.vision.heads) = (230, 16)
        (expected.resolution, expected.heads) = (230, 16)
        let found = try configuration(Self.transformer, stated: stated)
        #expect(found.vision == .visionTransformer(expected))
    }

    @Test func modifiedResNet() throws {
        let expected = CLIPConfiguration.ModifiedResNet(
            resolution: 288, width: 80, layers: [2, 1, 1, 1], heads: 40)
        #expect(try configuration(Self.resNet).vision == .modifiedResNet(expected))
    }

    @Test(
        arguments: [
            ("visual.proj", nil), ("visual.conv1.weight", [768, 3, 32]),
            ("visual.positional_embedding", [51, 768]), ("text_projection", nil),
            ("positional_embedding", [1, 512]), ("token_embedding.weight", [49408, 500]),
        ] as [(String, [Int]?)])
    func impossibleShapesAreRefused(name: String, shape: [Int]?) {
        #expect(throws: CLIPError.self, "\(name): \(String(describing: shape))") {
            try configuration(Self.transformer, [name: shape])
        }
    }

    @Test func contradictingResolutionIsRejected() {
        var stated = ConfigurationFile()
        stated.resolution = 256
        #expect(throws: CLIPError.self) { try configuration(Self.transformer, stated: stated) }
    }
}
