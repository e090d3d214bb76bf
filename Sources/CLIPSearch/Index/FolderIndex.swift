package import Files
public import CLIP
internal import Tensors

/// A searchable index of the images in a folder, made by `IndexUpdate`.
///
/// ```swift
/// let index = try FolderIndex(folder: "photos")
/// for match in try index.search(query, top: 10) { print(match.cosine, match.path) }
/// ```
///
/// The index lies in the folder itself, in `.clip-index`: an SQLite database of the files, and a
/// memory-mapped file of their L2-normalised vectors. It may be searched while it is updated.
/// Images that were removed after it was opened are not found; images that were added may be
/// missing. Any number of tasks may search one index at once.
public struct FolderIndex: Sendable {
    /// An image that is similar to a query.
    public struct Match: Sendable, Hashable, Codable {
        /// The path of the folder, followed by the path of the image in it.
        ///
        /// Bytes that are not UTF-8 become U+FFFD.
        public var path: String { file.description }
        /// The bytes of the path, which need not be UTF-8.
        public var pathBytes: [UInt8] { file.bytes }
        package let file: FilePath
        /// The cosine with the query, -1...1.
        public let cosine: Float

        package init(file: FilePath, cosine: Float) {
            (self.file, self.cosine) = (file, cosine)
        }

        private enum CodingKeys: String, CodingKey { case file = "path", cosine }
    }

    /// All images of an index and their vectors.
    public struct Contents: Sendable, Hashable, Codable {
        /// The images, in the order of their paths.
        public let images: [IndexedImage]
        /// The vectors of the images, L2-normalised, in the same order.
        public let embeddings: Embeddings
    }

    /// The folder that was indexed.
    package let folder: FilePath
    /// The model that made the vectors.
    public let model: ModelRecord
    /// The name or path of the model.
    public var modelName: String { model.name }
    /// The model's `fingerprint`.
    public var fingerprint: String { model.fingerprint }
    /// The precision with which the vectors were computed.
    public var precision: Precision { model.precision }
    /// The number of images in the index when it was opened.
    public var count: Int { reader.count }
    /// The number of dimensions of each vector.
    public var dimension: Int { model.dimension }
    /// The number of threads that a search uses.
    public let threads: Int

    let reader: RowReader<IndexDatabase>
    private let pool: WorkspacePool

    /// The version of the index format; version 2, introduced after release 0.1.0, added checksums.
    static let version = "2"
    static let oldVersion = "1"

    /// Opens the index of a folder.
    ///
    /// - Parameters:
    ///   - folder: The path of the folder.
    ///   - threads: The number of threads of a search; all cores of the process if nil.
    /// - Throws: `IndexError`.
    package init(folder: FilePath, threads: Int? = nil) throws(IndexError) {
        try Self.checkIsFolder(folder)
        var model: ModelRecord?
        var refusal: IndexError?
        let opened: (reader: RowReader<IndexDatabase>, place: FilePath)?
        do throws(FileError) {
            opened = try RowReader.open(at: { Self.place(in: folder) }) {
                database throws(FileError) in
                refusal = try Self.refusal(of: database, folder)
                guard refusal == nil, let found = try database.modelRecord() else {
                    refusal = refusal ?? .otherVersion(folder: folder.description)
                    throw FileError(reason: "it cannot be searched")
                }
                model = found
                let hasSums = try database.fact("version") == Self.version
                if hasSums { try database.checkFacts() }
                return (found.dimension, hasSums)
            }
        } catch {
            throw refusal ?? IndexError(error, folder: folder)
        }
        guard let opened, let model else { throw .missing(folder: folder.description) }
        (reader, self.model, self.folder) = (opened.reader, model, folder)
        self.threads = max(1, threads ?? availableCores())
        pool = WorkspacePool(threads: self.threads)
    }

    /// Returns the error for an undamaged index that cannot be searched, because it is empty or of
    /// another version; nil for any other index.
    private static func refusal(
        of database: IndexDatabase, _ folder: FilePath
    ) throws(FileError) -> IndexError? {
        guard try database.isBegun() else { return .empty(folder: folder.description) }
        let version = try database.fact("version")
        let isKnown = version == Self.version || version == oldVersion
        return isKnown ? nil : .otherVersion(folder: folder.description)
    }

    /// Returns the images most similar to a vector, best first; ties are ordered by path.
    ///
    /// - Parameters:
    ///   - vector: An embedding by the model of the index, of any norm but 0.
    ///   - top: The largest number of images to return.
    ///   - threshold: The least cosine of a match.
    /// - Returns: The matches.
    /// - Throws: `IndexError`; `.invalidVector` if the vector has another dimension, is zero, or
    ///   contains NaN or infinity.
    /// - Complexity: O(`count` · `dimension`).
    public func search(
        _ vector: [Float], top: Int, threshold: Float = -1
    ) throws(IndexError) -> [Match] {
        try nearest(top, to: vector, atLeast: threshold).map {
            Match(file: folder.appending($0.entry.path.bytes), cosine: $0.cosine)
        }
    }

    /// Returns the entries of the images most similar to a vector among those that pass a filter,
    /// as `search` orders them.
    func nearest(
        _ top: Int, to vector: [Float], atLeast threshold: Float,
        where filter: IndexFilter = IndexFilter()
    ) throws(IndexError) -> [(entry: IndexDatabase.File, cosine: Float)] {
        let query: [Float]
        do throws(VectorError) {
            query = try VectorError.unit(vector, dimension: dimension)
        } catch {
            throw .invalidVector(error)
        }
        return try reading { () throws(FileError) in
            guard !filter.isEmpty else {
                return try reader.nearest(top, to: query, atLeast: threshold, on: pool)
            }
            return try reader.nearest(
                top, to: query, atLeast: threshold, among: reader.database.rows(of: filter),
                where: { filter.passes($0, in: folder) }, on: pool)
        }
    }

    /// Returns all images, in the order of their paths, and their vectors, L2-normalised.
    ///
    /// If an update runs at the same time, images that it adds or changes may be missing.
    ///
    /// - Throws: `IndexError`; `.damaged` if a vector does not match its checksum.
    public func contents() throws(IndexError) -> Contents {
        try reading { () throws(FileError) in
            let (database, vectors) = (reader.database, reader.vectors)
            let generation = try database.generation()
            // Images that were added after the file was mapped are left out.
            let files = try database.filesWithVectors().filter { ($0.row ?? .max) < vectors.count }
            var values = vectors.values(ofRows: files.compactMap(\.row))
            let dimension = vectors.dimension
            // Rows may have been overwritten before they were read.
            var images: [IndexedImage] = []
            for (place, file) in files.enumerated() {
                let start = place * dimension
                let vector = values[start..<(start + dimension)]
                if let sums = file.sums,
                    RowSums.sum(littleEndianBytes(of: Array(vector))) != sums.vector
                {
                    guard try database.generation() != generation else {
                        throw IndexDatabase.otherBytes(file)
                    }
                    continue
                }
                values.replaceSubrange(
                    (images.count * dimension)..<((images.count + 1) * dimension), with: vector)
                images.append(
                    IndexedImage(
                        file: folder.appending(file.path.bytes), width: file.width,
                        height: file.height, size: file.size, modified: file.modified,
                        digest: file.digest ?? []))
            }
            values.removeLast(values.count - images.count * dimension)
            return Contents(
                images: images, embeddings: Embeddings(rows: values, dimension: dimension))
        }
    }

    /// Returns the files that could not be read when the index was last updated, ordered by path.
    ///
    /// - Throws: `IndexError`.
    public func failures() throws(IndexError) -> [IndexUpdate.Failure] {
        try reading { () throws(FileError) in
            try reader.database.failures(in: folder).map {
                _, full, reason, limit in
                IndexUpdate.Failure(file: full, reason: reason, exceededLimit: limit, isNew: false)
            }
        }
    }

    func reading<Result>(
        _ body: () throws(FileError) -> Result
    ) throws(IndexError) -> Result {
        do throws(FileError) {
            return try body()
        } catch {
            throw IndexError(error, folder: folder)
        }
    }
}

/// An image of a `FolderIndex`.
public struct IndexedImage: Sendable, Hashable, Codable {
    /// The path of the folder, followed by the path of the image in it.
    ///
    /// Bytes that are not UTF-8 become U+FFFD.
    public var path: String { file.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { file.bytes }
    package let file: FilePath
    /// The width of the image, in pixels.
    public let width: Int
    /// The height of the image, in pixels.
    public let height: Int
    /// The size of the file in bytes, when an update last read it.
    public let size: Int
    /// The modification time of the file in nanoseconds since 1970, when an update last read it; -1
    /// if the next update is to read it again.
    public let modified: Int
    /// The SHA-256 of the file when it was encoded, 32 bytes.
    public let digest: [UInt8]

    private enum CodingKeys: String, CodingKey {
        case file = "path"
        case width, height, size, modified, digest
    }
}
