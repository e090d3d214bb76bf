public import CLIP
internal import Tensors

/// The loss that SigLIP is trained with, and its gradients.
///
/// The logits of n pairs are logitScale · images · textsᵀ + logitBias. Each of the n² combinations
/// is a binary classification: does this text belong to this image? The loss is the sum of their
/// n² cross-entropies, divided by n, as in open_clip's `SigLipLoss` on one device.
///
/// The embeddings are used as they are. Normalise them for the loss of SigLIP; the gradients are
/// those of the normalised embeddings then.
///
/// ```swift
/// let pairs = SigmoidLoss.Input(
///     images: try model.encode(images: images).normalized(),
///     texts: try model.encode(texts: texts).normalized())
/// let result = try SigmoidLoss(logitScale: 10, logitBias: -10).run(on: pairs)
/// print(result.loss, result.logitScaleGradient, result.logitBiasGradient)
/// ```
///
/// Source: Zhai et al. 2023, "Sigmoid Loss for Language Image Pre-Training".
public struct SigmoidLoss: Analysis {
    /// The factor of the dot products.
    public var logitScale: Float
    /// The number that is added to the scaled dot products.
    public var logitBias: Float

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - logitScale: The factor of the dot products.
    ///   - logitBias: The number that is added to the scaled dot products.
    public init(logitScale: Float, logitBias: Float) {
        (self.logitScale, self.logitBias) = (logitScale, logitBias)
    }

    /// Row i of the images belongs to row i of the texts.
    public typealias Input = PairEvaluation.Input

    /// The loss and its gradients.
    public struct Result: Sendable, Hashable, Codable {
        /// The loss, in nats.
        public let loss: Double
        /// The derivatives with respect to the images, in their shape.
        public let imageGradients: Embeddings
        /// The derivatives with respect to the texts, in their shape.
        public let textGradients: Embeddings
        /// The derivative with respect to `logitScale`.
        ///
        /// The derivative with respect to its logarithm, which SigLIP trains, is this one times
        /// `logitScale`.
        public let logitScaleGradient: Double
        /// The derivative with respect to `logitBias`.
        public let logitBiasGradient: Double
    }

    /// Computes the loss and its gradients.
    ///
    /// - Parameters:
    ///   - pairs: The embeddings of the images and of their texts; at least one pair.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the analysis.
    /// - Returns: The loss and its gradients.
    /// - Throws: `AnalysisError.wrongCount` or `.wrongDimension` if images and texts do not match,
    ///   `.tooFewVectors` if there are no pairs, `.invalidOption` or `.notFinite` if a number is
    ///   NaN or infinite, and `.cancelled`.
    /// - Complexity: O(n² · dimension) for n pairs. The memory is O(n · dimension).
    public func run(
        on pairs: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        fatalError()
    }
}
