public import CLIP
internal import Tensors

/// The loss that CLIP is trained with (InfoNCE), and its gradients.
///
/// The logits of n pairs are logitScale · images · textsᵀ. The loss is the mean, in both
/// directions, of the cross-entropy of each row's own partner among all n partners, as in
/// open_clip's `ClipLoss` on one device.
///
/// The embeddings are used as they are. Normalise them for the loss of CLIP; the gradients are
/// those of the normalised embeddings then.
///
/// ```swift
/// let pairs = ContrastiveLoss.Input(
///     images: try model.encode(images: images).normalized(),
///     texts: try model.encode(texts: texts).normalized())
/// let result = try ContrastiveLoss(logitScale: model.logitScale).run(on: pairs)
/// print(result.loss, result.logitScaleGradient, result.imageGradients.count)
/// ```
///
/// Source: Radford et al. 2021, "Learning Transferable Visual Models From Natural Language
/// Supervision".
public struct ContrastiveLoss: Analysis {
    /// The factor of the dot products: `CLIPModel.logitScale`.
    public var logitScale: Float

    /// Makes the options.
    ///
    /// - Parameter logitScale: The factor of the dot products: `CLIPModel.logitScale`.
    public init(logitScale: Float) { self.logitScale = logitScale }

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
        /// The derivative with respect to its logarithm, which CLIP trains, is this one times
        /// `logitScale`.
        public let logitScaleGradient: Double
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
