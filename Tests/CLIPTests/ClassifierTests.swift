import Foundation
import TestSupport
import Tensors
import Testing

@testable import CLIP

/// Tests embeddings, their cosines, and predictions.
@Suite struct ClassifierTests {
    private let model: CLIPModel
    private let labels = (0..<150).map { "label \($0 % 149)" }  // the first and last are equal

    init() throws { model = try CLIPModel(path: Fixtures.path("models/seeded")) }

    private func numbers(_ count: Int) -> [Float] {
        (0..<count).map { Float(($0 * 7919 + 13) % 1009) / 500 - 1 }
    }

    @Test func packedLabelsGiveTheSameCosines() throws {
        let classifier = try ZeroShotClassifier(model: model, labels: labels)
        let dimension = model.configuration.embeddingDimension
        let images = Embeddings(rows: numbers(5 * dimension), dimension: dimension)
        // The labels are packed permanently by the second call.
        for call in 1...3 {
            let found = try classifier.predictions(of: images)
            let expected = dotProducts(
                images.normalized().values, classifier.labelEmbeddings.normalized().values,
                dimension: dimension)
            for (row, predictions) in found.enumerated() {
                let cosines = expected[(row * labels.count)..<((row + 1) * labels.count)]
                let order = labels.indices.sorted {
                    (cosines[row * labels.count + $1], $0) < (cosines[row * labels.count + $0], $1)
                }
                #expect(
                    predictions.map(\.cosine) == order.map { cosines[row * labels.count + $0] },
                    "call \(call), row \(row)")
                #expect(
                    predictions.map(\.label) == order.map { labels[$0] }, "call \(call), row \(row)"
                )
                let probabilities = model.probabilities(ofCosines: Array(cosines))
                #expect(
                    predictions.map(\.probability) == order.map { probabilities[$0] },
                    "call \(call), row \(row)")
            }
        }
    }

    @Test func topTruncatesTheSortedPredictions() throws {
        let classifier = try ZeroShotClassifier(model: model, labels: labels)
        let image = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.jpg"))
        let all = try classifier.classify(image)
        #expect(all.count == labels.count)
        for top in [0, 1, 2, 99, 100, 101, 149, 150, 151, 1000] {
            let found = try classifier.classify(image, top: top)
            #expect(found == Array(all.prefix(top)), "top \(top)")
            #expect(try classifier.classify([image], top: top) == [found], "top \(top)")
        }
    }

    @Test func tiesKeepTheirOrder() {
        let numbers: [Float] = [0.5, 1, 0.5, 1, -1, 0.5, 1, 0]
        for count in 0...9 {
            let expected = [1, 3, 6, 0, 2, 5, 7, 4].prefix(count)
            #expect(largest(count, of: numbers) == Array(expected), "count \(count)")
        }
    }

    @Test func wrongDimensionsAreRejected() throws {
        let dimension = model.configuration.embeddingDimension
        let classifier = try ZeroShotClassifier(model: model, labels: ["cat", "dog"])
        let other = Embeddings(rows: numbers(2 * (dimension + 1)), dimension: dimension + 1)
        let error = CLIPError.wrongDimension(expected: dimension, found: dimension + 1)
        #expect(throws: error) { try classifier.predictions(of: other) }
        #expect(throws: error) { try classifier.labelEmbeddings + other }
        #expect(throws: error) { try other.cosineSimilarities(to: classifier.labelEmbeddings) }
        #expect(throws: error) {
            try ZeroShotClassifier(model: model, labels: ["cat", "dog"], labelEmbeddings: other)
        }
        #expect(throws: CLIPError.self) {
            try ZeroShotClassifier(
                model: model, labels: ["cat", "dog", "bird"],
                labelEmbeddings: classifier.labelEmbeddings)
        }
    }

    @Test func incompleteRowsAreRejected() throws {
        for (count, dimension) in [(3, 2), (1, 0), (0, 0), (4, -2)] {
            let values = numbers(count)
            #expect(throws: CLIPError.wrongValueCount(dimension: dimension, found: count)) {
                try Embeddings(values: values, dimension: dimension)
            }
            let json = Data(#"{"dimension":\#(dimension),"values":\#(values)}"#.utf8)
            #expect(throws: DecodingError.self, "\(count) values, dimension \(dimension)") {
                try JSONDecoder().decode(Embeddings.self, from: json)
            }
        }
        #expect(try Embeddings(values: [], dimension: 2).count == 0)
    }

    @Test func resultsSurviveJSON() throws {
        let embeddings = Embeddings(rows: numbers(12), dimension: 4)
        let data = try JSONEncoder().encode(embeddings)
        #expect(try JSONDecoder().decode(Embeddings.self, from: data) == embeddings)

        let classifier = try ZeroShotClassifier(model: model, labels: ["cat", "dog"])
        let image = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.jpg"))
        let predictions = try classifier.classify(image)
        let encoded = try JSONEncoder().encode(predictions)
        #expect(try JSONDecoder().decode([Prediction].self, from: encoded) == predictions)
        #expect(Set(predictions + predictions).count == 2)
    }

    @Test func singleInputEqualsItsRowInABatch() throws {
        let image = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.jpg"))
        let rows = try model.encode(images: [image])
        #expect(try model.encode(image: image) == rows[0])
        #expect(try model.encode(image: image, normalized: true) == rows.normalized()[0])
        #expect(try model.encode(images: [image], normalized: false) == rows)
        #expect(try model.encode(images: [image], normalized: true) == rows.normalized())

        let pixels = model.preprocessor(image)
        #expect(try model.encode(pixels: pixels, normalized: true) == rows.normalized())

        let texts = try model.encode(texts: ["a cat"])
        #expect(try model.encode(text: "a cat") == texts[0])
        #expect(try model.encode(text: "a cat", normalized: true) == texts.normalized()[0])
        #expect(try model.encode(texts: ["a cat"], normalized: true) == texts.normalized())
        let long = String(repeating: "word ", count: 100)
        #expect(throws: CLIPError.self) { try model.encode(text: long) }
        #expect(try model.encode(text: long, truncating: true).count == texts.dimension)

        let tokens = [try model.tokenizer.tokenize("a cat", contextLength: 77)]
        #expect(try model.encode(tokens: tokens, normalized: true) == texts.normalized())
    }

    @Test func unsupportedPrecisionsAreRefused() throws {
        for precision in Precision.allCases {
            if precision.isSupported {
                #expect(try model.at(precision: precision).precision == precision)
            } else {
                #expect(throws: CLIPError.unsupportedPrecision(precision)) {
                    try model.at(precision: precision)
                }
            }
        }
    }
}
