public import CLIP
internal import Tensors

/// A linear probe for few examples: started from the text vectors of the classes, and pulled
/// towards them.
///
/// ```swift
/// let texts = try model.encode(texts: ["a photo of a cat", "a photo of a dog"])
/// let probe = ZeroShotLinearProbe(labelEmbeddings: texts)
/// let result = try probe.run(on: LabelledVectors(images, labels: [0, 1], classCount: 2))
/// print(try result.classifier.logits(of: images.normalized()))
/// ```
public struct ZeroShotLinearProbe: Analysis {
    /// The embedding of each class's text, of any norms.
    public var labelEmbeddings: Embeddings
    /// The strength of the pull towards the text vectors; chosen for the examples if nil.
    public var penalty: Double?
    /// The largest number of iterations of L-BFGS.
    public var maximumIterations = 1000
    /// The relative distance of the loss from its minimum at which the iteration stops.
    public var tolerance = 1e-6
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - labelEmbeddings: The embedding of each class's text, of any norms.
    ///   - penalty: The strength of the pull towards the text vectors, more than 0; chosen for the
    ///     examples if nil.
    ///   - maximumIterations: The largest number of iterations of L-BFGS.
    ///   - tolerance: The relative distance of the loss from its minimum at which the iteration
    ///     stops.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(
        labelEmbeddings: Embeddings, penalty: Double? = nil, maximumIterations: Int = 1000,
        tolerance: Double = 1e-6, threads: Int? = nil
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
        /// The value of the objective.
        public let loss: Double
        /// The strength of the pull towards the text vectors.
        public let penalty: Double
        /// The number of iterations of L-BFGS.
        public let iterations: Int
        /// True if the loss reached the tolerance within the largest number of iterations.
        public let isConverged: Bool
    }

    /// Trains a classifier.
    ///
    /// - Parameters:
    ///   - examples: The vectors, of any norms, and their classes.
    ///   - progress: A function that is called once for each iteration with the fraction of the
    ///     largest number of iterations, 0...1; it returns false to stop the analysis.
    /// - Returns: The classifier.
    /// - Throws: `AnalysisError.wrongCount` or `.wrongDimension` if the text vectors do not match
    ///   the examples, `.invalidOption`, `.nonFiniteVector`, and `.cancelled`.
    public func run(
        on examples: LabelledVectors, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        throw .cancelled
    }
}
