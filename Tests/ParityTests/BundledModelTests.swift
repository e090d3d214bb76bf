import CLIP
import Foundation
import TestSupport
import Testing

/// Compares the bundled model, from image file to embedding, with PyTorch and open_clip.
@Suite struct BundledModelTests {
    private struct Expected: Decodable {
        let images: [String]
        let texts: [String]
        let image_embeddings: [[Float]]
        let text_embeddings: [[Float]]
        let logit_scale: Float
    }

    @Test func equalsPyTorch() throws {
        let expected = try JSONDecoder().decode(
            Expected.self, from: Data(try bytes(ofFile: Fixtures.path("models/tiny.json"))))
        let model = try CLIPModel(path: Fixtures.root + "/Weights/tiny.safetensors")
        let images = try model.encode(
            images: expected.images.map {
                try RGBImage(contentsOfFile: Fixtures.root + "/Examples/" + $0)
            })
        let texts = try model.encode(texts: expected.texts)
        #expect(
            relativeDifference(
                images.values, expected.image_embeddings.flatMap(\.self), limit: 1e-5) == nil)
        #expect(
            relativeDifference(texts.values, expected.text_embeddings.flatMap(\.self), limit: 1e-5)
                == nil)
        #expect(relativeDifference([model.logitScale], [expected.logit_scale], limit: 1e-6) == nil)
    }
}
