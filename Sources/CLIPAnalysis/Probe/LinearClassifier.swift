public import CLIP
internal import Tensors

/// A linear classifier: the logits of a vector x are W x + b.
///
/// ```swift
/// let examples = try LabelledVectors(embeddings, labels: [0, 1, 1, 0], classCount: 2)
/// let probe = try LinearProbe().run(on: examples)
/// let logits = try probe.classifier.logits(of: embeddings)
/// print(logits[0].count, probe.classifier.classCount)
/// ```
public struct LinearClassifier: Sendable, Hashable, Codable {
    /// The number of classes.
    public let classCount: Int
    /// The number of dimensions of the vectors.
    public let dimension: Int
    /// The weights W, row-major: [classCount, dimension].
    public let weights: [Float]
    /// The bias b of each class.
    public let biases: [Float]

    /// Makes a classifier from its parameters, such as those of a file.
    ///
    /// - Parameters:
    ///   - weights: The weights, one row for each class.
    ///   - biases: The bias of each class.
    /// - Throws: `AnalysisError.wrongClassCount` if the numbers of rows and of biases differ.
    public init(weights: Embeddings, biases: [Float]) throws(AnalysisError) {
        guard biases.count == weights.count else {
            throw .wrongClassCount(of: "biases", expected: weights.count, found: biases.count)
        }
        (classCount, dimension) = (weights.count, weights.dimension)
        (self.weights, self.biases) = (weights.values, biases)
    }

    /// Makes a classifier of valid parameters.
    init(weights: [Float], biases: [Float], dimension: Int) {
        (classCount, self.dimension) = (biases.count, dimension)
        (self.weights, self.biases) = (weights, biases)
    }

    /// Returns the logits of vectors.
    ///
    /// - Parameter vectors: The vectors, normalised if those of the training were.
    /// - Returns: A matrix of `vectors.count` rows and `classCount` columns.
    /// - Throws: `AnalysisError.wrongDimension` if the vectors have another dimension.
    public func logits(of vectors: Embeddings) throws(AnalysisError) -> [[Float]] {
        try AnalysisError.check(dimension: vectors.dimension, expected: dimension)
        let products = dotProducts(vectors.values, weights, dimension: dimension)
        return (0..<vectors.count).map { row in
            (0..<classCount).map { products[row * classCount + $0] + biases[$0] }
        }
    }
}

extension LinearClassifier {
    private enum CodingKeys: String, CodingKey { case classCount, dimension, weights, biases }

    /// Decodes a classifier.
    ///
    /// - Throws: `DecodingError.dataCorrupted` if the numbers of weights and biases do not match
    ///   the numbers of classes and dimensions.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        classCount = try container.decode(Int.self, forKey: .classCount)
        dimension = try container.decode(Int.self, forKey: .dimension)
        weights = try container.decode([Float].self, forKey: .weights)
        biases = try container.decode([Float].self, forKey: .biases)
        let (expected, isTooLarge) = classCount.multipliedReportingOverflow(by: dimension)
        guard dimension > 0, !isTooLarge, weights.count == expected, biases.count == classCount
        else {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: decoder.codingPath,
                    debugDescription: "expected \(classCount) x \(dimension) weights and "
                        + "\(classCount) biases, found \(weights.count) and \(biases.count)"))
        }
    }
}
