import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis

/// Tests the metrics of classification with one label for each image.
@Suite struct EvaluationTests {
    private func evaluation(_ classes: Int, _ images: [([Float], Int)]) throws -> Evaluation {
        var evaluation = Evaluation(classCount: classes)
        for (logits, label) in images { try evaluation.add(logits: logits, label: label) }
        return evaluation
    }

    @Test func classificationEqualsTheReference() throws {
        for golden in try EvaluationGoldens.read().classification {
            let name = Comment(rawValue: golden.name)
            var evaluation = Evaluation(classCount: golden.classes)
            var outcomes: [Evaluation.Outcome] = []
            for (logits, label) in zip(golden.logits, golden.labels) {
                outcomes.append(try evaluation.add(logits: logits, label: label))
            }
            #expect(firstDifference(outcomes.map(\.label), golden.labels) == nil, name)
            #expect(firstDifference(outcomes.map(\.prediction), golden.predictions) == nil, name)
            #expect(firstDifference(outcomes.map(\.rank), golden.ranks) == nil, name)
            func close(_ found: [Double], _ expected: [Double]) -> String? {
                worstDifference(found, expected, limit: 2e-9)
            }
            #expect(close(outcomes.map(\.confidence), golden.confidences) == nil, name)
            #expect(
                close(outcomes.map(\.labelProbability), golden.labelProbabilities) == nil, name)

            #expect(evaluation.count == golden.labels.count, name)
            #expect(close([evaluation.acc1], [golden.acc1]) == nil, name)
            if let acc5 = golden.acc5 {
                #expect(close([evaluation.acc5], [acc5]) == nil, name)
            } else {
                #expect(evaluation.acc5.isNaN, name)
            }
            #expect(
                close([evaluation.meanPerClassRecall], [golden.meanPerClassRecall]) == nil, name)
            #expect(close(bounds(evaluation.acc1Interval), golden.acc1Interval) == nil, name)
            #expect(close(bounds(evaluation.acc5Interval), golden.acc5Interval) == nil, name)
            #expect(
                close(
                    bounds(evaluation.meanPerClassRecallInterval),
                    golden.meanPerClassRecallInterval) == nil, name)
            #expect(
                firstDifference(evaluation.imagesPerClass, golden.imagesPerClass) == nil, name)
            #expect(
                firstDifference(evaluation.correctPerClass, golden.correctPerClass) == nil, name)
            let bins = evaluation.reliability.map(\.count)
            #expect(firstDifference(bins, golden.imagesPerBin) == nil, name)
            let error = evaluation.expectedCalibrationError
            #expect(close([error], [golden.expectedCalibrationError]) == nil, name)
        }
    }

    @Test func equalLogitsAreRankedByIndex() throws {
        var evaluation = Evaluation(classCount: 6)
        for label in 0..<6 {
            let outcome = try evaluation.add(
                logits: [Float](repeating: 20, count: 6), label: label)
            #expect(outcome.rank == label && outcome.prediction == 0)
            #expect(outcome.isCorrect == (label == 0))
            #expect(abs(outcome.confidence - 1.0 / 6) < 1e-15)
            #expect(outcome.labelProbability == outcome.confidence)
        }
        #expect(evaluation.acc1 == 1.0 / 6 && evaluation.acc5 == 5.0 / 6)
        #expect((0...7).map { evaluation.accuracy(top: $0) * 6 } == [0, 1, 2, 3, 4, 5, 6, 6])
        #expect(evaluation.accuracy(top: -1) == 0)
        let mixed = try Evaluation.Outcome(logits: [3, 5, 5, 1], label: 2)
        #expect(mixed.prediction == 1 && mixed.rank == 1)
    }

    @Test func largeLogitsDoNotOverflow() throws {
        let outcome = try Evaluation.Outcome(logits: [-3e38, 3e38, 0], label: 0)
        #expect(outcome.confidence == 1 && outcome.labelProbability == 0 && outcome.rank == 2)
    }

    @Test func wrongInputIsNotCounted() throws {
        var evaluation = Evaluation(classCount: 3)
        for (logits, label, expected) in [
            ([1, 2], 0, .wrongClassCount(of: "logits", expected: 3, found: 2)),
            ([1, 2, 3, 4], 0, .wrongClassCount(of: "logits", expected: 3, found: 4)),
            ([], 0, .wrongClassCount(of: "logits", expected: 3, found: 0)),
            ([1, 2, 3], 3, .indexOutOfRange(of: "label", found: 3, count: 3)),
            ([1, 2, 3], -1, .indexOutOfRange(of: "label", found: -1, count: 3)),
            ([1, .nan, 3], 0, .notFinite(of: "logits", index: 1, found: "nan")),
            ([1, 2, -.infinity], 0, .notFinite(of: "logits", index: 2, found: "-inf")),
        ] as [([Float], Int, AnalysisError)] {
            let error = analysisError { try evaluation.add(logits: logits, label: label) }
            #expect(error == expected, "\(logits), label \(label)")
        }
        #expect(evaluation == Evaluation(classCount: 3))
        var none = Evaluation(classCount: -1)
        #expect(
            analysisError { try none.add(logits: [], label: 0) }
                == .indexOutOfRange(of: "label", found: 0, count: 0))
    }

    @Test func messagesOfWrongInputNameTheNumbers() {
        for (error, message) in [
            (
                .wrongClassCount(of: "logits", expected: 3, found: 2),
                "expected 3 logits, one for each class, found 2"
            ),
            (
                .indexOutOfRange(of: "label", found: 7, count: 3),
                "label 7 is out of range: expected 0..<3"
            ),
            (
                .notFinite(of: "logits", index: 1, found: "nan"),
                "element 1 of the logits is nan: expected a finite number"
            ),
        ] as [(AnalysisError, String)] {
            #expect(error.description == message)
        }
    }

    @Test func metricsWithoutImagesAreNaN() {
        let none = Evaluation(classCount: 10)
        #expect(none.count == 0 && none.acc1.isNaN && none.acc5.isNaN)
        #expect(none.meanPerClassRecall.isNaN && none.expectedCalibrationError.isNaN)
        let all = [0.0, 1.0]
        #expect(bounds(none.acc1Interval) == all && bounds(none.acc5Interval) == all)
        #expect(bounds(none.meanPerClassRecallInterval) == all)
        #expect(none.confusions(limit: 5).isEmpty)
        #expect(none.reliability.map(\.count) == [Int](repeating: 0, count: 10))
        #expect(none.reliability.allSatisfy { $0.meanConfidence == 0 && $0.accuracy == 0 })
    }

    /// For classes of equal size, both are the same quantity.
    @Test(arguments: [(8, 1, 6), (1, 1, 1), (1, 1, 0), (3, 5, 8), (50, 2, 100)])
    func recallIntervalOfEqualClassesIsThatOfTheAccuracy(
        _ classes: Int, _ images: Int, _ correct: Int
    ) throws {
        var evaluation = Evaluation(classCount: classes + 1)
        for image in 0..<(classes * images) {
            let (label, other) = (image % classes, classes)
            let prediction = image < correct ? label : other
            let logits = (0...classes).map { Float($0 == prediction ? 9 : 1) }
            try evaluation.add(logits: logits, label: label)
        }
        #expect(
            worstDifference(
                bounds(evaluation.meanPerClassRecallInterval), bounds(evaluation.acc1Interval),
                limit: 1e-12) == nil)
    }

    /// If a class has a single image, the mean recall is known less well.
    @Test func recallIntervalIsWiderForClassesOfUnequalSize() throws {
        var images: [([Float], Int)] = (0..<40).map { ([1, $0 % 2 == 0 ? 0 : 2], 0) }
        images.append(([1, 2], 1))
        let evaluation = try evaluation(2, images)
        #expect(evaluation.meanPerClassRecall == 0.75)
        // The effective number is 4 / (1/40 + 1) = 3.902.
        #expect(
            worstDifference(
                bounds(evaluation.meanPerClassRecallInterval), [0.29675547, 0.95521319],
                limit: 1e-8) == nil)
    }

    @Test func confusionsAreOrderedByFrequency() throws {
        /// Logits with the largest in one place.
        func logits(_ place: Int) -> [Float] { (0..<4).map { $0 == place ? 9 : 1 } }
        let pairs = [(3, 0), (0, 2), (0, 1), (3, 0), (1, 1), (2, 3), (2, 3), (1, 0)]
        let evaluation = try evaluation(4, pairs.map { (logits($0.1), $0.0) })
        let confusions = evaluation.confusions(limit: 10)
        let found = confusions.map { [$0.label, $0.prediction, $0.count] }
        #expect(found == [[2, 3, 2], [3, 0, 2], [0, 1, 1], [0, 2, 1], [1, 0, 1]])
        #expect(evaluation.confusions(limit: 2) == Array(confusions.prefix(2)))
        #expect(evaluation.confusions(limit: -1).isEmpty)
        #expect(evaluation.correctPerClass == [0, 1, 0, 0])
        #expect(evaluation.imagesPerClass == [2, 2, 2, 2])
    }

    @Test func reliabilityHasTenBins() throws {
        // Softmax of [log 3, 0] is [0.75, 0.25].
        let evaluation = try evaluation(
            2, [([Float(log(3.0)), 0], 0), ([Float(log(3.0)), 0], 1), ([500, 0], 0)])
        let bins = evaluation.reliability
        #expect(bins.map(\.count) == [0, 0, 0, 0, 0, 0, 0, 2, 0, 1])
        #expect(bins.map(\.lowerBound) == (0..<10).map { Double($0) / 10 })
        #expect(bins.map(\.upperBound) == (1...10).map { Double($0) / 10 })
        #expect(abs(bins[7].meanConfidence - 0.75) < 1e-7 && bins[7].accuracy == 0.5)
        #expect(bins[9].meanConfidence == 1 && bins[9].accuracy == 1)
        #expect(abs(evaluation.expectedCalibrationError - 0.5 / 3) < 1e-7)
    }

    @Test func evaluationSurvivesCoding() throws {
        let evaluation = try evaluation(3, [([1, 2, 3], 0), ([3, 2, 1], 0), ([3, 2, 1], 1)])
        let data = try JSONEncoder().encode(evaluation)
        #expect(try JSONDecoder().decode(Evaluation.self, from: data) == evaluation)
        let none = try JSONEncoder().encode(Evaluation(classCount: 0))
        #expect(try JSONDecoder().decode(Evaluation.self, from: none).count == 0)
    }

    /// Each change of one number of a valid file would trap later, or give wrong metrics.
    @Test func contradictoryFilesAreRejected() throws {
        let evaluation = try evaluation(3, [([1, 2, 3], 0), ([3, 2, 1], 0), ([3, 2, 1], 1)])
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        let valid = String(decoding: try encoder.encode(evaluation), as: UTF8.self)
        for (part, change) in [
            ("\"classCount\":3", "\"classCount\":2"), ("\"classCount\":3", "\"classCount\":-3"),
            ("\"errors\":{", "\"errors\":{\"9\":1,"), ("\"errors\":{", "\"errors\":{\"-1\":1,"),
            ("\"2\":1", "\"0\":1"), ("\"2\":1", "\"2\":-9223372036854775808"),
            ("\"imagesPerClass\":[2,1,0]", "\"imagesPerClass\":[2,1]"),
            ("\"imagesPerClass\":[2,1,0]", "\"imagesPerClass\":[2,2,0]"),
            (
                "\"imagesPerClass\":[2,1,0]",
                "\"imagesPerClass\":[9223372036854775807,9223372036854775807,5]"
            ),
            ("\"correctPerClass\":[1,0,0]", "\"correctPerClass\":[2,-1,0]"),
            ("\"imagesPerRank\":[1,1,1]", "\"imagesPerRank\":[2,1,0]"),
            ("\"bins\":[", "\"bins\":[{\"confidence\":0,\"correct\":0,\"count\":0},"),
        ] {
            let text = valid.replacingOccurrences(of: part, with: change)
            #expect(text != valid, "\(part) is not in \(valid)")
            #expect(throws: DecodingError.self, "\(change)") {
                try JSONDecoder().decode(Evaluation.self, from: Data(text.utf8))
            }
        }
    }

    @Test func intervalsAreWithinTheUnitInterval() {
        #expect(bounds(.wilson(0, of: 0)) == [0, 1])
        let (none, all) = (
            ConfidenceInterval.wilson(0, of: 10), ConfidenceInterval.wilson(10, of: 10)
        )
        #expect(worstDifference(bounds(none), [0, 0.2775328], limit: 1e-6) == nil)
        #expect(worstDifference(bounds(all), [0.7224672, 1], limit: 1e-6) == nil)
        for count in 1...1000 {
            #expect(ConfidenceInterval.wilson(0, of: count).lower == 0, "\(count)")
            #expect(ConfidenceInterval.wilson(count, of: count).upper == 1, "\(count)")
        }
        let some = ConfidenceInterval.wilson(87, of: 100)
        #expect(worstDifference(bounds(some), [0.7902, 0.9224], limit: 1e-4) == nil)
        #expect(bounds(.normal(mean: 0.5, standardError: 0)) == [0.5, 0.5])
        let cut = ConfidenceInterval.normal(mean: 0.99, standardError: 0.01)
        #expect(abs(cut.lower - 0.9704003602) < 1e-9 && cut.upper == 1)
        #expect(bounds(.normal(mean: .nan, standardError: 0.1)) == [0, 1])
        #expect(bounds(.normal(mean: 0.5, standardError: .nan)) == [0, 1])
    }
}

extension Evaluation.Outcome {
    /// The outcome of one image.
    fileprivate init(logits: [Float], label: Int) throws {
        var evaluation = Evaluation(classCount: logits.count)
        self = try evaluation.add(logits: logits, label: label)
    }
}

/// Tests the metrics of classification with any number of labels for each image.
@Suite struct MultiLabelEvaluationTests {
    private func evaluation(
        _ classes: Int, _ images: [([Float], [Bool])]
    ) throws -> MultiLabelEvaluation {
        var evaluation = MultiLabelEvaluation(classCount: classes)
        for (logits, labels) in images { try evaluation.add(logits: logits, labels: labels) }
        return evaluation
    }

    @Test func averagePrecisionsEqualTheReference() throws {
        for golden in try EvaluationGoldens.read().multilabel {
            let name = Comment(rawValue: golden.name)
            let images = Array(zip(golden.logits, golden.labels))
            let result = try evaluation(golden.classes, images).result()
            #expect(result.count == images.count, name)
            #expect(
                worstDifference(
                    result.averagePrecisions, golden.averagePrecisions, limit: 1e-6) == nil, name)
            let mean = result.meanAveragePrecision
            #expect(abs(mean - golden.meanAveragePrecision) < 1e-6, name)
            #expect(
                worstDifference(bounds(result.interval), golden.interval, limit: 1e-5) == nil,
                name)
        }
    }

    @Test func averagePrecisionsDoNotDependOnThreads() throws {
        let golden = try #require(try EvaluationGoldens.read().multilabel.first)
        let evaluation = try evaluation(
            golden.classes, Array(zip(golden.logits, golden.labels)))
        #expect(evaluation.result(threads: 1) == evaluation.result(threads: 3))
    }

    @Test func averagePrecisionsReportTheirProgress() throws {
        let evaluation = try evaluation(
            50,
            (0..<4).map { image in
                (
                    (0..<50).map { Float($0 * image % 7) },
                    .init(repeating: image % 2 == 0, count: 50)
                )
            })
        var shares: [Double] = []
        let result = try evaluation.result(threads: 2) {
            shares.append($0)
            return true
        }
        #expect(result == evaluation.result())
        #expect(shares.first == 0 && shares.last == 1 && shares.count > 3, "\(shares)")
        #expect(shares == shares.sorted(), "\(shares)")
        let error = analysisError { _ = try evaluation.result(threads: 2) { $0 < 0.3 } }
        #expect(error == .cancelled)
        #expect(
            try MultiLabelEvaluation(classCount: 0).result { _ in true }.averagePrecisions == [])
    }

    @Test func averagePrecisionIsTheMeanOfPrecisions() throws {
        let scores: [Float] = [1, 3, 0, 2]
        let result = try evaluation(
            3, zip(scores, [true, true, false, false]).map { ([$0, 5, -$0], [$1, $1, false]) }
        ).result()
        // Ranks 1 and 3; ranks 1 and 2 of equal logits; a class without images.
        #expect(
            worstDifference(result.averagePrecisions, [(1 + 2.0 / 3) / 2, 1, 0], limit: 1e-15)
                == nil)
        #expect(abs(result.meanAveragePrecision - (5.0 / 6 + 1) / 3) < 1e-15)
        let last = try evaluation(1, [([5], [false]), ([5], [false]), ([5], [true])]).result()
        #expect(last.averagePrecisions == [1.0 / 3])
    }

    @Test func evaluationOfFewImages() throws {
        let none = MultiLabelEvaluation(classCount: 2).result()
        #expect(none.averagePrecisions == [0, 0] && none.meanAveragePrecision.isNaN)
        #expect(bounds(none.interval) == [0, 1])
        let data = try JSONEncoder().encode(none)
        #expect(try JSONDecoder().decode(MultiLabelEvaluation.Result.self, from: data) == none)
        let one = try evaluation(2, [([1, 2], [true, false])]).result()
        #expect(one.averagePrecisions == [1, 0] && one.meanAveragePrecision == 0.5)
        #expect(bounds(one.interval) == [0, 1])
        #expect(MultiLabelEvaluation(classCount: 0).result().meanAveragePrecision.isNaN)
    }

    @Test func wrongInputIsNotCounted() throws {
        var evaluation = MultiLabelEvaluation(classCount: 2)
        for (logits, labels, expected) in [
            ([1], [true, true], .wrongClassCount(of: "logits", expected: 2, found: 1)),
            ([1, 2], [true], .wrongClassCount(of: "labels", expected: 2, found: 1)),
            ([1, .nan], [true, true], .notFinite(of: "logits", index: 1, found: "nan")),
        ] as [([Float], [Bool], AnalysisError)] {
            let error = analysisError { try evaluation.add(logits: logits, labels: labels) }
            #expect(error == expected, "\(logits), \(labels)")
        }
        #expect(evaluation.count == 0)
    }
}
