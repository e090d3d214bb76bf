import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis
@testable import Tensors

/// Tests linear probes and Tip-Adapter against scikit-learn and SciPy, and their invariances.
@Suite struct ProbeTests {
    private struct Golden: Decodable {
        struct Linear: Decodable {
            let c: Double
            let weights, biases: [Float]
            let loss: Double
        }
        struct ZeroShot: Decodable {
            let penalty: Double
            let weights: [Float]
            let loss: Double
        }
        struct Tip: Decodable {
            let examples, rows: Int
            let alpha, beta: Float
            let logits: [Float]
        }
        struct Sweep: Decodable {
            let trained: Int
            let c, accuracies, losses: [Double]
            let tried: [Int]
        }
        struct Separable: Decodable {
            let examples: Int
            let c, loss: Double
        }
        let dimension, classes: Int
        let vectors: [Float]
        let labels: [Int]
        let texts: [Float]
        let linear: Linear
        let zeroshot: ZeroShot
        let sweep: Sweep
        let separable: Separable
        let tip: Tip

        init() throws {
            let data = try Data(
                contentsOf: URL(fileURLWithPath: Fixtures.path("analysis/probe.json")))
            self = try JSONDecoder().decode(Golden.self, from: data)
        }

        var embeddings: Embeddings { Embeddings(rows: vectors, dimension: dimension) }
        var textEmbeddings: Embeddings { Embeddings(rows: texts, dimension: dimension) }
        var examples: LabelledVectors {
            get throws {
                try LabelledVectors(embeddings, labels: labels, classCount: classes)
            }
        }
    }

    // MARK: goldens

    @Test func linearProbeMatchesScikitLearn() throws {
        let golden = try Golden()
        let result = try LinearProbe(c: golden.linear.c, tolerance: 1e-9).run(on: golden.examples)
        #expect(abs(result.loss / golden.linear.loss - 1) < 1e-6)
        let classifier = result.classifier
        #expect(classifier.classCount == 5 && classifier.dimension == 16)
        #expect(worstDifference(classifier.weights, golden.linear.weights, limit: 2e-3) == nil)
        #expect(worstDifference(classifier.biases, golden.linear.biases, limit: 1e-2) == nil)
        let standard = try LinearProbe(c: golden.linear.c).run(on: golden.examples)
        #expect(standard.isConverged)
        #expect(abs(standard.loss / golden.linear.loss - 1) < 1e-5)
    }

    @Test func separableExamplesReachTheMinimumAtALargeC() throws {
        let golden = try Golden()
        let examples = try golden.examples.subset(Array(0..<golden.separable.examples))
        let result = try LinearProbe(c: golden.separable.c).run(on: examples)
        #expect(result.isConverged)
        #expect(abs(result.loss / golden.separable.loss - 1) < 1e-3)
    }

    @Test func zeroShotProbeMatchesSciPy() throws {
        let golden = try Golden()
        let probe = ZeroShotLinearProbe(
            labelEmbeddings: golden.textEmbeddings, penalty: golden.zeroshot.penalty,
            tolerance: 1e-9)
        let result = try probe.run(on: golden.examples)
        #expect(abs(result.loss / golden.zeroshot.loss - 1) < 1e-5)
        #expect(result.penalty == golden.zeroshot.penalty)
        #expect(
            worstDifference(result.classifier.weights, golden.zeroshot.weights, limit: 0.05)
                == nil)
        #expect(result.classifier.biases.allSatisfy { $0 == 0 })
    }

    @Test func tipAdapterMatchesNumPy() throws {
        let golden = try Golden()
        let tip = golden.tip
        let examples = try golden.examples.subset(Array(0..<tip.examples))
        let adapter = try TipAdapter(
            examples: examples, labelEmbeddings: golden.textEmbeddings, alpha: tip.alpha,
            beta: tip.beta)
        let rows = golden.embeddings.values(ofRows: tip.examples..<(tip.examples + tip.rows))
        let logits = try adapter.logits(of: Embeddings(rows: rows, dimension: golden.dimension))
        #expect(worstDifference(logits.flatMap(\.self), tip.logits, limit: 1e-4) == nil)
    }

    // MARK: invariances

    @Test func resultsDoNotDependOnThreads() throws {
        let examples = try planted(2000, classes: 7)
        let one = try LinearProbe(threads: 1).run(on: examples)
        #expect(one.isConverged)
        for threads in [2, 3] {
            #expect(try LinearProbe(threads: threads).run(on: examples) == one)
        }
        let texts = Embeddings(rows: Array(examples.vectors.values.prefix(7 * 24)), dimension: 24)
        let probe = { ZeroShotLinearProbe(labelEmbeddings: texts, threads: $0) }
        #expect(try probe(1).run(on: examples) == probe(2).run(on: examples))
    }

    @Test func lossDoesNotDependOnTheOrderOfExamplesAndClasses() throws {
        let examples = try planted(500, classes: 5)
        let loss = try LinearProbe().run(on: examples).loss
        let reversed = examples.subset(Array((0..<500).reversed()))
        #expect(abs(try LinearProbe().run(on: reversed).loss / loss - 1) < 1e-5)
        let renamed = try LabelledVectors(
            examples.vectors, labels: examples.labels.map { 4 - $0 }, classCount: 5)
        #expect(abs(try LinearProbe().run(on: renamed).loss / loss - 1) < 1e-5)
    }

    @Test(arguments: [1e-3, 1, 1e3]) func iterationConvergesAtAnyScale(scale: Float) throws {
        let examples = try planted(600, classes: 3)
        let scaled = try LabelledVectors(
            Embeddings(rows: examples.vectors.values.map { scale * $0 }, dimension: 24),
            labels: examples.labels, classCount: 3)
        // C times s⁻² for features times s leaves the decisions as they are.
        let c = 0.5 / Double(scale * scale)
        let result = try LinearProbe(c: c).run(on: scaled)
        let plain = try LinearProbe(c: 0.5).run(on: examples)
        #expect(result.isConverged)
        #expect(abs(result.loss * Double(scale * scale) / plain.loss - 1) < 1e-4)
    }

    @Test func strongPenaltyKeepsTheTextVectors() throws {
        let examples = try planted(100, classes: 4)
        let texts = Embeddings(rows: Array(examples.vectors.values.suffix(4 * 24)), dimension: 24)
        let result = try ZeroShotLinearProbe(labelEmbeddings: texts, penalty: 1e9)
            .run(on: examples)
        let expected = texts.normalized().values.map { 100 * $0 }
        #expect(worstDifference(result.classifier.weights, expected, limit: 1e-2) == nil)
    }

    @Test func defaultPenaltyIsWeakerForTextsThatFitBadly() throws {
        let vectors = Embeddings(rows: [1, 0, 0, 1], dimension: 2)
        let examples = try LabelledVectors(vectors, labels: [0, 1], classCount: 2)
        let swapped = Embeddings(rows: [0, 1, 1, 0], dimension: 2)
        let good = try ZeroShotLinearProbe(labelEmbeddings: vectors).run(on: examples)
        #expect(good.penalty == 10)
        // The cross-entropy of the swapped texts is 100 nats.
        let bad = try ZeroShotLinearProbe(labelEmbeddings: swapped).run(on: examples)
        #expect(abs(bad.penalty / 1e-3 - 1) < 1e-4)
        let logits = try bad.classifier.logits(of: vectors)
        #expect(logits[0][0] > logits[0][1] && logits[1][1] > logits[1][0])
    }

    @Test func sweepMatchesScikitLearn() throws {
        let golden = try Golden()
        let sweep = golden.sweep
        let count = golden.labels.count
        let validation = try golden.examples.subset(Array(sweep.trained..<count))
        let found = try LinearProbe.sweep(
            training: golden.examples.subset(Array(0..<sweep.trained)), validation: validation)
        #expect(found.trials.count == sweep.tried.count)
        for (trial, place) in zip(found.trials, sweep.tried) {
            #expect(abs(trial.c / sweep.c[place] - 1) < 1e-6)
            // At a large C the loss is flat around the minimum: one decision may differ.
            let limit = trial.c > 1e3 ? 1 / Double(validation.labels.count) : 0
            #expect(
                abs(trial.accuracy - sweep.accuracies[place]) < limit + 1e-6, "C = \(trial.c)")
        }
        let best = try #require(sweep.tried.map { sweep.accuracies[$0] }.max())
        #expect(abs(found.accuracy - best) < 1e-6)
        // Two values of C are equally accurate.
        let equal = sweep.tried.filter { sweep.accuracies[$0] == best }
        let place = try #require(equal.min { sweep.losses[$0] < sweep.losses[$1] })
        #expect(equal.count == 2 && place == equal[1])
        #expect(abs(found.c / sweep.c[place] - 1) < 1e-6)
    }

    /// With the strongest penalty, the classes would be almost equally probable.
    @Test func sweepOfSeparableClassesGivesConfidentProbabilities() throws {
        let rows = (0..<20).flatMap { (row: Int) -> [Float] in
            [row % 2 == 0 ? 1 : -1, Float(row / 2 % 5 - 2) / 10]
        }
        let examples = try LabelledVectors(
            Embeddings(rows: rows, dimension: 2), labels: (0..<20).map { $0 % 2 }, classCount: 2)
        let found = try LinearProbe.sweep(training: examples, validation: examples)
        let first = try #require(found.trials.first)
        #expect(first.c < 1.1e-6 && first.accuracy == 1)
        #expect(found.accuracy == 1)
        let classifier = try LinearProbe(c: found.c).run(on: examples).classifier
        for (row, logits) in try classifier.logits(of: examples.vectors).enumerated() {
            let margin = logits[row % 2] - logits[1 - row % 2]
            #expect(margin > 5, "C = \(found.c)")
        }
    }

    @Test func sweepOfOtherClassesIsAnError() throws {
        #expect(throws: AnalysisError.self) {
            try LinearProbe.sweep(
                training: planted(50, classes: 4), validation: planted(50, classes: 5))
        }
    }

    @Test func decodedTipAdapterIsTheSame() throws {
        let examples = try planted(30, classes: 3)
        let texts = Embeddings(rows: Array(examples.vectors.values.prefix(3 * 24)), dimension: 24)
        let adapter = try TipAdapter(examples: examples, labelEmbeddings: texts)
        let data = try JSONEncoder().encode(adapter)
        let decoded = try JSONDecoder().decode(TipAdapter.self, from: data)
        #expect(decoded == adapter && decoded.hashValue == adapter.hashValue)
        let logits = try adapter.logits(of: examples.vectors)
        #expect(try decoded.logits(of: examples.vectors) == logits)
        #expect(try adapter.logits(of: examples.vectors) == logits)
    }

    @Test(arguments: [
        #""keys": {"dimension": 2, "values": [1, 0, 0]}"#,
        #""keys": {"dimension": 1, "values": [1, 1]}"#,
        #""keys": {"dimension": 2, "values": []}"#,
        #""keys": {"dimension": 2, "values": [1, 0, "inf", 1]}"#,
        #""labels": [0]"#, #""labels": [0, 2]"#, #""labels": [0, -1]"#,
        #""labelEmbeddings": {"dimension": 2, "values": [1, 0]}"#,
        #""labelEmbeddings": {"dimension": 2, "values": [1, 0, 0, "nan"]}"#,
        #""alpha": -1"#, #""alpha": "nan""#, #""beta": "inf""#, #""beta": -0.5"#,
    ])
    func inconsistentTipAdapterIsNotDecoded(change: String) throws {
        var parts = [
            #""keys": {"dimension": 2, "values": [1, 0, 0, 1]}"#, #""labels": [0, 1]"#,
            #""labelEmbeddings": {"dimension": 2, "values": [1, 0, 0, 1]}"#, #""alpha": 1"#,
            #""beta": 5.5"#,
        ]
        let decoder = JSONDecoder()
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
        func decode() throws -> TipAdapter {
            let text = "{\(parts.joined(separator: ", "))}"
            return try decoder.decode(TipAdapter.self, from: Data(text.utf8))
        }
        #expect(try decode().beta == 5.5)
        let key = change.prefix { $0 != ":" }
        let place = try #require(parts.firstIndex { $0.hasPrefix(key + ":") })
        parts[place] = change
        #expect(throws: DecodingError.self) { try decode() }
    }

    // MARK: examples

    @Test func shotsAreReproducible() throws {
        let examples = try planted(300, classes: 6)
        for shots in [1, 4, 1000] {
            let some = examples.shots(shots, seed: 7)
            #expect(some == examples.shots(shots, seed: 7))
            for label in 0..<6 {
                let available = examples.labels.count { $0 == label }
                #expect(some.labels.count { $0 == label } == min(shots, available))
            }
        }
        #expect(examples.shots(4, seed: 7) != examples.shots(4, seed: 8))
        #expect(examples.shots(1000, seed: 7) == examples)
        let few = examples.shots(2, seed: 7)
        let more = Set((0..<24).map { examples.shots(4, seed: 7).vectors[$0] })
        #expect((0..<few.vectors.count).allSatisfy { more.contains(few.vectors[$0]) })
    }

    @Test func invalidExamplesAreErrors() throws {
        let two = Embeddings(rows: [1, 2, 3, 4], dimension: 2)
        func error(_ vectors: Embeddings, _ labels: [Int], _ classes: Int) -> AnalysisError? {
            do throws(AnalysisError) {
                _ = try LabelledVectors(vectors, labels: labels, classCount: classes)
                return nil
            } catch {
                return error
            }
        }
        #expect(error(two, [0, 1], 2) == nil)
        #expect(error(two, [0, 2], 2) == .invalidLabel(row: 1, label: 2, classCount: 2))
        #expect(error(two, [-1, 0], 2) == .invalidLabel(row: 0, label: -1, classCount: 2))
        #expect(error(two, [0], 2) == .wrongCount(of: "labels", expected: 2, found: 1))
        #expect(
            error(two, [0, 0], 1)
                == .invalidOption(name: "classCount", found: "1", expected: "2 or more"))
        for classCount in [Int.max, 1_000_000_000_000, (1 << 27) + 1] {
            #expect(
                error(two, [0, 0], classCount)
                    == .invalidOption(
                        name: "classCount", found: "\(classCount)",
                        expected: "134217728 or less for 2 dimensions"))
        }
        #expect(
            error(Embeddings(rows: [], dimension: 2), [], 2)
                == .tooFewVectors(expected: 1, found: 0))
        for value in [Float.nan, .infinity] {
            #expect(
                error(Embeddings(rows: [1, 2, 3, value], dimension: 2), [0, 1], 2)
                    == .nonFiniteVector(row: 1))
        }
    }

    @Test func invalidOptionsAreErrors() throws {
        let examples = try planted(30, classes: 3)
        for probe in [
            LinearProbe(c: 0), LinearProbe(c: .nan), LinearProbe(c: 0.99e-10),
            LinearProbe(c: 1.01e10), LinearProbe(c: .infinity), LinearProbe(maximumIterations: 0),
            LinearProbe(tolerance: 0),
        ] {
            #expect(throws: AnalysisError.self) { try probe.run(on: examples) }
        }
        for c in [1e-10, 1e10] {
            #expect(throws: Never.self) { try LinearProbe(c: c).run(on: examples) }
        }
        let same = try LabelledVectors(
            Embeddings(rows: [1, 2, 3, 4], dimension: 2), labels: [1, 1], classCount: 2)
        #expect(
            throws: AnalysisError.invalidOption(
                name: "labels", found: "1 class", expected: "2 or more classes")
        ) { try LinearProbe().run(on: same) }
        let texts = Embeddings(rows: [1, 2, 3, 4], dimension: 2)
        #expect(
            throws: AnalysisError.wrongClassCount(of: "text vectors", expected: 3, found: 2)
        ) { try ZeroShotLinearProbe(labelEmbeddings: texts).run(on: examples) }
        #expect(throws: AnalysisError.self) {
            try TipAdapter(examples: examples, labelEmbeddings: texts)
        }
        #expect(throws: AnalysisError.self) {
            try TipAdapter(examples: same, labelEmbeddings: texts, beta: -1)
        }
        let classifier = try LinearProbe().run(on: examples).classifier
        #expect(throws: AnalysisError.wrongDimension(expected: 24, found: 2)) {
            try classifier.logits(of: texts)
        }
    }
}
