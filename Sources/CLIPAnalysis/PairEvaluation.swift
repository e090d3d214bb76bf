public import CLIP
internal import Tensors

/// The retrieval quality of image-text pairs: recall, and the loss that CLIP is trained with.
///
/// Row i of the images belongs to row i of the texts.
///
/// ```swift
/// let pairs = PairEvaluation.Input(
///     images: try model.encode(images: images), texts: try model.encode(texts: texts))
/// let result = try PairEvaluation(logitScale: model.logitScale).run(on: pairs)
/// print(result.loss, result.imageToText.recall(at: 5))
/// ```
public struct PairEvaluation: Analysis {
    /// The factor that turns cosines into the logits of the loss: `CLIPModel.logitScale`.
    public var logitScale: Float
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - logitScale: The factor that turns cosines into the logits of the loss:
    ///     `CLIPModel.logitScale`.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(logitScale: Float, threads: Int? = nil) {
        (self.logitScale, self.threads) = (logitScale, threads)
    }

    /// The embeddings of pairs, of any norms.
    public struct Input: Sendable, Hashable {
        /// The embeddings of the images.
        public var images: Embeddings
        /// The embeddings of the texts, in the order of their images.
        public var texts: Embeddings

        /// Makes an input.
        ///
        /// - Parameters:
        ///   - images: The embeddings of the images.
        ///   - texts: The embeddings of the texts, in the order of their images.
        public init(images: Embeddings, texts: Embeddings) {
            (self.images, self.texts) = (images, texts)
        }
    }

    /// The retrieval quality in both directions.
    public struct Result: Sendable, Hashable, Codable {
        /// The quality of finding the text of each image.
        public let imageToText: Direction
        /// The quality of finding the image of each text.
        public let textToImage: Direction
        /// The mean loss of both directions, in nats: the loss that CLIP is trained with.
        public var loss: Double { (imageToText.loss + textToImage.loss) / 2 }
    }

    /// The quality of retrieval in one direction.
    public struct Direction: Sendable, Hashable, Codable {
        /// The InfoNCE loss, in nats: the mean cross-entropy of each row's own partner among all
        /// partners.
        public let loss: Double
        /// The 1-based rank of each row's own partner.
        ///
        /// Other partners with the same cosine are ranked before it.
        public let ranks: [Int]

        /// Returns the fraction of rows whose own partner is among the best `k`.
        ///
        /// - Parameter k: The number of best partners that count.
        /// - Returns: The recall, 0...1; 0 if there are no rows.
        public func recall(at k: Int) -> Double {
            Double(ranks.count { $0 <= k }) / Double(max(1, ranks.count))
        }
    }

    /// Evaluates pairs in both directions.
    ///
    /// - Parameters:
    ///   - pairs: The embeddings of the images and of their texts.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the evaluation.
    /// - Returns: The retrieval quality in both directions.
    /// - Throws: `AnalysisError.wrongCount` or `.wrongDimension` if images and texts do not match,
    ///   `.notFinite` if an embedding has a NaN or an infinity, and `.cancelled`.
    /// - Complexity: O(n² · dimension) for n pairs.
    public func run(
        on pairs: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let (images, texts) = (pairs.images, pairs.texts)
        guard images.count == texts.count else {
            throw .wrongCount(of: "texts", expected: images.count, found: texts.count)
        }
        guard images.dimension == texts.dimension else {
            throw .wrongDimension(expected: images.dimension, found: texts.dimension)
        }
        try AnalysisError.check(finite: images, of: "vector of image")
        try AnalysisError.check(finite: texts, of: "vector of text")
        let (unitImages, unitTexts) = (images.normalized(), texts.normalized())
        return Result(
            imageToText: try direction(unitImages, unitTexts) { progress($0 / 2) },
            textToImage: try direction(unitTexts, unitImages) { progress((1 + $0) / 2) })
    }

    private func direction(
        _ rows: Embeddings, _ partners: Embeddings, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Direction {
        let (count, scale) = (rows.count, Double(logitScale))
        let packed = PackedVectors(partners.values, dimension: partners.dimension)
        var (sum, ranks): (Double, [Int]) = (0, [])
        // The matrix of all cosines may not fit in memory, so a strip of rows at a time.
        try forEachStrip(
            rows: count, columns: count, threads: threads, progress: progress,
            { some -> [(loss: Double, rank: Int)] in
                let cosines = packed.dotProducts(with: rows.values(ofRows: some))
                return some.enumerated().map { place, row in
                    let cosines = cosines[(place * count)..<((place + 1) * count)]
                    let own = cosines[place * count + row]
                    let largest = scale * Double(cosines.max() ?? 0)
                    let weights = cosines.reduce(0.0) {
                        $0 + (scale * Double($1) - largest).exponential
                    }
                    return (
                        loss: largest + weights.logarithm - scale * Double(own),
                        rank: cosines.count { $0 >= own }
                    )
                }
            },
            merge: { _, found in
                for (loss, rank) in found {
                    sum += loss
                    ranks.append(rank)
                }
            })
        return Direction(loss: sum / Double(max(1, count)), ranks: ranks)
    }
}
