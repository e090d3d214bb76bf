import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis
@testable import Tensors

/// Tests the ranks of images and captions.
@Suite struct RetrievalMetricsTests {
    private func run(
        _ images: Embeddings, _ texts: Embeddings, _ imageOfText: [Int]
    ) throws -> RetrievalMetrics.Result {
        try RetrievalMetrics().run(
            on: .init(images: images, texts: texts, imageOfText: imageOfText))
    }

    @Test func recallsEqualTheReference() throws {
        for golden in try EvaluationGoldens.read().retrieval {
            let name = Comment(rawValue: golden.name)
            let result = try RetrievalMetrics().run(on: golden.input)
            #expect(firstDifference(result.imageRanks, golden.imageRanks) == nil, name)
            #expect(firstDifference(result.textRanks, golden.textRanks) == nil, name)
            #expect(golden.imageRetrievalRecall.count == 4, name)
            for (k, recall) in golden.imageRetrievalRecall {
                let found = result.imageRetrievalRecall(at: try #require(Int(k)))
                #expect(abs(found - recall) < 1e-8, "\(name), images at \(k)")
            }
            for (k, recall) in golden.textRetrievalRecall {
                let found = result.textRetrievalRecall(at: try #require(Int(k)))
                #expect(abs(found - recall) < 1e-8, "\(name), texts at \(k)")
            }
        }
    }

    @Test func ranksOfManyTextsMatchBruteForce() throws {
        // More than one strip of texts; the captions of an image are far from each other.
        let images = planted(37, each: 1, dimension: 8)
        let texts = planted(600, each: 1, dimension: 8, seed: 2)
        let owners = (0..<600).map { $0 * 7 % 36 }  // the last image has no caption
        let result = try run(images, texts, owners)
        let cosines = try texts.cosineSimilarities(to: images)
        for text in 0..<600 {
            let own = cosines[text][owners[text]]
            let rank = cosines[text].indices.count {
                (cosines[text][$0], owners[text]) > (own, $0)
            }
            #expect(result.imageRanks[text] == rank, "text \(text)")
        }
        for image in 0..<36 {
            let order = (0..<600).sorted {
                (cosines[$1][image], $0) < (cosines[$0][image], $1)
            }
            #expect(
                result.textRanks[image] == order.firstIndex { owners[$0] == image },
                "image \(image)")
        }
        #expect(result.textRanks[36] == nil)
        #expect(result.imageRetrievalRecall(at: 37) == 1)
        #expect(result.textRetrievalRecall(at: 600) == 36.0 / 37)
    }

    @Test func ranksDoNotDependOnThreads() throws {
        // More strips than threads.
        let input = RetrievalMetrics.Input(
            images: planted(50, each: 1), texts: planted(1400, each: 1, seed: 2),
            imageOfText: (0..<1400).map { $0 % 49 })
        let expected = try RetrievalMetrics(threads: 1).run(on: input)
        for threads in [2, 3, 5] {
            #expect(try RetrievalMetrics(threads: threads).run(on: input) == expected)
        }
    }

    @Test func equalCosinesAreRankedByIndex() throws {
        let images = Embeddings(rows: [Float](repeating: 1, count: 4 * 2), dimension: 2)
        let texts = Embeddings(rows: [Float](repeating: 3, count: 5 * 2), dimension: 2)
        let result = try run(images, texts, [2, 0, 2, 1, 1])
        #expect(result.imageRanks == [2, 0, 2, 1, 1])
        #expect(result.textRanks == [1, 3, 0, nil])
        #expect(result.imageRetrievalRecall(at: 2) == 0.6)
        #expect(result.textRetrievalRecall(at: 1) == 0.25)
        #expect(result.textRetrievalRecall(at: 10) == 0.75)
        #expect(result.imageRetrievalRecall(at: 0) == 0)
        #expect(bounds(result.imageRetrievalInterval(at: 2)) == bounds(.wilson(3, of: 5)))
        #expect(bounds(result.textRetrievalInterval(at: 2)) == bounds(.wilson(2, of: 4)))
    }

    @Test func normsDoNotMatter() throws {
        let golden = try #require(try EvaluationGoldens.read().retrieval.last)
        var input = golden.input
        let expected = try RetrievalMetrics().run(on: input)
        input.images = Embeddings(
            rows: input.images.values.map { 256 * $0 }, dimension: golden.dimension)
        input.texts = Embeddings(
            rows: input.texts.values.map { $0 / 256 }, dimension: golden.dimension)
        #expect(try RetrievalMetrics().run(on: input) == expected)
    }

    @Test func emptyInputsHaveNoRecall() throws {
        let (none, two) = (
            Embeddings(rows: [], dimension: 2), Embeddings(rows: [1, 2, 3, 4], dimension: 2)
        )
        let withoutTexts = try run(two, none, [])
        #expect(withoutTexts.imageRanks.isEmpty && withoutTexts.textRanks == [nil, nil])
        #expect(withoutTexts.imageRetrievalRecall(at: 1).isNaN)
        #expect(withoutTexts.textRetrievalRecall(at: 1) == 0)
        let empty = try run(none, none, [])
        #expect(empty.textRetrievalRecall(at: 1).isNaN)
        #expect(bounds(empty.textRetrievalInterval(at: 1)) == [0, 1])
        let data = try JSONEncoder().encode(withoutTexts)
        #expect(try JSONDecoder().decode(RetrievalMetrics.Result.self, from: data) == withoutTexts)
    }

    @Test func inputsThatDoNotMatchAreErrors() {
        let (two, other) = (
            Embeddings(rows: [1, 2, 3, 4], dimension: 2), Embeddings(rows: [1, 2], dimension: 1)
        )
        let bad = Embeddings(rows: [1, 2, .nan, 4], dimension: 2)
        for (images, texts, owners, expected) in [
            (two, other, [0, 1], .wrongDimension(expected: 2, found: 1)),
            (
                two, two, [0],
                .wrongCount(of: "elements of imageOfText", expected: 2, found: 1)
            ),
            (two, two, [0, 2], .indexOutOfRange(of: "image", found: 2, count: 2)),
            (two, two, [-1, 0], .indexOutOfRange(of: "image", found: -1, count: 2)),
            (bad, two, [0, 1], .notFinite(of: "vector of image 1", index: 0, found: "nan")),
            (two, bad, [0, 1], .notFinite(of: "vector of text 1", index: 0, found: "nan")),
        ] as [(Embeddings, Embeddings, [Int], AnalysisError)] {
            #expect(analysisError { _ = try run(images, texts, owners) } == expected)
        }
    }
}
