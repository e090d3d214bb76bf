public import CLIP
internal import Tensors

/// The quality of retrieval between images and their captions: recall in both directions.
///
/// An image may have any number of captions, and each caption belongs to one image.
///
/// ```swift
/// let input = RetrievalMetrics.Input(
///     images: try model.encode(images: images),
///     texts: try model.encode(texts: ["a bicycle", "a man on a bicycle", "a mountain"]),
///     imageOfText: [0, 0, 1])
/// let result = try RetrievalMetrics().run(on: input)
/// print(result.imageRetrievalRecall(at: 5), result.textRetrievalRecall(at: 5))
/// ```
///
/// The metrics are those of CLIP_benchmark. Of images or texts with equal cosines, the one with the
/// lower index is ranked first.
public struct RetrievalMetrics: Analysis {
    /// Makes the analysis, which has no options.
    public init() {}

    /// The embeddings of images and of their captions, of any norms.
    public struct Input: Sendable, Hashable {
        /// The embeddings of the images.
        public var images: Embeddings
        /// The embeddings of the texts, in any order.
        public var texts: Embeddings
        /// The row of each text's image in `images`.
        public var imageOfText: [Int]

        /// Makes an input.
        ///
        /// - Parameters:
        ///   - images: The embeddings of the images.
        ///   - texts: The embeddings of the texts, in any order.
        ///   - imageOfText: The row of each text's image in `images`.
        public init(images: Embeddings, texts: Embeddings, imageOfText: [Int]) {
            (self.images, self.texts, self.imageOfText) = (images, texts, imageOfText)
        }
    }

    /// The ranks of images and texts.
    public struct Result: Sendable, Hashable, Codable {
        /// The 0-based rank of each text's own image among all images.
        public let imageRanks: [Int]
        /// The 0-based rank, among all texts, of the best caption of each image; nil if the image
        /// has no caption, which counts as a miss.
        public let textRanks: [Int?]

        /// Returns the fraction of texts whose own image is among the best `k` images.
        ///
        /// - Parameter k: The number of best images that count.
        /// - Returns: The recall, 0...1; NaN if there are no texts.
        public func imageRetrievalRecall(at k: Int) -> Double {
            Double(imagesFound(at: k)) / Double(imageRanks.count)
        }

        /// Returns the fraction of images of which a caption is among the best `k` texts.
        ///
        /// - Parameter k: The number of best texts that count.
        /// - Returns: The recall, 0...1; NaN if there are no images.
        public func textRetrievalRecall(at k: Int) -> Double {
            Double(textsFound(at: k)) / Double(textRanks.count)
        }

        /// Returns the Wilson interval of `imageRetrievalRecall(at:)`.
        ///
        /// It takes the texts for independent, although texts of one image may not be.
        ///
        /// - Parameter k: The number of best images that count.
        /// - Returns: The interval; 0...1 if there are no texts.
        public func imageRetrievalInterval(at k: Int) -> ConfidenceInterval {
            .wilson(imagesFound(at: k), of: imageRanks.count)
        }

        /// Returns the Wilson interval of `textRetrievalRecall(at:)`.
        ///
        /// - Parameter k: The number of best texts that count.
        /// - Returns: The interval; 0...1 if there are no images.
        public func textRetrievalInterval(at k: Int) -> ConfidenceInterval {
            .wilson(textsFound(at: k), of: textRanks.count)
        }

        private func imagesFound(at k: Int) -> Int { imageRanks.count { $0 < k } }

        private func textsFound(at k: Int) -> Int {
            textRanks.count { $0.map { $0 < k } ?? false }
        }
    }

    /// Ranks the images for each text and the texts for each image.
    ///
    /// - Parameters:
    ///   - input: The embeddings of the images and of their captions.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the analysis.
    /// - Returns: The ranks.
    /// - Throws: `AnalysisError.wrongDimension` or `.wrongCount` if images, texts and
    ///   `imageOfText` do not match, `.indexOutOfRange` if `imageOfText` names an image that does
    ///   not exist, `.notFinite` if an embedding has a NaN or an infinity, and `.cancelled`.
    /// - Complexity: O(images · texts · dimension), on all cores. The memory beside the input is
    ///   one copy of it and O(images + texts).
    public func run(
        on input: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        fatalError()
    }
}
