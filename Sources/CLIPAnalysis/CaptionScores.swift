public import CLIP
internal import Tensors

/// How well captions fit images.
public enum CaptionScores {
    /// 2.5 · max(cosine, 0): CLIPScore of an image and a caption, 0...2.5.
    ///
    /// Source: Hessel et al. 2021, "CLIPScore", who put `prefix` before captions.
    public static func clipScore(cosine: Float) -> Float { 2.5 * max(cosine, 0) }

    /// The harmonic mean of a caption's CLIPScore and of its best cosine with captions that people wrote, or 0: RefCLIPScore.
    ///
    /// Source: Hessel et al. 2021.
    public static func refCLIPScore(clipScore: Float, referenceCosines: [Float]) -> Float {
        let reference = max(referenceCosines.max() ?? 0, 0)
        guard clipScore > 0, reference > 0 else { return 0 }
        return 2 * clipScore * reference / (clipScore + reference)
    }

    /// What CLIPScore's authors put before every caption.
    public static let prefix = "A photo depicts "
}

/// How well the texts of some images are told apart, and the images of the texts: row i belongs to row i.
public struct PairEvaluation: Sendable, Hashable, Codable {
    /// One way of looking.
    public struct Direction: Sendable, Hashable, Codable {
        /// InfoNCE: the mean cross entropy, in nats, of finding each row's partner among all.
        public let loss: Double
        /// How many partners are at least as like each row as its own, that included: 1 is the best.
        public let ranks: [Int]

        /// The share of rows whose own partner is among the best `k`, 0...1.
        public func recall(at k: Int) -> Double {
            Double(ranks.count { $0 <= k }) / Double(max(1, ranks.count))
        }
    }

    /// The text of each image.
    public let imageToText: Direction
    /// The image of each text.
    public let textToImage: Direction
    /// What CLIP was trained with: the mean of both.
    public var loss: Double { (imageToText.loss + textToImage.loss) / 2 }

    /// - Parameters:
    ///   - images: of any length each.
    ///   - texts: as many.
    ///   - logitScale: what cosines are multiplied by: `CLIPModel.logitScale`.
    public init(images: Embeddings, texts: Embeddings, logitScale: Float) {
        precondition(images.count == texts.count, "\(images.count) images, \(texts.count) texts")
        imageToText = Self.direction(images.normalized(), texts.normalized(), Double(logitScale))
        textToImage = Self.direction(texts.normalized(), images.normalized(), Double(logitScale))
    }

    private static func direction(
        _ rows: Embeddings, _ partners: Embeddings, _ scale: Double
    ) -> Direction {
        let dimension = rows.dimension
        var (sum, ranks): (Double, [Int]) = (0, [])
        // Some rows at a time: of all there may be too many products.
        for start in stride(from: 0, to: rows.count, by: 256) {
            let some = start..<min(rows.count, start + 256)
            let cosines = dotProducts(
                rows.values(ofRows: some), partners.values, dimension: dimension)
            for (place, row) in some.enumerated() {
                let cosines = cosines[(place * rows.count)..<((place + 1) * rows.count)]
                let own = cosines[place * rows.count + row]
                let largest = scale * Double(cosines.max() ?? 0)
                let weights = cosines.reduce(0.0) {
                    $0 + (scale * Double($1) - largest).exponential
                }
                sum += largest + weights.logarithm - scale * Double(own)
                ranks.append(cosines.count { $0 >= own })
            }
        }
        return Direction(loss: sum / Double(max(1, rows.count)), ranks: ranks)
    }
}
