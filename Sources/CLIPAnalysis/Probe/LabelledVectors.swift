public import CLIP
internal import Tensors

/// Vectors and the class of each: the examples that a classifier is trained with.
///
/// ```swift
/// let examples = try LabelledVectors(embeddings, labels: [0, 1, 1, 0], classCount: 2)
/// let few = examples.shots(1, seed: 0)
/// print(few.labels.count)  // 2
/// ```
public struct LabelledVectors: Sendable, Hashable {
    /// The vectors, of any norms.
    public let vectors: Embeddings
    /// The class of each vector, in `0..<classCount`.
    public let labels: [Int]
    /// The number of classes, at least 2; a class may have no vector.
    public let classCount: Int

    /// The largest number of classes times dimensions: a gigabyte of float32 weights.
    static let mostWeights = 1 << 28

    /// Makes examples from vectors and their classes.
    ///
    /// - Parameters:
    ///   - vectors: The vectors, at least one, of finite numbers.
    ///   - labels: The class of each vector, in `0..<classCount`.
    ///   - classCount: The number of classes, at least 2; classes times dimensions are at most
    ///     2²⁸.
    /// - Throws: `AnalysisError.invalidOption` if there are too few or too many classes,
    ///   `.tooFewVectors` if there are no vectors, `.wrongCount` if there is not one label for
    ///   each, `.invalidLabel` if one is out of range, and `.nonFiniteVector`.
    public init(
        _ vectors: Embeddings, labels: [Int], classCount: Int
    ) throws(AnalysisError) {
        guard classCount >= 2 else {
            throw .invalidOption(name: "classCount", found: "\(classCount)", expected: "2 or more")
        }
        let mostClasses = Self.mostWeights / vectors.dimension
        guard classCount <= mostClasses else {
            throw .invalidOption(
                name: "classCount", found: "\(classCount)",
                expected: "\(mostClasses) or less for \(vectors.dimension) dimensions")
        }
        guard vectors.count > 0 else { throw .tooFewVectors(expected: 1, found: 0) }
        guard labels.count == vectors.count else {
            throw .wrongCount(of: "labels", expected: vectors.count, found: labels.count)
        }
        if let row = labels.firstIndex(where: { !(0..<classCount).contains($0) }) {
            throw .invalidLabel(row: row, label: labels[row], classCount: classCount)
        }
        try AnalysisError.check(finite: vectors)
        self.init(valid: vectors, labels: labels, classCount: classCount)
    }

    /// Makes examples from values that have been validated.
    private init(valid vectors: Embeddings, labels: [Int], classCount: Int) {
        (self.vectors, self.labels, self.classCount) = (vectors, labels, classCount)
    }
}

extension LabelledVectors {
    /// Returns `k` randomly chosen examples of each class, or all of a class that has fewer.
    ///
    /// The examples keep their order. The choice in a class depends only on the seed, the class
    /// and the number of its examples. With the same seed, a larger `k` keeps the examples of a
    /// smaller one.
    ///
    /// - Parameters:
    ///   - k: The number of examples of each class, at least 1; a smaller number counts as 1.
    ///   - seed: The seed of the random numbers.
    /// - Returns: The chosen examples, with the same number of classes.
    public func shots(_ k: Int, seed: UInt64) -> LabelledVectors {
        var rows = [[Int]](repeating: [], count: classCount)
        for (row, label) in labels.enumerated() { rows[label].append(row) }
        var chosen: [Int] = []
        for (label, rows) in rows.enumerated() {
            // The generator of each class starts from a hash of the class, mixed with the seed.
            var hash = SplitMix64(state: UInt64(label))
            var random = SplitMix64(state: seed ^ hash.next())
            var rest = rows
            for place in rest.indices.prefix(max(1, k)) {
                let left = UInt64(rest.count - place)
                rest.swapAt(place, place + Int(random.next() % left))
            }
            chosen += rest.prefix(max(1, k))
        }
        return subset(chosen.sorted())
    }

    /// Returns the examples with L2-normalised vectors.
    func normalized() -> LabelledVectors {
        LabelledVectors(valid: vectors.normalized(), labels: labels, classCount: classCount)
    }

    /// Returns the examples in the given rows, in that order; there must be at least one.
    func subset(_ rows: [Int]) -> LabelledVectors {
        LabelledVectors(
            valid: Embeddings(rows: vectors.values(ofRows: rows), dimension: vectors.dimension),
            labels: rows.map { labels[$0] }, classCount: classCount)
    }
}

extension AnalysisError {
    /// Throws an error if a vector contains NaN or infinity.
    static func check(finite vectors: Embeddings) throws(AnalysisError) {
        if let place = vectors.values.firstIndex(where: { !$0.isFinite }) {
            throw .nonFiniteVector(row: place / vectors.dimension)
        }
    }

    /// Throws an error unless vectors have the expected number of dimensions.
    static func check(dimension: Int, expected: Int) throws(AnalysisError) {
        guard dimension == expected else {
            throw .wrongDimension(expected: expected, found: dimension)
        }
    }
}
