public import CLIP
internal import Tensors

/// Tip-Adapter: a classifier from texts and a few examples, without training.
///
/// The logit of a class for a normalised vector f is 100 f · t + α Σ exp(-β (1 - f · k)), where t
/// is the normalised vector of the class's text and the sum is over the normalised vectors k of the
/// class's examples.
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
public struct TipAdapter: Sendable {
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
    /// The keys and the text vectors, packed for products.
    private let packed: Packed

    private struct Packed: Sendable {
        let keys: PackedVectors
        let texts: PackedVectors
    }

    /// Makes a classifier.
    ///
    /// - Parameters:
    ///   - examples: The vectors, of any norms, and their classes.
    ///   - labelEmbeddings: The embedding of each class's text, of any norms.
    ///   - alpha: The weight α of the examples, 0 or more.
    ///   - beta: The sharpness β of the similarity to an example, 0 or more.
    /// - Throws: `AnalysisError.wrongClassCount` or `.wrongDimension` if the texts do not match
    ///   the examples, `.invalidOption` if `alpha` or `beta` is negative or not finite, and
    ///   `.nonFiniteVector` if a text vector contains NaN or infinity.
    public init(
        examples: LabelledVectors, labelEmbeddings: Embeddings, alpha: Float = 1, beta: Float = 5.5
    ) throws(AnalysisError) {
        try Self.check(examples, labelEmbeddings, alpha: alpha, beta: beta)
        self.init(
            keys: examples.vectors.normalized(), labels: examples.labels,
            labelEmbeddings: labelEmbeddings.normalized(), alpha: alpha, beta: beta)
    }

    /// Throws an error if the texts do not match the examples, or alpha or beta is out of range.
    private static func check(
        _ examples: LabelledVectors, _ labelEmbeddings: Embeddings, alpha: Float, beta: Float
    ) throws(AnalysisError) {
        guard labelEmbeddings.count == examples.classCount else {
            throw .wrongClassCount(
                of: "text vectors", expected: examples.classCount, found: labelEmbeddings.count)
        }
        try AnalysisError.check(
            dimension: labelEmbeddings.dimension, expected: examples.vectors.dimension)
        try AnalysisError.check(finite: labelEmbeddings)
        for (name, value) in [("alpha", alpha), ("beta", beta)]
        where !(value >= 0 && value.isFinite) {
            throw .invalidOption(name: name, found: "\(value)", expected: "0 or more")
        }
    }

    /// Makes a classifier from normalised vectors and numbers that have been validated.
    private init(
        keys: Embeddings, labels: [Int], labelEmbeddings: Embeddings, alpha: Float, beta: Float
    ) {
        (self.keys, self.labels, self.labelEmbeddings) = (keys, labels, labelEmbeddings)
        (self.alpha, self.beta) = (alpha, beta)
        let dimension = keys.dimension
        packed = Packed(
            keys: PackedVectors(keys.values, dimension: dimension),
            texts: PackedVectors(labelEmbeddings.values, dimension: dimension))
    }

    /// Returns the logits of vectors.
    ///
    /// - Parameter vectors: The vectors, of any norms.
    /// - Returns: A matrix of `vectors.count` rows and one column for each class.
    /// - Throws: `AnalysisError.wrongDimension` if the vectors have another dimension.
    public func logits(of vectors: Embeddings) throws(AnalysisError) -> [[Float]] {
        try AnalysisError.check(dimension: vectors.dimension, expected: keys.dimension)
        let (unit, classCount) = (vectors.normalized(), labelEmbeddings.count)
        var result: [[Float]] = []
        // The products with all examples may not fit in memory, so a strip of rows at a time.
        for start in stride(from: 0, to: unit.count, by: 256) {
            let rows = start..<min(unit.count, start + 256)
            let values = unit.values(ofRows: rows)
            let texts = packed.texts.dotProducts(with: values)
            let examples = packed.keys.dotProducts(with: values)
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

extension TipAdapter: Hashable {
    /// Returns true if the examples, the texts and the options are equal.
    public static func == (a: TipAdapter, b: TipAdapter) -> Bool {
        a.keys == b.keys && a.labels == b.labels && a.labelEmbeddings == b.labelEmbeddings
            && a.alpha == b.alpha && a.beta == b.beta
    }

    /// Hashes the examples, the texts and the options.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(keys)
        hasher.combine(labels)
        hasher.combine(labelEmbeddings)
        hasher.combine(alpha)
        hasher.combine(beta)
    }
}

extension TipAdapter: Codable {
    private enum CodingKeys: String, CodingKey {
        case keys, labels, labelEmbeddings, alpha, beta
    }

    /// Decodes a classifier.
    ///
    /// - Throws: `DecodingError.dataCorrupted` if the vectors, labels, texts or options do not
    ///   match each other or are out of range.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        let keys = try container.decode(Embeddings.self, forKey: .keys)
        let labels = try container.decode([Int].self, forKey: .labels)
        let texts = try container.decode(Embeddings.self, forKey: .labelEmbeddings)
        let alpha = try container.decode(Float.self, forKey: .alpha)
        let beta = try container.decode(Float.self, forKey: .beta)
        do throws(AnalysisError) {
            let examples = try LabelledVectors(keys, labels: labels, classCount: texts.count)
            try Self.check(examples, texts, alpha: alpha, beta: beta)
        } catch {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: error.description))
        }
        self.init(keys: keys, labels: labels, labelEmbeddings: texts, alpha: alpha, beta: beta)
    }

    /// Encodes the examples, the texts and the options.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(keys, forKey: .keys)
        try container.encode(labels, forKey: .labels)
        try container.encode(labelEmbeddings, forKey: .labelEmbeddings)
        try container.encode(alpha, forKey: .alpha)
        try container.encode(beta, forKey: .beta)
    }
}
