internal import Files
internal import Tensors

/// The files of an index in one state, opened for searches.
///
/// Another connection may write at the same time; rows that it adds are not found.
struct RowReader<Database: RowDatabase>: Sendable {
    let database: Database
    let vectors: MappedVectors
    private let quantized: QuantizedVectors?
    /// The number of entries with vectors.
    let count: Int

    /// Maps the vectors of the current state.
    ///
    /// - Parameters:
    ///   - database: The database of the index.
    ///   - dimension: The number of dimensions of each vector.
    ///   - count: The number of entries with vectors; counted if nil.
    ///   - place: The folder of the index.
    /// - Throws: `FileError`.
    init(
        _ database: Database, dimension: Int, count: Int? = nil, in place: FilePath
    ) throws(FileError) {
        self.database = database
        vectors = try database.mappedVectors(dimension, in: place)
        self.count = if let count { count } else { try database.count() }
        // A file of another dimension belongs to another index.
        let quantized = Self.quantizedVectors(in: place)
        self.quantized = quantized?.dimension == dimension ? quantized : nil
    }

    /// Opens the files of an index for searches, and compares them with their checksums.
    ///
    /// They are not compared if the index has no checksums, if the files are unchanged since the
    /// last update (`IndexSeal`), or while another process is writing them.
    ///
    /// If a rebuild replaces the files or an update commits at the same time, which may look like
    /// damage, the files are opened again.
    ///
    /// - Parameters:
    ///   - place: A closure that returns the folder of the files; nil if there is no index.
    ///   - check: A closure that checks the format version and the metadata in the database. It
    ///     returns the number of dimensions, and `hasSums`: true if the index has checksums.
    /// - Returns: The open files and their folder; nil if there is no index.
    /// - Throws: `FileError`.
    static func open(
        at place: () -> FilePath?,
        _ check: (Database) throws(FileError) -> (dimension: Int, hasSums: Bool)
    ) throws(FileError) -> (reader: RowReader, place: FilePath)? {
        var retries = 5
        while let place = place() {
            let path = place.appending(Database.fileName.utf8)
            func identity() -> [UInt64] {
                (try? FileStatus(path: path.bytes)).map { [$0.device, $0.inode] } ?? []
            }
            let (before, states) = (identity(), states(of: place))
            do throws(FileError) {
                let reader = try open(path, in: place, check)
                if identity() == before { return (reader, place) }
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

    private static func open(
        _ path: FilePath, in place: FilePath,
        _ check: (Database) throws(FileError) -> (dimension: Int, hasSums: Bool)
    ) throws(FileError) -> RowReader {
        let database = try Database(path: path, isForWriting: false)
        let (dimension, hasSums) = try check(database)
        let reader = try RowReader(database, dimension: dimension, in: place)
        // The files of an index that is being updated do change. The rows of each result are
        // compared anyway.
        if hasSums && !IndexSeal(place, database: Database.fileName).isIntact
            && !isBeingWritten(place.appending("vectors.f32".utf8).bytes)
        {
            try database.verify(reader.vectors)
        }
        return reader
    }

    /// Returns the inodes, sizes and times of the files that a commit changes.
    static func states(of place: FilePath) -> [[Int]] {
        [Database.fileName, "\(Database.fileName)-wal", "vectors.f32"].map { name in
            let status = try? FileStatus(path: place.appending(name.utf8).bytes)
            // An empty log is made by readers.
            guard let status, status.size > 0 else { return [] }
            return [Int(truncatingIfNeeded: status.inode), status.size, status.modified]
        }
    }

    /// Returns the quantised vectors; nil if there are none, or if their file has changed since the
    /// last update.
    static func quantizedVectors(in place: FilePath) -> QuantizedVectors? {
        guard IndexSeal(place, database: Database.fileName).matches("vectors.i8") else {
            return nil
        }
        let path = place.appending("vectors.i8".utf8)
        return (try? MappedFile(path: path.bytes)).flatMap { QuantizedVectors($0) }
    }

    /// Returns the entries nearest to a vector, best first; ties are ordered by name.
    ///
    /// - Parameters:
    ///   - top: The largest number of entries to return.
    ///   - query: A vector of norm 1.
    ///   - threshold: The least cosine of a result.
    ///   - ceiling: A value; all dot products of at least this value count as equal, so that they
    ///     tie.
    ///   - candidates: The rows to search, in ascending order; all if nil.
    ///   - passes: A function that returns true for the entries to consider, because entries that
    ///     share a row may differ in it.
    ///   - pool: The threads that search.
    /// - Returns: The entries and their cosines.
    /// - Throws: `FileError`, also if a row does not match its checksum.
    func nearest(
        _ top: Int, to query: [Float], atLeast threshold: Float, ceiling: Float = .infinity,
        among candidates: [Int]? = nil, where passes: (Database.Entry) -> Bool = { _ in true },
        on pool: WorkspacePool
    ) throws(FileError) -> [(entry: Database.Entry, cosine: Float)] {
        // Rows that were added after the file was mapped are left out.
        let candidates = candidates?.filter { $0 < vectors.count }
        let generation = try database.generation()
        let top = max(0, min(top, vectors.count))
        let quantized = quantized?.generation == generation ? quantized : nil
        var wanted = min(vectors.count, vectors.count > count ? 2 * top : top)
        while true {
            let found = vectors.nearest(
                wanted, to: query, atLeast: threshold - 1e-6, ceiling: ceiling,
                among: candidates, quantized: quantized, on: pool)
            let matches = try entries(
                of: found, query, top: top, threshold: threshold, since: generation,
                where: passes)
            // The rows that were found include those of removed entries.
            if matches.count >= top || found.count < wanted || wanted == vectors.count {
                let sorted = matches.sorted { a, b in
                    a.cosine != b.cosine
                        ? a.cosine > b.cosine
                        : a.entry.name.lexicographicallyPrecedes(b.entry.name)
                }
                return Array(sorted.prefix(top))
            }
            wanted = min(vectors.count, 4 * wanted)
        }
    }

    /// Returns the entries of rows that were found, after comparing each row with its checksum.
    ///
    /// A writer may overwrite a row at the same time: its bytes change before the database has the
    /// new entry.
    private func entries(
        of found: [(row: Int, product: Float)], _ query: [Float], top: Int, threshold: Float,
        since generation: Int, where passes: (Database.Entry) -> Bool
    ) throws(FileError) -> [(entry: Database.Entry, cosine: Float)] {
        var matches: [(row: Int, entry: Database.Entry, cosine: Float)] = []
        var other: Database.Entry?
        for (row, product) in found {
            let cosine = min(1, max(-1, product))
            if matches.count >= top, let last = matches.last, cosine < last.cosine { break }
            guard cosine >= threshold else { continue }
            for entry in try database.entries(atRow: row) where passes(entry) {
                if let sums = entry.sums, sums.vector != vectors.sum(ofRow: row) {
                    other = entry
                    continue
                }
                matches.append((row, entry, cosine))
            }
        }
        guard try database.generation() != generation else {
            if let other { throw Database.otherBytes(other) }
            return matches.map { ($0.entry, $0.cosine) }
        }
        // The rows may have been read before they were overwritten.
        return matches.compactMap { row, entry, _ in
            let cosine = min(1, max(-1, vectors.dotProduct(ofRow: row, with: query)))
            return cosine >= threshold ? (entry, cosine) : nil
        }
    }
}
