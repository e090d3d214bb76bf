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
    /// The name that the model had.
    public let modelName: String
    /// The model's `fingerprint`.
    public let fingerprint: String
    /// The arithmetic of its vectors.
    public let precision: Precision
    /// How many pictures it has.
    public let count: Int
    /// Of its vectors.
    public var dimension: Int { vectors.dimension }
    /// How many a search uses.
    public let threads: Int

    private let database: IndexDatabase
    private let vectors: MappedVectors
    private let pool: WorkspacePool

    /// Where an index lies in a folder.
    static let location = Array(".clip-index".utf8)
    static let version = "1"

    /// Opens the index of a folder.
    ///
    /// - Parameter threads: how many a search uses; all cores of the process if nil.
    /// - Throws: `IndexError`.
    public init(folder: FilePath, threads: Int? = nil) throws(IndexError) {
        let place = folder.appending(Self.location)
        guard (try? FileStatus(path: place.appending("files.sqlite".utf8).bytes)) != nil else {
            throw .missing(folder: folder)
        }
        do throws(FileError) {
            database = try IndexDatabase(
                path: place.appending("files.sqlite".utf8), isForWriting: false)
            guard try database.fact("version") == Self.version,
                let fingerprint = try database.fact("fingerprint"),
                let name = try database.fact("model"),
                let precision = try database.fact("precision").flatMap(Precision.init),
                let dimension = try database.fact("dimension").flatMap({ Int($0) })
            else {
                throw FileError(reason: "it is of another version of clip")
            }
            let rows = try database.fact("rows").flatMap { Int($0) } ?? 0
            (self.fingerprint, self.precision, modelName) = (fingerprint, precision, name)
            count = try database.count()
            let file = try? MappedFile(path: place.appending("vectors.f32".utf8).bytes)
            guard let file, let vectors = MappedVectors(file, dimension: dimension, count: rows)
            else {
                throw FileError(
                    reason: "its vectors are missing or cut off: remove \(place) and make it anew")
            }
            self.vectors = vectors
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
        self.folder = folder
        self.threads = max(1, threads ?? availableCores())
        pool = WorkspacePool(threads: self.threads)
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
        let cosines = vectors.dotProducts(with: query, on: pool)
        // Rows of files that are gone count for nothing, so as many more are looked at.
        let gone = max(0, vectors.count - count)
        var matches: [Match] = []
        do throws(FileError) {
            let places = placesOfLargest(
                min(top, vectors.count) + gone, of: cosines, atLeast: threshold - 1e-6)
            for row in places {
                let cosine = min(1, max(-1, cosines[row]))
                if matches.count >= top, let last = matches.last, cosine < last.cosine { break }
                guard cosine >= threshold else { continue }
                for file in try database.files(atRow: row) {
                    matches.append(Match(path: folder.appending(file.path.bytes), cosine: cosine))
                }
            }
        } catch {
            throw .unusable(folder: folder, reason: error.reason)
        }
        return Array(matches.sorted { ($1.cosine, $0.path) < ($0.cosine, $1.path) }.prefix(top))
    }
}
