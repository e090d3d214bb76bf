public import CLIP
internal import Tensors

/// The loss that SigLIP is trained with, and its gradients.
///
/// The logits of n pairs are logitScale · images · textsᵀ + logitBias. Each of the n² combinations
/// is a binary classification: does this text belong to this image? The loss is the sum of their
/// n² cross-entropies, divided by n, as in open_clip's `SigLipLoss` on one device.
///
/// The embeddings are not normalised. For the loss of SigLIP, pass normalised embeddings; the
/// gradients are then with respect to the normalised embeddings.
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
    /// The factor of the dot products: `CLIPModel.logitScale`.
    public var logitScale: Float
    /// The number that is added to the scaled dot products: `CLIPModel.logitBias`.
    public var logitBias: Float
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - logitScale: The factor of the dot products: `CLIPModel.logitScale`.
    ///   - logitBias: The number that is added to the scaled dot products: `CLIPModel.logitBias`,
    ///     which only models trained with this loss have.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(logitScale: Float, logitBias: Float, threads: Int? = nil) {
        (self.logitScale, self.logitBias) = (logitScale, logitBias)
        self.threads = threads
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
    ///   `.tooFewVectors` if there are no pairs, `.invalidOption` if an option is NaN or infinite,
    ///   `.notFinite` if an embedding, the loss or a gradient is, and `.cancelled`.
    /// - Complexity: O(n² · dimension) for n pairs. The memory is O(n · dimension) for each
    ///   thread.
    public func run(
        on pairs: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        try check(option: "logitScale", logitScale)
        try check(option: "logitBias", logitBias)
        let products = try PairProducts(pairs)
        let count = products.count
        let (scale, bias) = (Double(logitScale), Double(logitBias))
        var loss = 0.0
        var gradients = PairGradients(products, logitScale: logitScale)
        try forEachStrip(
            rows: count, columns: count, threads: threads, progress: progress
        ) { rows -> (loss: Double, gradients: PairGradients.Part) in
            let dots = products.products(rows)
            var sum = 0.0
            var derivatives = dots
            for (place, row) in rows.enumerated() {
                for column in 0..<count {
                    let index = place * count + column
                    let sign: Double = column == row ? 1 : -1
                    let logit = sign * (scale * Double(dots[index]) + bias)
                    // log(1 + exp(-logit)) and its derivative, without overflow.
                    let small = (-abs(logit)).exponential
                    sum += max(0, -logit) + (1 + small).logarithm
                    let miss = (logit < 0 ? 1 : small) / (1 + small)
                    derivatives[index] = Float(-sign * miss / Double(count))
                }
            }
            return (sum, products.gradients(rows, dots, derivatives))
        } merge: { _, part in
            loss += part.loss
            gradients.add(part.gradients)
        }
        try gradients.check(loss: loss)
        return Result(
            loss: loss / Double(count), imageGradients: gradients.images,
            textGradients: gradients.texts, logitScaleGradient: gradients.scale,
            logitBiasGradient: gradients.bias)
    }
}
