import CLIP
import CLIPAnalysis
import Files
import Foundation
import TestSupport

/// The results of CLIP_benchmark, scikit-learn, SciPy and open_clip for small inputs.
///
/// Scripts/parity/goldens_evaluation.py wrote them.
struct EvaluationGoldens: Decodable {
    let classification: [Classification]
    let multilabel: [MultiLabel]
    let retrieval: [Retrieval]
    let losses: [Losses]

    struct Classification: Decodable {
        let name: String
        let classes: Int
        let logits: [[Float]]
        let labels: [Int]
        let acc1: Double
        /// nil stands for NaN.
        let acc5: Double?
        let meanPerClassRecall: Double
        let acc1Interval, acc5Interval, meanPerClassRecallInterval: [Double]
        let imagesPerClass, correctPerClass, predictions, ranks: [Int]
        let confidences, labelProbabilities: [Double]
        let imagesPerBin: [Int]
        let expectedCalibrationError: Double
    }

    struct MultiLabel: Decodable {
        let name: String
        let classes: Int
        let logits: [[Float]]
        let labels: [[Bool]]
        let averagePrecisions: [Double]
        let meanAveragePrecision: Double
        let interval: [Double]
    }

    struct Retrieval: Decodable {
        let name: String
        let dimension: Int
        let images, texts: [Float]
        let imageOfText, imageRanks: [Int]
        let textRanks: [Int?]
        /// The recall by k.
        let imageRetrievalRecall, textRetrievalRecall: [String: Double]

        var input: RetrievalMetrics.Input {
            .init(
                images: Embeddings(rows: images, dimension: dimension),
                texts: Embeddings(rows: texts, dimension: dimension), imageOfText: imageOfText)
        }
    }

    struct Losses: Decodable {
        let name: String
        let dimension: Int
        let logitScale, logitBias: Float
        let images, texts: [Float]
        let contrastive, sigmoid: Gradients

        var input: PairEvaluation.Input {
            .init(
                images: Embeddings(rows: images, dimension: dimension),
                texts: Embeddings(rows: texts, dimension: dimension))
        }
    }

    /// A loss and its derivatives.
    struct Gradients: Decodable {
        let loss: Double
        let images, texts, logitScale: [Double]
        let logitBias: [Double]?
    }

    static func read() throws -> EvaluationGoldens {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        let data = Data(try bytes(ofFile: Fixtures.path("evaluation/evaluation.json")))
        return try decoder.decode(EvaluationGoldens.self, from: data)
    }
}

/// Returns the error that `body` throws, if it is an `AnalysisError`.
func analysisError(_ body: () throws -> Void) -> AnalysisError? {
    do {
        try body()
        return nil
    } catch {
        return error as? AnalysisError
    }
}

/// Returns the bounds of an interval as an array.
func bounds(_ interval: ConfidenceInterval) -> [Double] { [interval.lower, interval.upper] }
