public import CLIP
internal import Tensors

/// The embeddings of the pictures in a folder, to be searched.
///
/// An index lies in the folder itself: an SQLite database of the files, and one memory-mapped file
/// of their L2-normalised vectors. It may be searched while it is updated: images that came after
/// it was opened are not found, nor are those that went. Any number of tasks may search one index
/// at once.
public struct EmbeddingIndex: Sendable {
    /// A picture that is like what was looked for.
    public struct Match: Sendable, Hashable, Codable {
        /// The path as the folder's path, then that of the file in it. Bytes that are not UTF-8 become
        /// U+FFFD.
        public var path: String { file.description }
        /// The bytes of the path, which need not be UTF-8.
        public var pathBytes: [UInt8] { file.bytes }
        package let file: FilePath
        /// With what was looked for, -1...1.
        public let cosine: Float

        private enum CodingKeys: String, CodingKey { case file = "path", cosine }
    }

    /// All images of an index and their vectors.
    public struct Contents: Sendable, Hashable, Codable {
        /// The images, in the order of their paths.
        public let images: [IndexedPicture]
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
    /// The arithmetic of its vectors.
    public var precision: Precision { model.precision }
    /// The number of images in the index.
    public let count: Int
    /// The number of dimensions of each vector.
    public var dimension: Int { vectors.dimension }
    /// The number of threads that a search uses.
    public let threads: Int

    private let database: IndexDatabase
    private let vectors: MappedVectors
    private let quantized: QuantizedVectors?
    private let pool: WorkspacePool

    /// The version of the format: 2 has checksums, which version 0.1.0 of the program did not
    /// write.
    static let version = "2"
    static let oldVersion = "1"
    static let largestDimension = 1 << 16

    /// Opens the index of a folder.
    ///
    /// - Parameter threads: how many a search uses; all cores of the process if nil.
    /// - Throws: `IndexError`.
    package init(folder: FilePath, threads: Int? = nil) throws(IndexError) {
        try Self.checkIsFolder(folder)
        let opened: Files?
        do throws(FileError) {
            opened = try Files.open(in: folder)
        } catch {
            throw IndexError(error, folder: folder)
        }
        guard let opened else { throw .missing(folder: folder.description) }
        (database, model, vectors) = (opened.database, opened.model, opened.vectors)
        (quantized, count) = (opened.quantized, opened.count)
        self.folder = folder
        self.threads = max(1, threads ?? availableCores())
        pool = WorkspacePool(threads: self.threads)
    }

    /// The files of an index, all of the same one.
    private struct Files {
        let database: IndexDatabase
        let model: ModelRecord
        let vectors: MappedVectors
        let quantized: QuantizedVectors?
        /// The number of images in the index.
        let count: Int

        /// Opens the files of the index of a folder; nil if there is none.
        ///
        /// A rebuild may put others in their place meanwhile, or an update may commit while they
        /// are verified, which looks like damage: then it is done again.
        static func open(in folder: FilePath) throws(FileError) -> Files? {
            var retries = 5
            while let place = EmbeddingIndex.place(in: folder) {
                let path = place.appending("files.sqlite".utf8)
                func identity() -> [UInt64] {
                    (try? FileStatus(path: path.bytes)).map { [$0.device, $0.inode] } ?? []
                }
                let (before, states) = (identity(), states(of: place))
                do throws(FileError) {
                    let files = try Files(place, path, folder)
                    if identity() == before { return files }
                } catch {
                    let isOther = identity() != before
                    let vectors = place.appending("vectors.f32".utf8).bytes
                    let isChanging =
                        error.isDamage && retries > 0
                        && (isBeingWritten(vectors) || Self.states(of: place) != states)
                    guard isOther || isChanging else { throw error }
                    if !isOther { retries -= 1 }
                }
            }
            return nil
        }

        /// The state of the files that a commit changes.
        private static func states(of place: FilePath) -> [[Int]] {
            ["files.sqlite", "files.sqlite-wal", "vectors.f32"].map { name in
                let status = try? FileStatus(path: place.appending(name.utf8).bytes)
                // Readers make an empty log.
                guard let status, status.size > 0 else { return [] }
                return [
                    Int(truncatingIfNeeded: status.inode), status.size, status.modified,
                ]
            }
        }

        private init(_ place: FilePath, _ path: FilePath, _ folder: FilePath) throws(FileError) {
            database = try IndexDatabase(path: path, isForWriting: false)
            guard try database.isBegun() else {
                throw FileError(
                    reason: "it was begun and holds nothing yet: run clip index \(folder)")
            }
            let version = try database.fact("version")
            guard version == EmbeddingIndex.version || version == EmbeddingIndex.oldVersion,
                let model = try database.modelRecord()
            else {
                throw FileError(
                    reason: "another version of clip wrote it: \(EmbeddingIndex.rebuilding(folder))"
                )
            }
            if version == EmbeddingIndex.version { try database.checkFacts() }
            let vectors = try EmbeddingIndex.mappedVectors(database, model, place)
            let seal = IndexSeal(place)
            // While the index is updated, its files do change; the rows of an answer are compared
            // in any case.
            let path = place.appending("vectors.f32".utf8).bytes
            if version == EmbeddingIndex.version && !seal.isIntact && !isBeingWritten(path) {
                try database.verify(vectors)
            }
            (self.model, self.vectors, count) = (model, vectors, try database.count())
            // One of another dimension is of another index, or none.
            let quantized = EmbeddingIndex.quantizedVectors(place, seal)
            self.quantized = quantized?.dimension == model.dimension ? quantized : nil
        }
    }

    /// Returns the images most similar to a vector, best first, those of one cosine in the order of
    /// their paths.
    ///
    /// - Parameters:
    ///   - vector: An embedding of the index's model, of any length but 0.
    ///   - top: The most images to return.
    ///   - threshold: The least cosine.
    /// - Throws: `IndexError.unusable` if the index is damaged.
    public func search(
        _ vector: [Float], top: Int, threshold: Float = -1
    ) throws(IndexError) -> [Match] {
        let query = Embeddings(rows: vector, dimension: vectors.dimension).normalized().values
        let top = max(0, min(top, vectors.count))
        return try reading { generation throws(FileError) in
            let quantized = quantized?.generation == generation ? quantized : nil
            var wanted = min(vectors.count, vectors.count > count ? 2 * top : top)
            while true {
                let found = vectors.nearest(
                    wanted, to: query, atLeast: threshold - 1e-6, quantized: quantized, on: pool)
                let matches = try matches(
                    of: found, query, top: top, threshold: threshold, since: generation)
                // Rows of files that are gone are found as well.
                if matches.count >= top || found.count < wanted || wanted == vectors.count {
                    return Array(
                        matches.sorted { ($1.cosine, $0.file) < ($0.cosine, $1.file) }.prefix(top))
                }
                wanted = min(vectors.count, 4 * wanted)
            }
        }
    }

    /// The files of rows that were found, each of which is compared with its checksum.
    ///
    /// A row may have been written over since: its bytes have changed before the database names its
    /// new file.
    private func matches(
        of found: [(row: Int, product: Float)], _ query: [Float], top: Int, threshold: Float,
        since generation: Int
    ) throws(FileError) -> [Match] {
        var matches: [(row: Int, match: Match)] = []
        var hasOtherBytes: FilePath?
        for (row, product) in found {
            let cosine = min(1, max(-1, product))
            if matches.count >= top, let last = matches.last, cosine < last.match.cosine { break }
            guard cosine >= threshold else { continue }
            for file in try database.files(atRow: row) {
                if let sums = file.sums, sums.vector != vectors.sum(ofRow: row) {
                    hasOtherBytes = file.path
                    continue
                }
                let path = folder.appending(file.path.bytes)
                matches.append((row, Match(file: path, cosine: cosine)))
            }
        }
        guard try database.generation() != generation else {
            if let hasOtherBytes {
                throw IndexDatabase.damage(
                    "the vector of \(hasOtherBytes) does not match its checksum")
            }
            return matches.map(\.match)
        }
        // The rows may have been read before they were written over.
        return matches.compactMap { row, match in
            let cosine = min(1, max(-1, vectors.dotProduct(ofRow: row, with: query)))
            return cosine >= threshold ? Match(file: match.file, cosine: cosine) : nil
        }
    }

    /// Returns all images, in the order of their paths, and their vectors, L2-normalised.
    ///
    /// - Throws: `IndexError.unusable` if the index is damaged.
    public func contents() throws(IndexError) -> Contents {
        try reading { generation throws(FileError) in
            // Images that came after the file was mapped are left out.
            let files = try database.filesWithVectors().filter { ($0.row ?? .max) < vectors.count }
            var values = vectors.values(ofRows: files.compactMap(\.row))
            let dimension = vectors.dimension
            // Rows may have been written over before their bytes were read.
            var pictures: [IndexedPicture] = []
            for (place, file) in files.enumerated() {
                let start = place * dimension
                let vector = values[start..<(start + dimension)]
                if let sums = file.sums,
                    RowSums.sum(littleEndianBytes(of: Array(vector))) != sums.vector
                {
                    guard try database.generation() != generation else {
                        throw IndexDatabase.damage(
                            "the vector of \(file.path) does not match its checksum")
                    }
                    continue
                }
                values.replaceSubrange(
                    (pictures.count * dimension)..<((pictures.count + 1) * dimension), with: vector)
                pictures.append(
                    IndexedPicture(
                        file: folder.appending(file.path.bytes), width: file.width,
                        height: file.height, size: file.size, modified: file.modified,
                        digest: file.digest ?? []))
            }
            values.removeLast(values.count - pictures.count * dimension)
            return Contents(
                images: pictures, embeddings: Embeddings(rows: values, dimension: dimension))
        }
    }

    /// Returns the files that could not be read when the index was last updated, by path.
    ///
    /// - Throws: `IndexError`.
    public func failures() throws(IndexError) -> [IndexUpdate.Failure] {
        try reading { _ throws(FileError) in
            try database.failures(in: folder).map { _, full, reason in
                IndexUpdate.Failure(file: full, reason: reason, isNew: false)
            }
        }
    }

    /// Reads from the database, from the generation of its rows on.
    private func reading<Result>(
        _ body: (_ generation: Int) throws(FileError) -> Result
    ) throws(IndexError) -> Result {
        do throws(FileError) {
            return try body(try database.generation())
        } catch {
            throw IndexError(error, folder: folder)
        }
    }

    /// Whether nearly all of so many rows are there rounded.
    static func isQuantized(_ rows: Int, _ generation: Int, _ place: FilePath) -> Bool {
        guard let quantized = quantizedVectors(place, IndexSeal(place)) else { return false }
        return quantized.generation == generation && quantized.count >= rows - rows / 8
    }

    /// Maps the vectors of an index.
    ///
    /// - Throws: `FileError` if there are not as many as the database says.
    static func mappedVectors(
        _ database: IndexDatabase, _ model: ModelRecord, _ place: FilePath
    ) throws(FileError) -> MappedVectors {
        let rows = try database.fact("rows").flatMap { Int($0) } ?? 0
        guard 1...largestDimension ~= model.dimension, rows >= 0 else {
            throw IndexDatabase.damage("\(rows) vectors of \(model.dimension) dimensions")
        }
        let file: MappedFile
        do {
            file = try MappedFile(path: place.appending("vectors.f32".utf8).bytes)
        } catch {
            guard !error.isMissing else { throw IndexDatabase.damage("vectors.f32 is missing") }
            throw FileError(reason: "vectors.f32: \(error.reason)", code: error.code)
        }
        guard let vectors = MappedVectors(file, dimension: model.dimension, count: rows) else {
            throw IndexDatabase.damage("vectors.f32 is shorter than expected")
        }
        return vectors
    }

    /// The rounded vectors, if nothing else has written their file since the last update.
    fileprivate static func quantizedVectors(
        _ place: FilePath, _ seal: IndexSeal
    ) -> QuantizedVectors? {
        guard seal.matches("vectors.i8") else { return nil }
        let path = place.appending("vectors.i8".utf8)
        return (try? MappedFile(path: path.bytes)).flatMap { QuantizedVectors($0) }
    }
}

/// A picture of an index.
public struct IndexedPicture: Sendable, Hashable, Codable {
    /// The path as the folder's path, then that of the file in it. Bytes that are not UTF-8 become
    /// U+FFFD.
    public var path: String { file.description }
    /// The bytes of the path, which need not be UTF-8.
    public var pathBytes: [UInt8] { file.bytes }
    package let file: FilePath
    /// In pixels.
    public let width: Int
    /// In pixels.
    public let height: Int
    /// Of the file, in bytes, when it was encoded.
    public let size: Int
    /// Of the file, in nanoseconds since 1970, when it was encoded.
    public let modified: Int
    /// SHA-256 of the file.
    public let digest: [UInt8]

    private enum CodingKeys: String, CodingKey {
        case file = "path"
        case width, height, size, modified, digest
    }
}
