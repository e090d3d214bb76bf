import Foundation
import TestSupport
import Testing

@testable import CLIP

/// Tests that the same weights in every layout and file format, as PyTorch wrote them, give the
/// same embeddings.
@Suite struct FormatTests {
    private static let folder = Fixtures.path("formats")

    static let all: [(name: String, format: WeightFormat, layout: WeightLayout)] = [
        ("reference.safetensors", .safetensors, .openAI),
        ("state-dict.pt", .pyTorch, .openAI),
        ("module.pth", .pyTorch, .openAI),
        ("checkpoint.pt", .pyTorch, .openAI),
        ("custom-text.bin", .pyTorch, .openAI),
        ("strided.pt", .pyTorch, .openAI),
        ("script.pt", .torchScript, .openAI),
        ("hf-bin", .pyTorch, .huggingFace),
        ("hf-sharded", .safetensors, .huggingFace),
        ("hf-sharded/model.safetensors.index.json", .safetensors, .huggingFace),
    ]

    private struct Expected: Decodable {
        let pixels: [Float]
        let tokens: [[Int]]
        let image_embeddings: [[Float]]
        let text_embeddings: [[Float]]
        let logit_scale: Float
    }

    private func expected() throws -> Expected {
        let data = try Data(contentsOf: URL(fileURLWithPath: Self.folder + "/expected.json"))
        return try JSONDecoder().decode(Expected.self, from: data)
    }

    @Test(arguments: all.indices) func everyFormatGivesTheSameEmbeddings(_ index: Int) throws {
        let (name, format, layout) = Self.all[index]
        let expected = try expected()
        let model = try CLIPModel(path: "\(Self.folder)/\(name)")
        #expect(model.weights.format == format)
        #expect(model.weights.layout == layout)
        #expect(model.weights.types == ["F16", "F32"])
        #expect(model.configuration.activation == .quickGELU)

        let images = try model.encode(pixels: expected.pixels).values
        let texts = try model.encode(tokens: expected.tokens).values
        #expect(
            relativeDifference(images, expected.image_embeddings.flatMap { $0 }, limit: 1e-5)
                == nil, "\(name)")
        #expect(
            relativeDifference(texts, expected.text_embeddings.flatMap { $0 }, limit: 1e-5) == nil,
            "\(name)")
        #expect(abs(model.logitScale / expected.logit_scale - 1) < 1e-6)

        // All formats agree to the bit with each other.
        let reference = try CLIPModel(path: "\(Self.folder)/reference.safetensors")
        #expect(
            try firstDifference(reference.encode(pixels: expected.pixels).values, images) == nil)
        #expect(try firstDifference(reference.encode(tokens: expected.tokens).values, texts) == nil)
    }

    @Test func convertedWeightsGiveTheSameEmbeddings() throws {
        let folder = try TemporaryFolder()
        let expected = try expected()
        for (name, _, _) in Self.all {
            let model = try CLIPModel(path: "\(Self.folder)/\(name)")
            let path = folder.path + "/copy.safetensors"
            try model.write(safetensors: path, source: name)
            let copy = try CLIPModel(path: path)  // by itself: its metadata says all
            #expect(copy.configuration == model.configuration)
            #expect(copy.preprocessor == model.preprocessor)
            #expect(copy.weights.types == model.weights.types, "\(name)")
            #expect(
                try firstDifference(
                    copy.encode(pixels: expected.pixels).values,
                    model.encode(pixels: expected.pixels).values) == nil, "\(name)")
            #expect(
                try firstDifference(
                    copy.encode(tokens: expected.tokens).values,
                    model.encode(tokens: expected.tokens).values) == nil, "\(name)")
        }
    }
}
