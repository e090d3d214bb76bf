import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis

/// Tests the losses of CLIP and SigLIP and their gradients.
@Suite struct LossTests {
    @Test func contrastiveLossEqualsAutograd() throws {
        for golden in try EvaluationGoldens.read().losses {
            let name = Comment(rawValue: golden.name)
            let found = try ContrastiveLoss(logitScale: golden.logitScale).run(on: golden.input)
            let expected = golden.contrastive
            #expect(abs(found.loss - expected.loss) < 1e-5, name)
            #expect(differences(found.imageGradients, expected.images) == nil, name)
            #expect(differences(found.textGradients, expected.texts) == nil, name)
            #expect(
                worstDifference([found.logitScaleGradient], expected.logitScale, limit: 1e-6)
                    == nil, name)
        }
    }

    @Test func sigmoidLossEqualsAutograd() throws {
        for golden in try EvaluationGoldens.read().losses {
            let name = Comment(rawValue: golden.name)
            let loss = SigmoidLoss(logitScale: golden.logitScale, logitBias: golden.logitBias)
            let (found, expected) = (try loss.run(on: golden.input), golden.sigmoid)
            #expect(abs(found.loss - expected.loss) < 1e-5, name)
            #expect(differences(found.imageGradients, expected.images) == nil, name)
            #expect(differences(found.textGradients, expected.texts) == nil, name)
            #expect(
                worstDifference(
                    [found.logitScaleGradient, found.logitBiasGradient],
                    expected.logitScale + (expected.logitBias ?? []), limit: 1e-6) == nil, name)
        }
    }

    private func differences(_ found: Embeddings, _ expected: [Double]) -> String? {
        worstDifference(found.values, expected, limit: 1e-5, relative: true)
    }

    @Test func lossesOfManyPairsMatchTheFormula() throws {
        // More than one strip of images.
        let (count, dimension) = (300, 8)
        let pairs = PairEvaluation.Input(
            images: planted(count, each: 1, dimension: dimension).normalized(),
            texts: planted(count, each: 1, dimension: dimension, seed: 2).normalized())
        let (images, texts) = (rows(pairs.images), rows(pairs.texts))
        let dots = images.map { image in
            texts.map { text in zip(image, text).reduce(0) { $0 + $1.0 * $1.1 } }
        }
        let norms = dots.map { row in log(row.reduce(0) { $0 + exp(20 * $1) }) }
        let columnNorms = (0..<count).map { column in
            log(dots.reduce(0) { $0 + exp(20 * $1[column]) })
        }
        let logits = (0..<count).reduce(0) { $0 + 40 * dots[$1][$1] }
        let derivatives = (0..<count).map { row in
            (0..<count).map { column in
                let logit = 20 * dots[row][column]
                let sum = exp(logit - norms[row]) + exp(logit - columnNorms[column])
                return (sum - (row == column ? 2 : 0)) / Double(2 * count)
            }
        }
        let contrastive = try ContrastiveLoss(logitScale: 20).run(on: pairs)
        let sum = norms.reduce(0, +) + columnNorms.reduce(0, +)
        #expect(abs(contrastive.loss - (sum - logits) / Double(2 * count)) < 1e-5)
        #expect(
            differences(contrastive.imageGradients, products(derivatives, texts, scale: 20)) == nil)
        #expect(
            differences(
                contrastive.textGradients, products(transposed(derivatives), images, scale: 20))
                == nil)
        #expect(contrastive.imageGradients.count == count)
        // Its loss is that of the evaluation of pairs.
        let evaluation = try PairEvaluation(logitScale: 20).run(on: pairs)
        #expect(abs(contrastive.loss - evaluation.loss) < 1e-5)

        let sigmoids = (0..<count).map { row in
            (0..<count).map { column in
                let sign: Double = row == column ? 1 : -1
                return -sign / (1 + exp(sign * (20 * dots[row][column] - 3))) / Double(count)
            }
        }
        let sigmoid = try SigmoidLoss(logitScale: 20, logitBias: -3).run(on: pairs)
        #expect(differences(sigmoid.imageGradients, products(sigmoids, texts, scale: 20)) == nil)
        #expect(
            differences(
                sigmoid.textGradients, products(transposed(sigmoids), images, scale: 20)) == nil)
        let bias = sigmoids.joined().reduce(0, +)
        #expect(abs(sigmoid.logitBiasGradient - bias) < 1e-5 * abs(bias))
    }

    private func rows(_ embeddings: Embeddings) -> [[Double]] {
        (0..<embeddings.count).map { embeddings[$0].map(Double.init) }
    }

    private func transposed(_ rows: [[Double]]) -> [[Double]] {
        rows[0].indices.map { column in rows.map { $0[column] } }
    }

    /// The products of the rows of one matrix with another matrix, one after the other.
    private func products(_ a: [[Double]], _ b: [[Double]], scale: Double) -> [Double] {
        a.flatMap { row in
            b[0].indices.map { column in
                scale * zip(row, b).reduce(0) { $0 + $1.0 * $1.1[column] }
            }
        }
    }

    @Test func lossOfOnePairIsZero() throws {
        let pair = PairEvaluation.Input(
            images: Embeddings(rows: [1, 0], dimension: 2),
            texts: Embeddings(rows: [0.6, 0.8], dimension: 2))
        let result = try ContrastiveLoss(logitScale: 100).run(on: pair)
        #expect(result.loss == 0 && result.logitScaleGradient == 0)
        #expect(result.imageGradients.values == [0, 0] && result.textGradients.values == [0, 0])
    }

    @Test func largeLogitsDoNotOverflow() throws {
        // Logits of ±10,000: each pair is certainly wrong.
        let pairs = PairEvaluation.Input(
            images: Embeddings(rows: [1, 0, -1, 0], dimension: 2),
            texts: Embeddings(rows: [-1, 0, 1, 0], dimension: 2))
        let contrastive = try ContrastiveLoss(logitScale: 10_000).run(on: pairs)
        #expect(contrastive.loss == 20_000)
        let sigmoid = try SigmoidLoss(logitScale: 10_000, logitBias: 0).run(on: pairs)
        #expect(sigmoid.loss == 20_000 && sigmoid.logitScaleGradient == 2)
    }

    @Test func numbersThatOverflowAreErrors() {
        let pairs = PairEvaluation.Input(
            images: Embeddings(rows: [1, 0, 1e30, 0], dimension: 2),
            texts: Embeddings(rows: [1e30, 0, 0, 1], dimension: 2))
        let error = analysisError { _ = try ContrastiveLoss(logitScale: 1).run(on: pairs) }
        #expect(error == .notFinite(of: "gradient for image 0", index: 0, found: "nan"))
        // Each term has a finite derivative here, but the loss is infinite.
        #expect(
            analysisError { _ = try SigmoidLoss(logitScale: 1, logitBias: 0).run(on: pairs) }
                == .notFinite(
                    of: "loss and its derivatives for scale and bias", index: 0, found: "inf"))
    }

    @Test func lossesDoNotDependOnThreads() throws {
        // More strips than threads.
        let pairs = PairEvaluation.Input(
            images: planted(900, each: 1).normalized(),
            texts: planted(900, each: 1, seed: 2).normalized())
        let contrastive = try ContrastiveLoss(logitScale: 20, threads: 1).run(on: pairs)
        let sigmoid = try SigmoidLoss(logitScale: 10, logitBias: -3, threads: 1).run(on: pairs)
        let evaluation = try PairEvaluation(logitScale: 20, threads: 1).run(on: pairs)
        for threads in [2, 3, 5] {
            #expect(
                try ContrastiveLoss(logitScale: 20, threads: threads).run(on: pairs) == contrastive)
            #expect(
                try SigmoidLoss(logitScale: 10, logitBias: -3, threads: threads).run(on: pairs)
                    == sigmoid)
            #expect(
                try PairEvaluation(logitScale: 20, threads: threads).run(on: pairs) == evaluation)
        }
    }

    @Test func inputsThatDoNotMatchAreErrors() {
        let (two, one) = (
            Embeddings(rows: [1, 2, 3, 4], dimension: 2), Embeddings(rows: [1, 2], dimension: 2)
        )
        let none = Embeddings(rows: [], dimension: 2)
        let bad = Embeddings(rows: [1, 2, 3, .infinity], dimension: 2)
        for (images, texts, expected) in [
            (two, one, .wrongCount(of: "texts", expected: 2, found: 1)),
            (
                one, Embeddings(rows: [1], dimension: 1),
                .wrongDimension(expected: 2, found: 1)
            ),
            (none, none, .tooFewVectors(expected: 1, found: 0)),
            (bad, two, .notFinite(of: "vector of image 1", index: 1, found: "inf")),
            (two, bad, .notFinite(of: "vector of text 1", index: 1, found: "inf")),
        ] as [(Embeddings, Embeddings, AnalysisError)] {
            let pairs = PairEvaluation.Input(images: images, texts: texts)
            #expect(
                analysisError { _ = try ContrastiveLoss(logitScale: 1).run(on: pairs) }
                    == expected)
            let sigmoid = SigmoidLoss(logitScale: 1, logitBias: 0)
            #expect(analysisError { _ = try sigmoid.run(on: pairs) } == expected)
        }
        let pairs = PairEvaluation.Input(images: two, texts: two)
        #expect(
            analysisError { _ = try ContrastiveLoss(logitScale: .nan).run(on: pairs) }
                == .invalidOption(
                    name: "logitScale", found: "nan", expected: "a finite number"))
        let biased = SigmoidLoss(logitScale: 1, logitBias: .infinity)
        #expect(
            analysisError { _ = try biased.run(on: pairs) }
                == .invalidOption(name: "logitBias", found: "inf", expected: "a finite number"))
    }
}
