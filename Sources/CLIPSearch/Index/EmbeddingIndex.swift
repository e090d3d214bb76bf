public import CLIP
internal import Tensors

/// The embeddings of the pictures in a folder, to be searched.
///
/// An index lies in the folder itself: what SQLite knows of its files, and their vectors, L2-normalised, in
/// one file that is mapped, not read. It may be searched while it is updated: pictures that came after it was
/// opened are not found, nor are those that went.
public struct EmbeddingIndex: Sendable {
    /// A picture that is like what was looked for.
    public struct Match: Sendable, Equatable {
        /// The folder's path, then that of the file in it.
        public let path: FilePath
        /// With what was looked for, -1...1.
        public let cosine: Float
    }

    /// The folder that was indexed.
    public let folder: FilePath
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
    /// Of its vectors.
    public var dimension: Int { vectors.dimension }
    /// How many a search uses.
    public let threads: Int

    private let database: IndexDatabase
    private let vectors: MappedVectors
    private let quantized: QuantizedVectors?
    private let pool: WorkspacePool

    static let version = "1"

    /// Opens the index of a folder.
    ///
    /// - Parameter threads: how many a search uses; all cores of the process if nil.
    /// - Throws: `IndexError`.
    public init(folder: FilePath, threads: Int? = nil) throws(IndexError) {
        try Self.checkIsFolder(folder)
        let opened: Files?
        do throws(FileError) {
            opened = try Files.open(in: folder)
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
        guard let opened else { throw .missing(folder: folder) }
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
        /// A rebuild may put others in their place meanwhile: then it is done again.
        static func open(in folder: FilePath) throws(FileError) -> Files? {
            while let place = EmbeddingIndex.place(in: folder) {
                let path = place.appending("files.sqlite".utf8)
                func identity() -> [UInt64] {
                    (try? FileStatus(path: path.bytes)).map { [$0.device, $0.inode] } ?? []
                }
                let before = identity()
                do throws(FileError) {
                    let files = try Files(place, path, folder)
                    if identity() == before { return files }
                } catch {
                    if identity() == before { throw error }
                }
            }
            return nil
        }

        private init(_ place: FilePath, _ path: FilePath, _ folder: FilePath) throws(FileError) {
            database = try IndexDatabase(path: path, isForWriting: false)
            guard try database.fact("version") == EmbeddingIndex.version,
                let model = try database.modelRecord()
            else {
                throw FileError(
                    reason: "another version of clip wrote it: \(EmbeddingIndex.rebuilding(folder))"
                )
            }
            let rows = try database.fact("rows").flatMap { Int($0) } ?? 0
            let file = try? MappedFile(path: place.appending("vectors.f32".utf8).bytes)
            guard let file,
                let vectors = MappedVectors(file, dimension: model.dimension, count: rows)
            else {
                throw FileError(
                    reason: """
                        its vectors are missing or cut off: \(EmbeddingIndex.rebuilding(folder))
                        """)
            }
            (self.model, self.vectors, count) = (model, vectors, try database.count())
            // One of another dimension is of another index, or none.
            quantized = EmbeddingIndex.quantizedVectors(place).flatMap {
                $0.dimension == model.dimension ? $0 : nil
            }
        }
    }

    /// The pictures most like a vector, best first, those of one cosine in the order of their paths.
    ///
    /// - Parameters:
    ///   - vector: of a picture or text, by the index's model; of any length.
    ///   - top: how many at most.
    ///   - threshold: the least cosine.
    /// - Throws: `IndexError.unusable`.
    public func search(
        _ vector: [Float], top: Int, threshold: Float = -1
    ) throws(IndexError) -> [Match] {
        let query = Embeddings(values: vector, dimension: vectors.dimension).normalized().values
        return try consistently { generation throws(FileError) in
            let quantized = quantized?.generation == generation ? quantized : nil
            var wanted = min(vectors.count, vectors.count > count ? 2 * top : top)
            while true {
                let found = vectors.nearest(
                    wanted, to: query, atLeast: threshold - 1e-6, quantized: quantized, on: pool)
                var matches: [Match] = []
                for (row, product) in found {
                    let cosine = min(1, max(-1, product))
                    if matches.count >= top, let last = matches.last, cosine < last.cosine { break }
                    guard cosine >= threshold else { continue }
                    for file in try database.files(atRow: row) {
                        let path = folder.appending(file.path.bytes)
                        matches.append(Match(path: path, cosine: cosine))
                    }
                }
                // Rows of files that are gone are found as well.
                if matches.count >= top || found.count < wanted || wanted == vectors.count {
                    matches.sort { ($1.cosine, $0.path) < ($0.cosine, $1.path) }
                    return Array(matches.prefix(top))
                }
                wanted = min(vectors.count, 4 * wanted)
            }
        }
    }

    /// All pictures, in the order of their paths, and their vectors, L2-normalised.
    ///
    /// - Throws: `IndexError.unusable`.
    public func contents() throws(IndexError) -> (pictures: [IndexedPicture], Embeddings) {
        try consistently { _ throws(FileError) in
            // What came after the file was mapped is left out.
            let files = try database.filesWithVectors().filter { ($0.row ?? .max) < vectors.count }
            let pictures = files.map { file in
                IndexedPicture(
                    path: folder.appending(file.path.bytes), width: file.width, height: file.height,
                    size: file.size, modified: file.modified, digest: file.digest ?? [])
            }
            let values = vectors.values(ofRows: files.compactMap(\.row))
            return (pictures, Embeddings(values: values, dimension: vectors.dimension))
        }
    }

    /// Does something again if rows were written over meanwhile, which may have had other files than was thought.
    private func consistently<Result>(
        _ body: (_ generation: Int) throws(FileError) -> Result
    ) throws(IndexError) -> Result {
        do throws(FileError) {
            while true {
                let generation = try database.generation()
                let result = try body(generation)
                if try database.generation() == generation { return result }
            }
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
    }

    /// Whether nearly all of so many rows are there rounded.
    static func isQuantized(_ rows: Int, _ generation: Int, _ place: FilePath) -> Bool {
        guard let quantized = quantizedVectors(place) else { return false }
        return quantized.generation == generation && quantized.count >= rows - rows / 8
    }

    fileprivate static func quantizedVectors(_ place: FilePath) -> QuantizedVectors? {
        let path = place.appending("vectors.i8".utf8)
        return (try? MappedFile(path: path.bytes)).flatMap { QuantizedVectors($0) }
    }
}

/// A picture of an index.
public struct IndexedPicture: Sendable {
    /// The folder's path, then that of the file in it.
    public let path: FilePath
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
}
