public import CLIP
internal import Tensors

/// Similar images, and those among them that are duplicates.
///
/// Images are *similar* if the cosine of their vectors reaches a threshold. They are *duplicates*
/// if their pixels agree too, within what JPEG, WebP and resizing change, or if their files are
/// identical. Vectors alone prove nothing: a model sees little of fine print, and nothing of
/// transparency.
///
/// ```swift
/// let contents = try index.contents()
/// let images = DuplicateSearch.Input(
///     embeddings: contents.embeddings, digests: contents.images.map(\.digest)
/// ) { row in
///     try? Array(Data(contentsOf: URL(fileURLWithPath: contents.images[row].path)))
/// }
/// for group in try DuplicateSearch().run(on: images).groups {
///     print(group.kept, group.members.filter(\.isDuplicate).map(\.row))
/// }
/// ```
public struct DuplicateSearch: Analysis {
    /// The least cosine of similar images.
    public var threshold: Float = 0.97
    /// Every row once, those to keep first; the order of the rows if nil.
    public var preference: [Int]?
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - threshold: The least cosine of similar images.
    ///   - preference: Every row once, those to keep first; the order of the rows if nil.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(threshold: Float = 0.97, preference: [Int]? = nil, threads: Int? = nil) {
        (self.threshold, self.preference, self.threads) = (threshold, preference, threads)
    }

    /// Images with their vectors and files.
    public struct Input: Sendable {
        /// The vectors of the images, of any norms.
        public var embeddings: Embeddings
        /// The SHA-256 of each image's file when it was encoded, 32 bytes; empty if unknown.
        public var digests: [[UInt8]]
        /// Reads the file of a row; nil if that fails.
        ///
        /// Several threads call it at once.
        public var content: @Sendable (_ row: Int) -> [UInt8]?

        /// Makes an input.
        ///
        /// - Parameters:
        ///   - embeddings: The vectors of the images.
        ///   - digests: The SHA-256 of each image's file when it was encoded, 32 bytes; empty if
        ///     unknown, and then the image is taken for a changed one.
        ///   - content: Reads the file of a row; nil if that fails. Several threads call it at
        ///     once.
        public init(
            embeddings: Embeddings, digests: [[UInt8]],
            content: @escaping @Sendable (_ row: Int) -> [UInt8]?
        ) {
            (self.embeddings, self.digests, self.content) = (embeddings, digests, content)
        }
    }

    /// The relation of an image to the one that its group keeps.
    public enum Verdict: String, Sendable, Codable {
        /// The files have the same bytes.
        case identical
        /// The pixels agree.
        case duplicate
        /// Only the vectors are similar; the image is kept as well.
        case similar
        /// The file of one of the two has changed since it was indexed, or is gone, so that their
        /// pixels cannot be compared.
        case changed
        /// The file of one of the two cannot be decoded.
        case unreadable
    }

    /// An image that is similar to the one that its group keeps.
    public struct Member: Sendable, Hashable, Codable {
        /// The row of its vector.
        public let row: Int
        /// The cosine with the image that is kept.
        public let cosine: Float
        /// The relation to the image that is kept.
        public let verdict: Verdict
        /// The row whose file has changed since it was indexed, this one or the one that is kept;
        /// nil unless the verdict is `.changed`.
        public let changedRow: Int?

        init(row: Int, cosine: Float, verdict: Verdict, changedRow: Int? = nil) {
            (self.row, self.cosine) = (row, cosine)
            (self.verdict, self.changedRow) = (verdict, changedRow)
        }

        /// True if the image that is kept can stand for this one.
        public var isDuplicate: Bool { verdict == .identical || verdict == .duplicate }
    }

    /// An image that is kept, and others that are similar to it.
    public struct Group: Sendable, Hashable, Codable {
        /// The row that is kept.
        ///
        /// It is not a duplicate, but may be similar to a row that another group keeps.
        public let kept: Int
        /// The other images, the largest cosine first.
        ///
        /// A row is a duplicate in at most one group.
        public let members: [Member]

        init(kept: Int, members: [Member]) { (self.kept, self.members) = (kept, members) }

        /// Makes a group of images of which only the vectors are known.
        ///
        /// - Parameter similar: A group of similar vectors.
        public init(_ similar: NearDuplicates.Group) {
            kept = similar.kept
            members = similar.duplicates.map {
                Member(row: $0.row, cosine: $0.cosine, verdict: .similar)
            }
        }
    }

    /// The groups that were found.
    public struct Result: Sendable, Hashable, Codable {
        /// The groups of two or more images, in the order of preference of the images that they
        /// keep.
        public let groups: [Group]
    }

    /// Finds groups of similar images, and decides which of them are duplicates.
    ///
    /// Decodes every image that is similar to another, in parallel.
    ///
    /// - Parameters:
    ///   - images: The images with their vectors and files.
    ///   - progress: Called now and then with the share that is done, 0...1; false stops the
    ///     search.
    /// - Returns: The groups.
    /// - Throws: `AnalysisError.wrongCount` if there are not as many digests as vectors,
    ///   `.wrongCount` or `.invalidPreference` if `preference` does not name every row once, and
    ///   `.cancelled`.
    public func run(
        on images: Input, progress: (Double) -> Bool
    ) throws(AnalysisError) -> Result {
        let count = images.embeddings.count
        guard images.digests.count == count else {
            throw .wrongCount(of: "digests", expected: count, found: images.digests.count)
        }
        let preference = preference ?? Array(0..<count)
        try AnalysisError.check(preference: preference, count: count)
        let finder = DuplicateFinder(
            images, preference: preference, threshold: threshold,
            threads: max(1, threads ?? availableCores()))
        return Result(groups: try finder.groups(progress: progress))
    }
}
