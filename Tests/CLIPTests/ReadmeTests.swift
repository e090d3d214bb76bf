import CLIP
import TestSupport
import Testing

/// Compiles and runs the example of the README.
@Suite struct ReadmeTests {
    private func example(weights: String, image: String) throws {
        // BEGIN
        let model = try CLIPModel(path: weights)
        let images = try model.encode(images: [RGBImage(contentsOfFile: image)])
        let labels = ["a man riding bicycle", "a man climbing mountain"]
        let texts = try model.encode(texts: labels)
        let cosines = try images.cosineSimilarities(to: texts)[0]
        for (label, probability) in zip(labels, model.probabilities(ofCosines: cosines)) {
            print(label, probability)
        }
        // END
        let probabilities = model.probabilities(ofCosines: cosines)
        let readme = String(
            decoding: try bytes(ofFile: Fixtures.root + "/README.md"), as: UTF8.self)
        for (label, probability) in zip(labels, probabilities) {
            let lines = readme.split(separator: "\n").filter { $0.hasPrefix(label + " ") }
            let shown = try #require(
                lines.compactMap { Float($0.dropFirst(label.count + 1)) }.first)
            #expect(abs(shown - probability) < 1e-4)
        }
    }

    @Test func readmeExampleRuns() throws {
        try example(
            weights: Fixtures.root + "/Weights/tiny.safetensors",
            image: Fixtures.root + "/Examples/bike.jpg")
    }

    @Test func readmeContainsTheExample() throws {
        let source = String(decoding: try bytes(ofFile: #filePath), as: UTF8.self)
        let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex { $0.hasSuffix("// BEGIN") })
        let end = try #require(lines.firstIndex { $0.hasSuffix("// END") })
        let example = lines[(start + 1)..<end].map { $0.dropFirst(8) }.joined(separator: "\n")
        let readme = String(
            decoding: try bytes(ofFile: Fixtures.root + "/README.md"), as: UTF8.self)
        #expect(readme.contains(example))
    }
}
