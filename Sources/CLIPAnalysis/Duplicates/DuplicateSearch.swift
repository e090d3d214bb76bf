public import CLIP
internal import Tensors

/// A search for similar images, whose pixels decide which of them are duplicates.
///
/// Images are *similar* if the cosine of their vectors reaches a threshold. They are *duplicates*
/// if their pixels agree as well, apart from changes by JPEG, WebP and resizing, or if their files
/// are identical. Vectors alone prove nothing: a model sees little of fine print, and nothing of
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
    /// The smallest cosine at which two images count as similar.
    public var threshold: Float = 0.97
    /// The order of preference for keeping rows, with every row number once; 0, 1, 2, … if nil.
    public var preference: [Int]?
    /// The number of threads; all cores of the process if nil.
    public var threads: Int?

    /// Makes the options.
    ///
    /// - Parameters:
    ///   - threshold: The smallest cosine at which two images count as similar.
    ///   - preference: The order of preference for keeping rows, with every row number once; 0,
    ///     1, 2, … if nil.
    ///   - threads: The number of threads; all cores of the process if nil.
    public init(threshold: Float = 0.97, preference: [Int]? = nil, threads: Int? = nil) {
        (self.threshold, self.preference, self.threads) = (threshold, preference, threads)
    }

    /// The images to compare, with their vectors and files.
    public struct Input: Sendable {
        /// The vectors of the images, of any norms.
        public var embeddings: Embeddings
        /// The SHA-256 of each image's file when it was encoded, 32 bytes; empty if unknown.
        ///
        /// An image without a digest is never a duplicate, and its file is not read.
        public var digests: [[UInt8]]
        /// A function that returns the bytes of a row's file; nil if the file cannot be read.
        ///
        /// Several threads call the function at once.
        public var content: @Sendable (_ row: Int) -> [UInt8]?

        /// Makes an input.
        ///
        /// - Parameters:
        ///   - embeddings: The vectors of the images.
        ///   - digests: The SHA-256 of each image's file when it was encoded, 32 bytes; empty if
        ///     unknown, in which case the image is never a duplicate.
        ///   - content: A function that returns the bytes of a row's file; nil if the file cannot
        ///     be read. Several threads call the function at once.
        public init(
            embeddings: Embeddings, digests: [[UInt8]],
            content: @escaping @Sendable (_ row: Int) -> [UInt8]?
        ) {
            (self.embeddings, self.digests, self.content) = (embeddings, digests, content)
        }
    }

    /// The relation of an image to the kept image of its group.
    public enum Verdict: String, Sendable, Codable {
        /// The files have the same bytes.
        case identical
        /// The pixels agree.
        case duplicate
        /// Only the vectors are similar; the image is kept as well.
        case similar
        /// The file of one of the two images has changed since it was indexed, or is gone, so the
        /// pixels cannot be compared.
        case changed
        /// The file of one of the two images cannot be decoded.
        case unreadable
    }

    /// An image that is similar to the kept image of its group.
    public struct Member: Sendable, Hashable, Codable {
        /// The row of the image's vector.
        public let row: Int
        /// The cosine with the kept image.
        public let cosine: Float
        /// The relation to the kept image.
        public let verdict: Verdict
        /// The row whose file has changed since it was indexed, either this row or the kept one;
        /// nil unless the verdict is `.changed`.
        public let changedRow: Int?

        init(row: Int, cosine: Float, verdict: Verdict, changedRow: Int? = nil) {
            (self.row, self.cosine) = (row, cosine)
            (self.verdict, self.changedRow) = (verdict, changedRow)
        }

        /// True if the kept image can replace this one.
        public var isDuplicate: Bool { verdict == .identical || verdict == .duplicate }
    }

    /// An image that is kept, and others that are similar to it.
    public struct Group: Sendable, Hashable, Codable {
        /// The row that is kept.
        ///
        /// It is not a duplicate of another row, but may be similar to the kept row of another
        /// group.
        public let kept: Int
        /// The other images, the largest cosine first.
        ///
        /// A row is a duplicate in at most one group.
        public let members: [Member]

        init(kept: Int, members: [Member]) { (self.kept, self.members) = (kept, members) }

        /// Makes a group of images that were compared by their vectors only.
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
        /// The groups of two or more images, in the order of preference of their kept images.
        public let groups: [Group]
    }

    /// Finds groups of similar images, and decides which of them are duplicates.
    ///
    /// Reads the files of all images that are similar to others, and decodes one of each set of
    /// identical files, in parallel.
    ///
    /// - Parameters:
    ///   - images: The images with their vectors and files.
    ///   - progress: A function that is called from time to time with the fraction of the work
    ///     done, 0...1; it returns false to stop the search.
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
