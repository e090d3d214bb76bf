public import CLIP
internal import Tensors

/// A linear probe for few examples: started from the text vectors of the classes, and pulled
/// towards them.
///
/// For n normalised vectors f it minimises 1/n Σ cross-entropy(100 W f) + penalty · |W - T|², where
/// the rows of T are the normalised text vectors.
///
/// ```swift
/// let texts = try model.encode(texts: ["a photo of a cat", "a photo of a dog"])
/// let probe = ZeroShotLinearProbe(labelEmbeddings: texts)
/// let examples = try LabelledVectors(embeddings, labels: [0, 1], classCount: 2)
/// let result = try probe.run(on: examples)
/// print(try result.classifier.logits(of: embeddings.normalized()))
/// ```
public struct ZeroShotLinearProbe: Analysis {
    /// The embedding of each class's text, of any norms.
    public var labelEmbeddings: Embeddings
    /// The strength of the pull towards the text vectors, more than 0.
    ///
    /// If nil, it is 10 / (max(1, k) · max(1, L)²), where k is the mean number of examples of a
    /// class and L is the mean cross-entropy, in nats, of zero-shot classification of the examples.
    /// The worse the texts fit the examples, the weaker is the pull towards them.
    public var penalty: Double?
    /// The largest number of iterations of L-BFGS.
    public var maximumIterations = 1000
    /// The estimated distance of the loss from its minimum, relative to the loss, at which the
    /// iteration stops.
    public var tolerance = 1e-9
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - labelEmbeddings: The embedding of each class's text, of any norms.
    ///   - penalty: The strength of the pull towards the text vectors, more than 0; derived from
    ///     the number of examples and from how well the texts fit them if nil.
    ///   - maximumIterations: The largest number of iterations of L-BFGS.
    ///   - tolerance: The estimated distance of the loss from its minimum, relative to the loss,
    ///     at which the iteration stops.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(
        labelEmbeddings: Embeddings, penalty: Double? = nil, maximumIterations: Int = 1000,
        tolerance: Double = 1e-9, threads: Int? = nil
    ) {
        (self.labelEmbeddings, self.penalty) = (labelEmbeddings, penalty)
        (self.maximumIterations, self.tolerance) = (maximumIterations, tolerance)
        self.threads = threads
    }

    /// A trained classifier.
    public struct Result: Sendable, Hashable, Codable {
        /// The classifier, for normalised vectors; its weights include the scale of 100, and its
        /// biases are 0.
        public let classifier: LinearClassifier
        /// The value of the objective, in nats.
        public let loss: Double
        /// The strength of the pull that was used: the given one or the derived one.
        public let penalty: Double
        /// The number of iterations of L-BFGS.
        public let iterations: Int
        /// True if the iteration stopped at the minimum, as far as float32 allows.
        public let isConverged: Bool
    }

    /// Trains a classifier.
    ///
    /// - Parameters:
    ///   - examples: The vectors, of any norms, and their classes.
    ///   - progress: A function that is called once for each iteration with the fraction of the
    ///     largest number of iterations, 0...1; it returns false to stop the analysis.
    /// - Returns: The classifier.
    /// - Throws: `AnalysisError.wrongClassCount` or `.wrongDimension` if the text vectors do
    ///   not match the examples, `.invalidOption` if an option is out of range, `.nonFiniteVector`
    ///   if a text vector contains NaN or infinity, and `.cancelled`.
    public func run(
        on examples: LabelledVectors, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        guard labelEmbeddings.count == examples.classCount else {
            throw .wrongClassCount(
                of: "text vectors", expected: examples.classCount, found: labelEmbeddings.count)
        }
        try AnalysisError.check(
            dimension: labelEmbeddings.dimension, expected: examples.vectors.dimension)
        try AnalysisError.check(finite: labelEmbeddings)
        try AnalysisError.check(maximumIterations: maximumIterations, tolerance: tolerance)
        let (count, classCount) = (examples.labels.count, examples.classCount)
        if let penalty { try AnalysisError.check(positive: penalty, name: "penalty") }
        try report(0, to: progress)

        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let unit = examples.normalized()
        let regression = SoftmaxRegression(unit, hasBiases: false, pool: pool)
        let centre = labelEmbeddings.normalized().values.map { Float(Self.scale) * $0 }
        // The regression's weights are 100 W, so the penalty on them is divided by 100².
        func options(penalty: Double) -> SoftmaxRegression.Options {
            .init(
                weight: 1 / Double(count), penalty: 2 * penalty / (Self.scale * Self.scale),
                maximumIterations: maximumIterations, tolerance: tolerance)
        }
        let zeros = [Double](repeating: 0, count: centre.count)
        let penalty =
            penalty
            ?? Self.defaultPenalty(
                meanShots: Double(count) / Double(classCount),
                zeroShotLoss: regression.point(at: zeros, options(penalty: 0), centre).loss)
        let solution = try regression.minimum(
            options(penalty: penalty), centre: centre, progress: progress)
        return Result(
            classifier: LinearClassifier(
                weights: solution.weights, biases: [Float](repeating: 0, count: classCount),
                dimension: unit.vectors.dimension),
            loss: solution.loss, penalty: penalty, iterations: solution.iterations,
            isConverged: solution.isConverged)
    }

    /// The factor that turns cosines into logits.
    private static let scale = 100.0

    /// Returns the default strength of the pull towards the text vectors.
    ///
    /// With more examples, the texts matter less. In simulations with 10 to 40 classes, a penalty
    /// of 10 was more accurate than zero-shot with 1 example of each class; with 16 examples, it
    /// was 2 to 20 percentage points less accurate than a penalty of 1.
    ///
    /// The penalty is a normal prior around the text vectors, whose width is proportional to
    /// penalty^(-1/2). Where the texts are wrong, the cross-entropy is about the mean error of the
    /// logits, and the weights need a correction proportional to it; so the width is proportional
    /// to the cross-entropy, and at least that of 1 nat. The texts are not fitted to the examples,
    /// so the estimate is unbiased even with 1 example of each class.
    ///
    /// - Parameters:
    ///   - meanShots: The mean number of examples of a class.
    ///   - zeroShotLoss: The mean cross-entropy, in nats, of zero-shot classification of the
    ///     examples.
    /// - Returns: The penalty.
    static func defaultPenalty(meanShots: Double, zeroShotLoss: Double) -> Double {
        let width = max(1, zeroShotLoss)
        return 10 / (max(1, meanShots) * width * width)
    }
}
