public import CLIP
internal import Tensors

/// The loss that CLIP is trained with (InfoNCE), and its gradients.
///
/// The logits of n pairs are logitScale · images · textsᵀ. The loss is the mean cross-entropy of
/// each image's own text among all n texts, averaged with that of each text's own image among all
/// n images, as in open_clip's `ClipLoss` on one device.
///
/// The embeddings are not normalised. For the loss of CLIP, pass normalised embeddings; the
/// gradients are then with respect to the normalised embeddings.
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
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - logitScale: The factor of the dot products: `CLIPModel.logitScale`.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(logitScale: Float, threads: Int? = nil) {
        (self.logitScale, self.threads) = (logitScale, threads)
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
    ///   `.tooFewVectors` if there are no pairs, `.invalidOption` if `logitScale` is NaN or
    ///   infinite, `.notFinite` if an embedding, the loss or a gradient is, and `.cancelled`.
    /// - Complexity: O(n² · dimension) for n pairs. The memory is O(n · dimension) for each
    ///   thread.
    public func run(
        on pairs: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        try check(option: "logitScale", logitScale)
        let products = try PairProducts(pairs)
        let (count, scale) = (products.count, Double(logitScale))

        // The first pass computes the log-sum-exp of all rows and columns: the gradients of the
        // second pass need that of complete columns.
        var rowNorms: [Double] = []
        var columns = [ExponentialSum](repeating: ExponentialSum(), count: count)
        var own = 0.0
        try forEachStrip(
            rows: count, columns: count, threads: threads, progress: { progress($0 / 2) },
            { rows -> (rows: [ExponentialSum], columns: [ExponentialSum], own: Double) in
                let dots = products.products(rows)
                var rowSums = [ExponentialSum](repeating: ExponentialSum(), count: rows.count)
                var columnSums = [ExponentialSum](repeating: ExponentialSum(), count: count)
                for place in 0..<rows.count {
                    for column in 0..<count {
                        let logit = scale * Double(dots[place * count + column])
                        rowSums[place].add(logit)
                        columnSums[column].add(logit)
                    }
                }
                let own = rows.enumerated().reduce(0.0) { sum, pair in
                    sum + scale * Double(dots[pair.offset * count + pair.element])
                }
                return (rowSums, columnSums, own)
            },
            merge: { _, part in
                rowNorms += part.rows.map(\.logarithm)
                for column in 0..<count { columns[column].add(part.columns[column]) }
                own += part.own
            })
        let columnNorms = columns.map(\.logarithm)
        let norms = rowNorms.reduce(0, +) + columnNorms.reduce(0, +)

        var gradients = PairGradients(products, logitScale: logitScale)
        let rowLogarithms = rowNorms
        try forEachStrip(
            rows: count, columns: count, threads: threads, progress: { progress((1 + $0) / 2) },
            { rows -> PairGradients.Part in
                let dots = products.products(rows)
                var derivatives = dots
                for (place, row) in rows.enumerated() {
                    for column in 0..<count {
                        let logit = scale * Double(dots[place * count + column])
                        let sum =
                            (logit - rowLogarithms[row]).exponential
                            + (logit - columnNorms[column]).exponential
                            - (column == row ? 2 : 0)
                        derivatives[place * count + column] = Float(sum / Double(2 * count))
                    }
                }
                return products.gradients(rows, dots, derivatives)
            }, merge: { gradients.add($1) })
        let loss = (norms - 2 * own) / Double(2 * count)
        try gradients.check(loss: loss)
        return Result(
            loss: loss, imageGradients: gradients.images, textGradients: gradients.texts,
            logitScaleGradient: gradients.scale)
    }
}

/// A running sum of exponentials that does not overflow; `logarithm` is the log-sum-exp.
private struct ExponentialSum: Sendable {
    private var largest = -Double.infinity
    /// The sum of exp(number - largest).
    private var sum = 0.0

    var logarithm: Double { largest + sum.logarithm }

    mutating func add(_ number: Double) {
        if number > largest {
            sum = sum * (largest - number).exponential + 1
            largest = number
        } else {
            sum += (number - largest).exponential
        }
    }

    /// Adds another sum, which must not be empty.
    mutating func add(_ other: ExponentialSum) {
        let joint = max(largest, other.largest)
        sum =
            sum * (largest - joint).exponential + other.sum * (other.largest - joint).exponential
        largest = joint
    }
}
