public import CLIP
internal import Tensors

/// Tip-Adapter: a classifier from texts and a few examples, without training.
///
/// The logits of a normalised vector f are 100 W f + α Σ exp(-β (1 - f · k)) over the examples k
/// of each class, where W are the text vectors.
///
/// ```swift
/// let texts = try model.encode(texts: ["a photo of a cat", "a photo of a dog"])
/// let examples = try LabelledVectors(embeddings, labels: [0, 1], classCount: 2)
/// let adapter = try TipAdapter(examples: examples, labelEmbeddings: texts)
/// print(try adapter.logits(of: embeddings))
/// ```
///
/// Source: Zhang et al. 2022, "Tip-Adapter: Training-free Adaption of CLIP for Few-shot
/// Classification".
public struct TipAdapter: Sendable, Hashable, Codable {
    /// The normalised vectors of the examples.
    public let keys: Embeddings
    /// The class of each example.
    public let labels: [Int]
    /// The normalised vector of each class's text.
    public let labelEmbeddings: Embeddings
    /// The weight α of the examples.
    public let alpha: Float
    /// The sharpness β of the similarity to an example.
    public let beta: Float

    /// Makes a classifier.
    ///
    /// - Parameters:
    ///   - examples: The vectors, of any norms, and their classes.
    ///   - labelEmbeddings: The embedding of each class's text, of any norms.
    ///   - alpha: The weight α of the examples, 0 or more.
    ///   - beta: The sharpness β of the similarity to an example, 0 or more.
    /// - Throws: `AnalysisError.wrongCount` or `.wrongDimension` if the text vectors do not match
    ///   the examples, `.invalidOption` if `alpha` or `beta` is negative or not finite, and
    ///   `.nonFiniteVector`.
    public init(
        examples: LabelledVectors, labelEmbeddings: Embeddings, alpha: Float = 1, beta: Float = 5.5
    ) throws(AnalysisError) {
        guard labelEmbeddings.count == examples.classCount else {
            throw .wrongCount(
                of: "text vectors", expected: examples.classCount, found: labelEmbeddings.count)
        }
        try AnalysisError.check(
            dimension: labelEmbeddings.dimension, expected: examples.vectors.dimension)
        try AnalysisError.check(finite: labelEmbeddings)
        for (name, value) in [("alpha", alpha), ("beta", beta)]
        where !(value >= 0 && value.isFinite) {
            throw .invalidOption(name: name, found: "\(value)", expected: "0 or more")
        }
        (keys, labels) = (examples.vectors.normalized(), examples.labels)
        self.labelEmbeddings = labelEmbeddings.normalized()
        (self.alpha, self.beta) = (alpha, beta)
    }

    /// Returns the logits of vectors.
    ///
    /// - Parameter vectors: The vectors, of any norms.
    /// - Returns: A matrix of `vectors.count` rows and one column for each class.
    /// - Throws: `AnalysisError.wrongDimension` if the vectors have another dimension.
    public func logits(of vectors: Embeddings) throws(AnalysisError) -> [[Float]] {
        let dimension = keys.dimension
        try AnalysisError.check(dimension: vectors.dimension, expected: dimension)
        let (unit, classCount) = (vectors.normalized(), labelEmbeddings.count)
        let (packedTexts, packedKeys) = (
            PackedVectors(labelEmbeddings.values, dimension: dimension),
            PackedVectors(keys.values, dimension: dimension)
        )
        var result: [[Float]] = []
        // The products with all examples may not fit in memory, so a strip of rows at a time.
        for start in stride(from: 0, to: unit.count, by: 256) {
            let rows = start..<min(unit.count, start + 256)
            let values = unit.values(ofRows: rows)
            let texts = packedTexts.dotProducts(with: values)
            let examples = packedKeys.dotProducts(with: values)
            for row in 0..<rows.count {
                var logits = (0..<classCount).map { 100 * Double(texts[row * classCount + $0]) }
                for (place, label) in labels.enumerated() {
                    let distance = 1 - Double(examples[row * labels.count + place])
                    logits[label] += Double(alpha) * (-Double(beta) * distance).exponential
                }
                result.append(logits.map(Float.init))
            }
        }
        return result
    }
}
