import TestSupport
import Testing

@testable import CLIP

/// Compares embeddings in bf16 and int8 with PyTorch's in float32.
///
/// Other tests compare the bits of one batch with those of another; these compare the values, of
/// ViTs and of ResNets.
@Suite struct PrecisionTests {
    static let models = ["vit", "vit-hf", "resnet"]
    static let precisions = Precision.allCases.filter { $0 != .fp32 && $0.isSupported }

    /// The largest difference by rounding, relative to the largest number; measured on AVX2,
    /// AVX-512 and VNNI: bf16 0.005, int8 0.03.
    private func limit(_ precision: Precision) -> Double { precision == .bf16 ? 0.02 : 0.1 }

    @Test(arguments: models, precisions)
    func embeddingsAreCloseToFloat32(_ name: String, precision: Precision) throws {
        let goldens = try Goldens("models/\(name)/stages.safetensors")
        let model = try CLIPModel(path: Fixtures.path("models/\(name)")).at(precision: precision)
        let context = try goldens.shape("tokens")[1]
        let tokens = try goldens.integers("tokens")
        let images = try model.encode(pixels: goldens.floats("pixels"))
        let texts = try model.encode(
            tokens: stride(from: 0, to: tokens.count, by: context).map {
                Array(tokens[$0..<($0 + context)])
            })
        for (found, stage) in [(images, "image_embedding"), (texts, "text_embedding")] {
            let expected = try goldens.floats(stage)
            let input = "\(stage) of \(name) in \(precision)"
            let difference = relativeDifference(
                found.values, expected, limit: limit(precision))
            #expect(difference == nil, "\(input)")
            #expect(
                relativeDifference(found.values, expected, limit: 1e-5) != nil,
                "\(input) is that of float32")
        }
    }
}
