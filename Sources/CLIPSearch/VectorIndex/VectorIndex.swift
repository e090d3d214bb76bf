internal import Files
public import CLIP
internal import Synchronization
internal import Tensors

/// A searchable index of vectors, each with an id, stored in a folder.
///
/// ```swift
/// let index = try VectorIndex(at: "products.index", dimension: 512)
/// try index.add(["bike", "boat"], vectors: model.encode(texts: ["a bike", "a boat"]))
/// for match in try index.search(query, top: 10) {
///     print(match.cosine, match.id)
/// }
/// ```
///
/// Vectors are stored divided by their L2 norms and compared by cosine. One process at a time may
/// have an index open for writing, and any number for reading. Readers see each change once it is
/// committed. Any number of threads may call all methods at once.
///
/// Each call of `add` and `remove` is atomic: a process that is killed leaves the state before or
/// after the call. When the call returns, the change is on the disk. Large batches are much faster
/// than single vectors.
///
/// When an index is opened, it is compared with its checksums if its files have changed since its
/// last commit, unless another process has it open for writing. The vectors of search results are
/// always compared with theirs.
public final class VectorIndex: Sendable {
    /// A vector that is similar to a query.
    public struct Match: Codable, Hashable, Sendable {
        /// The id of the vector.
        public let id: ID
        /// The cosine with the query, -1...1.
        public let cosine: Float

        /// Makes a match.
        public init(id: ID, cosine: Float) { (self.id, self.cosine) = (id, cosine) }
    }

    /// The largest number of dimensions that vectors may have.
    public static let largestDimension = 1 << 16

    /// The folder of the index, as given when it was opened.
    public let path: String
    /// The number of dimensions of each vector.
    public let dimension: Int
    /// The number of threads that a search uses.
    public let threads: Int

    /// The absolute path of the folder, which stays valid if the process changes its current
    /// folder.
    private let place: FilePath
    private let pool: WorkspacePool
    private let database: IDDatabase
    /// The vectors as of the last commit that was read.
    private let current: Mutex<View>
    /// The writer; nil if the index was opened for reading.
    private let writer: Mutex<VectorWriter?>

    private struct View: Sendable {
        let state: IDDatabase.State
        let rows: RowReader<IDDatabase>
    }

    /// Opens an index for reading and writing, or creates an empty one.
    ///
    /// - Parameters:
    ///   - path: A folder that contains only the files of the index; created if it is missing.
    ///   - dimension: The number of dimensions of each vector, 1...65,536.
    ///   - threads: The number of threads that a search uses; all cores of the process if nil.
    /// - Throws: `VectorIndexError`; `.otherDimension` if the index has vectors of another
    ///   dimension, `.busy` if it is already open for writing, `.damaged` if its files do not match
    ///   their checksums.
    public convenience init(
        at path: String, dimension: Int, threads: Int? = nil
    ) throws(VectorIndexError) {
        try self.init(
            at: path, dimension: dimension, threads: threads,
            quantizingFrom: RowWriter.quantizingFrom)
    }

    /// Opens an index for reading and writing, or creates an empty one.
    ///
    /// - Parameters:
    ///   - path: The folder of the index.
    ///   - dimension: The number of dimensions of each vector.
    ///   - threads: The number of threads that a search uses; all cores of the process if nil.
    ///   - quantizingFrom: The least number of rows for which quantised vectors are stored too, for
    ///     faster searches.
    /// - Throws: `VectorIndexError`.
    convenience init(
        at path: String, dimension: Int, threads: Int?, quantizingFrom: Int
    ) throws(VectorIndexError) {
        guard 1...Self.largestDimension ~= dimension else {
            throw .unusable(
                path: path,
                reason: "\(dimension) dimensions; expected 1 to \(Self.largestDimension)")
        }
        let threads = max(1, threads ?? availableCores())
        let place = Self.place(path)
        let writer = try VectorWriter(
            path, place, dimension: dimension, threads: threads, quantizingFrom: quantizingFrom)
        try self.init(path, place, threads: threads, writer, dimension: dimension)
    }

    /// Opens an index for reading, while another process may write it.
    ///
    /// - Parameters:
    ///   - path: The folder of the index.
    ///   - threads: The number of threads that a search uses; all cores of the process if nil.
    /// - Throws: `VectorIndexError`; `.missing` if there is no index, `.damaged` if its files do
    ///   not match their checksums.
    public convenience init(reading path: String, threads: Int? = nil) throws(VectorIndexError) {
        try self.init(path, Self.place(path), threads: max(1, threads ?? availableCores()))
    }

    /// Opens an index for reading, whether or not it has a writer.
    ///
    /// - Parameters:
    ///   - path: The folder, as the caller names it.
    ///   - place: The absolute path of the folder.
    ///   - threads: The number of threads that a search uses.
    ///   - writer: The writer; nil if the index is opened for reading only.
    ///   - written: The number of dimensions that the writer has verified; nil without a writer.
    /// - Throws: `VectorIndexError`.
    private init(
        _ path: String, _ place: FilePath, threads: Int, _ writer: sending VectorWriter? = nil,
        dimension written: Int? = nil
    ) throws(VectorIndexError) {
        let opened: (reader: RowReader<IDDatabase>, place: FilePath)?
        do throws(FileError) {
            opened = try RowReader.open(at: { IDDatabase.exists(in: place) ? place : nil }) {
                database throws(FileError) in
                if let written { return (written, true) }
                return (try VectorWriter.dimension(of: database), true)
            }
        } catch {
            throw VectorIndexError(error, path: path)
        }
        guard let opened else { throw .missing(path: path) }
        self.path = path
        self.place = place
        dimension = opened.reader.vectors.dimension
        self.threads = threads
        pool = WorkspacePool(threads: threads)
        database = opened.reader.database
        // The first read maps the vectors of the state that it finds.
        let state = IDDatabase.State(commits: -1, count: 0)
        current = Mutex(View(state: state, rows: opened.reader))
        self.writer = Mutex(writer)
    }

    // MARK: reading

    /// The number of vectors.
    ///
    /// - Throws: `VectorIndexError`.
    public var count: Int {
        get throws(VectorIndexError) {
            try reporting { () throws(FileError) in try database.state().count }
        }
    }

    /// Returns true if the index has a vector with an id.
    ///
    /// - Throws: `VectorIndexError`.
    public func contains(_ id: ID) throws(VectorIndexError) -> Bool {
        try reporting { () throws(FileError) in try database.entry(of: id) != nil }
    }

    /// Returns the vector with an id, normalised to length 1; nil if there is none.
    ///
    /// - Throws: `VectorIndexError`.
    public func vector(for id: ID) throws(VectorIndexError) -> [Float]? {
        try reading { rows throws(FileError) in
            guard let entry = try rows.database.entry(of: id) else { return nil }
            guard entry.place < rows.vectors.count else {
                throw IDDatabase.damage("the vector of \(id) is missing")
            }
            let vector = rows.vectors.values(ofRows: [entry.place])
            guard RowSums.sum(littleEndianBytes(of: vector)) == entry.checksums.vector else {
                throw IDDatabase.otherBytes(entry)
            }
            return vector
        }
    }

    /// Returns the ids after a given one, in the order of their bytes.
    ///
    /// ```swift
    /// var last: VectorIndex.ID?
    /// while case let page = try index.ids(after: last, limit: 1000), !page.isEmpty {
    ///     page.forEach { print($0) }
    ///     last = page.last
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - id: The id after which to begin; nil to begin with the first id.
    ///   - limit: The largest number of ids to return.
    /// - Returns: The ids.
    /// - Throws: `VectorIndexError`.
    public func ids(after id: ID? = nil, limit: Int = .max) throws(VectorIndexError) -> [ID] {
        try reporting { () throws(FileError) in
            try database.ids(after: id, limit: max(0, limit))
        }
    }

    /// Returns the vectors most similar to a query, best first; ties are ordered by the bytes of
    /// the id.
    ///
    /// - Parameters:
    ///   - query: A vector of any norm but 0.
    ///   - top: The largest number of vectors to return.
    ///   - threshold: The least cosine of a match.
    /// - Returns: The matches.
    /// - Throws: `VectorIndexError`; `.invalidVector` if the query has another dimension, is zero,
    ///   or contains NaN or infinity.
    /// - Complexity: O(`count` · `dimension`).
    public func search(
        _ query: [Float], top: Int, threshold: Float = -1
    ) throws(VectorIndexError) -> [Match] {
        guard query.count == dimension else {
            throw .invalidVector(.wrongDimension(expected: dimension, found: query.count))
        }
        let queries = Embeddings(rows: query, dimension: dimension)
        return try search(queries, top: top, threshold: threshold).first ?? []
    }

    /// Returns the vectors most similar to each query, best first.
    ///
    /// All results are from the same state of the index. Only if it was opened for reading, and
    /// commits of another writer intervene in all searches of a tenth of a second, they may mix two
    /// states.
    ///
    /// - Parameters:
    ///   - queries: Rows of any norm but 0.
    ///   - top: The largest number of vectors to return for each query.
    ///   - threshold: The least cosine of a match.
    /// - Returns: The matches of each query, as the search for a single vector returns them.
    /// - Throws: `VectorIndexError`; `.invalidVector` if a query has another dimension, is zero, or
    ///   contains NaN or infinity.
    /// - Complexity: O(queries · `count` · `dimension`).
    public func search(
        _ queries: Embeddings, top: Int, threshold: Float = -1
    ) throws(VectorIndexError) -> [[Match]] {
        let unit = try unit(queries)
        return try reading { rows throws(FileError) in
            var results: [[Match]] = []
            for row in 0..<unit.count {
                let found = try rows.nearest(
                    top, to: unit[row], atLeast: threshold, ceiling: 1, on: pool)
                results.append(found.map { Match(id: $0.entry.id, cosine: $0.cosine) })
            }
            return results
        }
    }

    // MARK: writing

    /// Adds vectors, and replaces the vectors of ids that exist already.
    ///
    /// All vectors are added or none. If an id occurs several times, its last vector counts.
    ///
    /// - Parameters:
    ///   - ids: One id for each row.
    ///   - vectors: Rows of any norm but 0; they are stored divided by their norms.
    /// - Throws: `VectorIndexError`; `.differentCounts` if there is not one id for each row,
    ///   `.invalidVector` if a row has another dimension, is zero, or contains NaN or infinity,
    ///   `.readOnly` if the index was opened for reading.
    public func add(_ ids: [ID], vectors: Embeddings) throws(VectorIndexError) {
        guard ids.count == vectors.count else {
            throw .differentCounts(ids: ids.count, vectors: vectors.count)
        }
        let unit = try unit(vectors)
        try writing { writer throws(FileError) in try writer.add(ids, unit) }
    }

    /// Adds a vector, or replaces the one with the same id.
    ///
    /// - Parameters:
    ///   - id: The id of the vector.
    ///   - vector: The vector, of any norm but 0.
    /// - Throws: `VectorIndexError`, as `add(_:vectors:)` does.
    public func add(_ id: ID, vector: [Float]) throws(VectorIndexError) {
        guard vector.count == dimension else {
            throw .invalidVector(.wrongDimension(expected: dimension, found: vector.count))
        }
        try add([id], vectors: Embeddings(rows: vector, dimension: dimension))
    }

    /// Removes the vectors with some ids, all or none; other ids are ignored.
    ///
    /// - Parameter ids: The ids of the vectors.
    /// - Returns: The number of removed vectors.
    /// - Throws: `VectorIndexError`; `.readOnly` if the index was opened for reading.
    @discardableResult
    public func remove(_ ids: [ID]) throws(VectorIndexError) -> Int {
        try writing { writer throws(FileError) in try writer.remove(ids) }
    }

    // MARK: one state

    /// Returns the absolute path of a folder; its symbolic links are not resolved.
    private static func place(_ path: String) -> FilePath {
        guard !path.isEmpty, !path.hasPrefix("/"), let folder = currentFolder() else {
            return FilePath(path)
        }
        return FilePath(folder).appending(path.utf8)
    }

    private func unit(_ vectors: Embeddings) throws(VectorIndexError) -> Embeddings {
        do throws(VectorError) {
            return try VectorError.unit(vectors, dimension: dimension)
        } catch {
            throw .invalidVector(error)
        }
    }

    private func reporting<Result>(
        _ body: () throws(FileError) -> Result
    ) throws(VectorIndexError) -> Result {
        do throws(FileError) {
            return try body()
        } catch {
            throw VectorIndexError(error, path: path)
        }
    }

    /// Reads one state of the index, and reads again if a commit intervened.
    ///
    /// After three such commits, the writer waits if this object has it. Otherwise, the result of a
    /// tenth of a second is returned, which may mix two states. A commit during a read may also
    /// look like damage; such a read is repeated up to 20 times.
    private func reading<Result: Sendable>(
        _ body: (RowReader<IDDatabase>) throws(FileError) -> Result
    ) throws(VectorIndexError) -> Result {
        try reporting { () throws(FileError) in
            let start = ContinuousClock.now
            var (results, errors) = (0, 0)
            while true {
                let view = try view()
                do throws(FileError) {
                    let result = try body(view.rows)
                    if try database.state() == view.state { return result }
                    results += 1
                    guard results >= 3 else { continue }
                    if let result = try readingAlone(body) { return result }
                    if ContinuousClock.now - start > .milliseconds(100) { return result }
                } catch {
                    errors += 1
                    let isSame = try database.state() == view.state
                    if isSame || errors == 20 { throw error }
                }
            }
        }
    }

    /// Reads while the writer of this object waits; nil if it has none.
    private func readingAlone<Result: Sendable>(
        _ body: (RowReader<IDDatabase>) throws(FileError) -> Result
    ) throws(FileError) -> Result? {
        try writer.withLock { writer throws(FileError) -> Result? in
            writer == nil ? nil : try body(view().rows)
        }
    }

    /// Maps the vectors again if there were commits since they were mapped.
    private func view() throws(FileError) -> View {
        let state = try database.state()
        return try current.withLock { current throws(FileError) in
            // Another thread may have mapped a newer state meanwhile.
            if current.state.commits < state.commits {
                let rows = try RowReader(
                    database, dimension: dimension, count: state.count, in: place)
                current = View(state: state, rows: rows)
            }
            return current
        }
    }

    private func writing<Result: Sendable>(
        _ body: (inout VectorWriter) throws(FileError) -> Result
    ) throws(VectorIndexError) -> Result {
        let result = try reporting { () throws(FileError) in
            try writer.withLock { writer throws(FileError) -> Result? in
                guard var opened = writer.take() else { return nil }
                defer { writer = opened }
                return try body(&opened)
            }
        }
        guard let result else { throw .readOnly(path: path) }
        return result
    }
}
