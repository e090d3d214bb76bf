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
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameter threads: The number of threads; all cores of the process if nil.
    public init(threads: Int? = nil) { self.threads = threads }

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
        /// It treats all texts as independent, although those of one image may not be.
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
    /// - Complexity: O(images · texts · dimension). In addition to the input, the memory is two
    ///   copies of the images, O(images + texts), and, for each thread, 64 MB or O(images),
    ///   whichever is larger.
    public func run(
        on input: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let (images, texts, owners) = (input.images, input.texts, input.imageOfText)
        guard images.dimension == texts.dimension else {
            throw .wrongDimension(expected: images.dimension, found: texts.dimension)
        }
        guard owners.count == texts.count else {
            throw .wrongCount(
                of: "elements of imageOfText", expected: texts.count, found: owners.count)
        }
        if let wrong = owners.first(where: { !(0..<images.count).contains($0) }) {
            throw .indexOutOfRange(of: "image", found: wrong, count: images.count)
        }
        try AnalysisError.check(finite: images, of: "vector of image")
        try AnalysisError.check(finite: texts, of: "vector of text")
        let cosines = Cosines(images: images, texts: texts, owners: owners)

        // The first pass finds the best captions, which the ranks of texts in the second pass
        // need. All cosines may not fit in memory, so they are computed twice.
        var imageRanks: [Int] = []
        var best = BestCaptions(imageCount: images.count)
        try forEachStrip(
            rows: texts.count, columns: images.count, threads: threads,
            progress: { progress($0 / 2) }, { cosines.ranksOfOwnImages($0) },
            merge: { rows, found in
                for (text, image) in zip(rows, found) {
                    imageRanks.append(image.rank)
                    best.add(text, of: owners[text], cosine: image.cosine)
                }
            })
        let captions = best
        var textRanks = [Int](repeating: 0, count: images.count)
        try forEachStrip(
            rows: texts.count, columns: images.count, threads: threads,
            progress: { progress((1 + $0) / 2) }, { cosines.textsBefore(captions, $0) },
            merge: { _, counts in
                for image in textRanks.indices { textRanks[image] += Int(counts[image]) }
            })
        return Result(
            imageRanks: imageRanks,
            textRanks: zip(textRanks, captions.texts).map { $1 == nil ? nil : $0 })
    }
}

/// The best caption of each image.
private struct BestCaptions: Sendable {
    /// The rows of the captions; nil for an image without a caption.
    private(set) var texts: [Int?]
    private(set) var cosines: [Float]

    init(imageCount: Int) {
        texts = [Int?](repeating: nil, count: imageCount)
        cosines = [Float](repeating: -.infinity, count: imageCount)
    }

    /// Adds a caption; captions are added by ascending row.
    mutating func add(_ text: Int, of image: Int, cosine: Float) {
        // The first of equally good captions is the best.
        guard cosine > cosines[image] else { return }
        (texts[image], cosines[image]) = (text, cosine)
    }
}

/// The cosines of texts and images.
private struct Cosines: Sendable {
    let images: PackedVectors
    let imageCount: Int
    let texts: Embeddings
    let owners: [Int]

    init(images: Embeddings, texts: Embeddings, owners: [Int]) {
        self.images = PackedVectors(images.normalized().values, dimension: images.dimension)
        (imageCount, self.texts, self.owners) = (images.count, texts, owners)
    }

    /// Returns the cosines of some texts with all images: [rows, images], row-major.
    private func cosines(_ rows: Range<Int>) -> [Float] {
        let some = Embeddings(rows: texts.values(ofRows: rows), dimension: texts.dimension)
        return images.dotProducts(with: some.normalized().values)
    }

    /// Returns the rank of each text's own image, and the cosine with it.
    func ranksOfOwnImages(_ rows: Range<Int>) -> [(rank: Int, cosine: Float)] {
        let all = cosines(rows)
        return rows.enumerated().map { place, text in
            let (start, owner) = (place * imageCount, owners[text])
            let own = all[start + owner]
            // Of equal cosines, the one with the lower index is ranked first.
            let before = all[start..<(start + owner)].count { $0 >= own }
            let after = all[(start + owner)..<(start + imageCount)].count { $0 > own }
            return (before + after, own)
        }
    }

    /// Returns, for each image, the number of the given texts that are ranked before its best
    /// caption; any number for an image without a caption.
    func textsBefore(_ best: BestCaptions, _ rows: Range<Int>) -> [Int32] {
        let all = cosines(rows)
        var counts = [Int32](repeating: 0, count: imageCount)
        for (place, text) in rows.enumerated() {
            let start = place * imageCount
            for image in 0..<imageCount {
                let (cosine, own) = (all[start + image], best.cosines[image])
                let isBefore = cosine > own || (cosine == own && text < best.texts[image] ?? 0)
                counts[image] &+= isBefore ? 1 : 0
            }
        }
        return counts
    }
}
