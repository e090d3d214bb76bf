internal import Tensors

/// A linear probe: multinomial logistic regression by L-BFGS on vectors that are not normalised.
///
/// It minimises C · Σ cross-entropy + ½ |W|² over the weights W and the biases, which are not
/// penalised. That is the objective of scikit-learn's `LogisticRegression(C=0.316)` for three or
/// more classes. (For two classes, scikit-learn fits a single vector, with twice this penalty:
/// `LogisticRegression(C=1)` then corresponds to `LinearProbe(c: 0.5)`.)
///
/// ```swift
/// let examples = try LabelledVectors(embeddings, labels: [0, 1, 2, 0], classCount: 3)
/// let result = try LinearProbe(c: 0.316).run(on: examples)
/// print(result.loss, result.iterations, try result.classifier.logits(of: embeddings))
/// ```
///
/// The memory is about three float32 copies of the examples and 30 of the weights. For 20,000
/// classes and 512 dimensions, those of the weights take 1.2 GB.
///
/// Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
/// Supervision", section A.3; Nocedal and Wright 2006, "Numerical Optimization", chapters 3 and 7.
public struct LinearProbe: Analysis {
    /// The inverse strength C of the penalty, 1e-10...1e10; larger fits the examples more closely.
    public var c: Double = 0.316
    /// The largest number of iterations of L-BFGS.
    public var maximumIterations = 1000
    /// The estimated distance of the loss from its minimum, relative to the loss, at which the
    /// iteration stops.
    public var tolerance = 1e-9
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// The values of C that give a useful classifier.
    ///
    /// For vectors of unit norm, smaller ones lead to equal logits in float32, and for much larger
    /// ones the iteration does not converge.
    package static let cRange = 1e-10...1e10

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - c: The inverse strength C of the penalty, 1e-10...1e10.
    ///   - maximumIterations: The largest number of iterations of L-BFGS.
    ///   - tolerance: The estimated distance of the loss from its minimum, relative to the loss,
    ///     at which the iteration stops.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(
        c: Double = 0.316, maximumIterations: Int = 1000, tolerance: Double = 1e-9,
        threads: Int? = nil
    ) {
        (self.c, self.maximumIterations) = (c, maximumIterations)
        (self.tolerance, self.threads) = (tolerance, threads)
    }

    /// A trained classifier.
    public struct Result: Sendable, Hashable, Codable {
        /// The classifier, for vectors that are scaled as the examples are.
        public let classifier: LinearClassifier
        /// The value of the objective, C · Σ cross-entropy in nats + ½ |W|².
        public let loss: Double
        /// The number of iterations of L-BFGS.
        public let iterations: Int
        /// True if the iteration stopped at the minimum, as far as float32 allows.
        public let isConverged: Bool
    }

    /// Trains a classifier.
    ///
    /// - Parameters:
    ///   - examples: The vectors and their classes.
    ///   - progress: A function that is called once for each iteration with the fraction of the
    ///     largest number of iterations, 0...1; it returns false to stop the analysis.
    /// - Returns: The classifier.
    /// - Throws: `AnalysisError.invalidOption` if an option is out of range or all examples are of
    ///   one class, and `.cancelled`.
    public func run(
        on examples: LabelledVectors, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        try check(examples)
        guard Self.cRange.contains(c) else {
            throw .invalidOption(name: "c", found: "\(c)", expected: "1e-10 to 1e10")
        }
        try report(0, to: progress)
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let regression = SoftmaxRegression(examples, hasBiases: true, pool: pool)
        let solution = try solution(of: regression, c: c, progress: progress)
        return Result(
            classifier: LinearClassifier(
                weights: solution.weights, biases: solution.biases,
                dimension: examples.vectors.dimension),
            loss: solution.loss, iterations: solution.iterations,
            isConverged: solution.isConverged)
    }

    /// Throws an error if the examples or the options other than C cannot be used.
    func check(_ examples: LabelledVectors) throws(AnalysisError) {
        let found = Set(examples.labels).count
        guard found >= 2 else {
            throw .invalidOption(
                name: "labels", found: "\(found) class", expected: "2 or more classes")
        }
        try AnalysisError.check(maximumIterations: maximumIterations, tolerance: tolerance)
    }

    /// Minimises the objective for a value of C.
    func solution(
        of regression: SoftmaxRegression, c: Double, start: [Double]? = nil,
        progress: (Double) -> Bool
    ) throws(AnalysisError) -> SoftmaxRegression.Solution {
        try regression.minimum(
            .init(
                weight: c, penalty: 1, maximumIterations: maximumIterations,
                tolerance: tolerance),
            start: start, progress: progress)
    }
}
