import Files
import TestSupport
import Testing

@testable import CLIP

/// Tests `CLIPModel`: batches, threads, and invalid arguments.
@Suite struct ModelTests {
    private let model: CLIPModel
    private let side = 32

    init() throws { model = try CLIPModel(path: Fixtures.path("models/vit"), threads: 2) }

    /// Pixels that differ from image to image.
    private func pixels(_ count: Int) -> [Float] {
        (0..<(count * 3 * side * side)).map { Float(($0 * 7919) % 1000) / 500 - 1 }
    }

    @Test func padding() throws {
        let bare = try model.encode(tokens: [[62, 5, 9, 63], [62, 63]])
        let padded = try model.encode(tokens: [
            [62, 5, 9, 63] + [Int](repeating: 0, count: 12), [62, 63, 63, 63],
        ])
        #expect(bare == padded)
    }

    @Test func emptyInputGivesEmptyOutput() throws {
        #expect(try model.encode(images: []).count == 0)
        #expect(try model.encode(pixels: []).count == 0)
        #expect(try model.encode(texts: []).count == 0)
        #expect(try model.encode(tokens: []).count == 0)
    }

    @Test func manyTasksShareAModel() async throws {
        let model = model
        let pixels = pixels(3)
        let expected = try model.encode(pixels: pixels)
        try await withThrowingTaskGroup(of: Embeddings.self) { group in
            for _ in 0..<16 { group.addTask { try model.encode(pixels: pixels) } }
            for try await result in group { #expect(result == expected) }
        }
    }

    @Test func invalidInputsAreRejected() {
        #expect(throws: CLIPError.wrongPixelCount(expected: 3072, found: 5)) {
            try model.encode(pixels: [1, 2, 3, 4, 5])
        }
        for rows in [[[]], [[62, 64]], [[62, -1]], [[Int](repeating: 1, count: 17)]] {
            #expect(throws: CLIPError.self) { try model.encode(tokens: rows) }
        }
        #expect(throws: CLIPError.self) {
            try model.encode(pixels: [Float](repeating: .nan, count: 3072))
        }
    }

    @Test func cosinesOfEmbeddings() throws {
        let a = Embeddings(rows: [3, 4, 0, 0], dimension: 2)
        #expect(a.normalized().values == [0.6, 0.8, 0, 0])
        #expect(
            try a.cosineSimilarities(to: Embeddings(rows: [0, 2], dimension: 2)) == [[0.8], [0]])
        #expect(try (a + a).count == 4)
    }

    @Test func probabilitiesSumToOne() {
        let probabilities = model.probabilities(ofCosines: [0.3, 0.2, -1])
        #expect(abs(probabilities.reduce(0, +) - 1) < 1e-6)
        #expect(probabilities[0] > probabilities[1])
    }
}

/// Compares the whole way, from text and image files to probabilities, with PyTorch.
@Suite struct EndToEndTests {
    private let model: CLIPModel
    private let expected: JSONValue

    init() throws {
        model = try CLIPModel(path: Fixtures.path("models/seeded"))
        expected = try JSONValue(
            parsing: bytes(ofFile: Fixtures.path("models/seeded/expected.json")))
    }

    private func matrix(_ name: String) throws -> [[Double]] {
        try #require(expected[name]?.array).map { try #require($0.array).compactMap(\.number) }
    }

    private func difference(_ a: [[Float]], _ b: [[Double]]) -> Double {
        zip(a.joined(), b.joined()).map { abs(Double($0) - $1) }.max() ?? .infinity
    }

    @Test func equalsPyTorch() throws {
        let names = try #require(expected["images"]?.array).compactMap(\.string)
        let texts = try #require(expected["texts"]?.array).compactMap(\.string)
        let images = try names.map {
            try RGBImage(contentsOfFile: Fixtures.path("images/\($0)"), options: .reference)
        }
        let imageRows = try model.encode(images: images)
        let textRows = try model.encode(texts: texts)
        let cosines = try imageRows.cosineSimilarities(to: textRows)

        func rows(_ embeddings: Embeddings) -> [[Float]] {
            (0..<embeddings.count).map { Array(embeddings[$0]) }
        }
        #expect(try difference(rows(imageRows), matrix("image_embeddings")) < 2e-5)
        #expect(try difference(rows(textRows), matrix("text_embeddings")) < 2e-5)
        #expect(try difference(cosines, matrix("cosines")) < 2e-6)
        #expect(
            try difference(
                cosines.map { model.probabilities(ofCosines: $0) }, matrix("probabilities")) < 2e-4)

        let predictions = try ZeroShotClassifier(model: model, labels: texts).classify(images)
        for (row, prediction) in try zip(matrix("probabilities"), predictions) {
            #expect(prediction.map(\.label) == zip(row, texts).sorted { $0.0 > $1.0 }.map(\.1))
        }
    }

    @Test func promptTemplatesAreAveraged() throws {
        let image = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.jpg"))
        let templates = ["a photo of a {}.", "{} and {}", "art of {}"]
        let predictions = try ZeroShotClassifier(
            model: model, labels: ["cat", "dog"], templates: templates
        ).classify([image])[0]

        let row = try model.encode(images: [image]).normalized().values
        for (label, prompts) in [
            ("cat", ["a photo of a cat.", "cat and cat", "art of cat"]),
            ("dog", ["a photo of a dog.", "dog and dog", "art of dog"]),
        ] {
            let rows = try model.encode(texts: prompts).normalized()
            var mean = [Float](repeating: 0, count: rows.dimension)
            for i in 0..<3 { for (k, value) in rows[i].enumerated() { mean[k] += value / 3 } }
            let norm = mean.map { $0 * $0 }.reduce(0, +).squareRoot()
            let cosine = zip(mean, row).map { $0 * $1 }.reduce(0, +) / norm
            let found = try #require(predictions.first { $0.label == label })
            #expect(abs(found.cosine - cosine) < 1e-5)
            #expect(abs(found.logit - model.logitScale * cosine) < 1e-3)
        }
    }

    @Test func classifierWithoutLabelsIsRejected() {
        for (labels, templates) in [
            ([], ["{}"]), (["one"], ["{}"]), (["a", "b"], []), (["a", "b"], ["no place"]),
        ] {
            #expect(throws: CLIPError.self) {
                try ZeroShotClassifier(model: model, labels: labels, templates: templates)
            }
        }
    }

    @Test func longTextsAreRejectedOrTruncated() throws {
        let text = String(repeating: "word ", count: 100)
        #expect(throws: CLIPError.textTooLong(text: text, tokens: 102, limit: 77)) {
            try model.encode(texts: [text])
        }
        let cut = try model.encode(texts: [text], truncating: true)
        let short = try model.encode(texts: [String(repeating: "word ", count: 75)])
        #expect(cut == short)
    }
}
