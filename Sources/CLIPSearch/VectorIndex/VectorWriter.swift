internal import Files
internal import CLIP
internal import Tensors

/// The writer of a `VectorIndex`, which locks the index against other writers while it exists.
struct VectorWriter {
    private let place: FilePath
    private let database: IDDatabase
    private var rows: RowWriter
    private var state = IDDatabase.State(commits: 0, count: 0)
    /// The least number of rows for which quantised vectors are stored too, for faster searches.
    private let quantizingFrom: Int
    private let threads: Int
    /// The number of rows written since the vectors were last quantised.
    private var unquantized = 0

    /// Returns the number of dimensions of the vectors of an index.
    ///
    /// - Throws: `FileError` if the index is empty, damaged or of another format version.
    static func dimension(of database: IDDatabase) throws(FileError) -> Int {
        guard try database.isBegun() else {
            throw FileError(reason: "it was created, but nothing is stored in it yet")
        }
        let version = try database.fact("version")
        guard version == IDDatabase.version else {
            throw FileError(
                reason: """
                    unsupported format version: expected \(IDDatabase.version), found \
                    \(version ?? "none")
                    """)
        }
        try database.checkFacts()
        guard let dimension = try database.fact("dimension").flatMap({ Int($0) }) else {
            throw IDDatabase.damage("the dimension of its vectors is not stored")
        }
        return dimension
    }

    /// Opens an index for writing, or creates it.
    ///
    /// - Parameters:
    ///   - path: The folder, as the caller names it.
    ///   - place: The absolute path of the folder.
    ///   - dimension: The number of dimensions of each vector.
    ///   - threads: The number of threads that quantise vectors.
    ///   - quantizingFrom: The least number of rows for which quantised vectors are stored too, for
    ///     faster searches.
    /// - Throws: `VectorIndexError`.
    init(
        _ path: String, _ place: FilePath, dimension: Int, threads: Int, quantizingFrom: Int
    ) throws(VectorIndexError) {
        self.place = place
        self.quantizingFrom = quantizingFrom
        self.threads = threads
        let exists = IDDatabase.exists(in: place)
        guard exists || !IndexDatabase.exists(in: place) else {
            throw .notAnIndex(path: path)
        }
        let stored: Int
        do throws(FileError) {
            try makeFolder(place.bytes)
            rows = RowWriter(try RowWriter.lock(place), in: place, dimension: dimension)
            // A process may have ended before it stored anything, but then there are no vectors.
            // Another may have made the index while this one waited for the lock.
            guard exists || IDDatabase.exists(in: place) || rows.byteCount == 0 else {
                throw IDDatabase.damage("\(IDDatabase.fileName) is missing")
            }
            database = try IDDatabase(
                path: place.appending(IDDatabase.fileName.utf8), isForWriting: true)
            if try database.isBegun() {
                stored = try Self.dimension(of: database)
            } else {
                stored = dimension
                try begin(dimension)
            }
            if stored == dimension { try open(dimension) }
        } catch {
            throw VectorIndexError(error, path: path)
        }
        guard stored == dimension else {
            throw .otherDimension(path: path, expected: dimension, found: stored)
        }
    }

    private func begin(_ dimension: Int) throws(FileError) {
        guard rows.byteCount == 0 else {
            throw IDDatabase.damage("the dimension of its vectors is not stored")
        }
        try database.transaction { () throws(FileError) in
            try database.setFact("version", IDDatabase.version)
            try database.setFact("dimension", "\(dimension)")
            for name in ["rows", "generation", "commits", "count"] {
                try database.setFact(name, "0")
            }
            try database.sealFacts()
        }
    }

    /// Reads the state of the index, and verifies the index unless its seal (`IndexSeal`) is
    /// intact.
    private mutating func open(_ dimension: Int) throws(FileError) {
        let mapped = try database.mappedVectors(dimension, in: place)
        if !IndexSeal(place, database: IDDatabase.fileName).isIntact {
            try database.verify(mapped)
        }
        state = try database.state()
        try rows.resume(database, rows: mapped.count)
        if !rows.rounding.isUpToDate(for: IDDatabase.self) { unquantized = mapped.count }
        try database.seal(place)
    }

    mutating func add(_ ids: [VectorIndex.ID], _ vectors: Embeddings) throws(FileError) {
        guard !ids.isEmpty else { return }
        var last: [VectorIndex.ID: Int] = [:]
        for (row, id) in ids.enumerated() { last[id] = row }
        try change { writer throws(FileError) in
            var entries: [IDDatabase.Entry] = []
            for (row, id) in ids.enumerated() where last[id] == row {
                let vector = vectors[row]
                entries.append(
                    IDDatabase.Entry(
                        id, row: try writer.rows.store(vector),
                        vector: littleEndianBytes(of: vector)))
            }
            let (database, state) = (writer.database, writer.state)
            var next = state
            try writer.rows.commit(to: database) { () throws(FileError) in
                var count = state.count
                for entry in entries {
                    if try database.entry(of: entry.id) == nil { count += 1 }
                    try database.set(entry)
                }
                next = try database.setState(after: state, count: count)
            }
            (writer.state, writer.unquantized) = (next, writer.unquantized + entries.count)
        }
        quantize()
        try? database.seal(place)
    }

    mutating func remove(_ ids: [VectorIndex.ID]) throws(FileError) -> Int {
        let count = state.count
        try change { writer throws(FileError) in
            var found: Set<VectorIndex.ID> = []
            for id in ids where try writer.database.entry(of: id) != nil { found.insert(id) }
            guard !found.isEmpty else { return }
            let (database, state) = (writer.database, writer.state)
            var next = state
            try writer.rows.commit(to: database) { () throws(FileError) in
                for id in found { try database.remove(id) }
                next = try database.setState(after: state, count: state.count - found.count)
            }
            writer.state = next
        }
        if state.count != count { try? database.seal(place) }
        return count - state.count
    }

    /// Runs a change of the index; after an error, the index is as it was before.
    private mutating func change(
        _ body: (inout VectorWriter) throws(FileError) -> Void
    ) throws(FileError) {
        try rows.dropUncommitted()
        try rows.findFreeRows(database, count: state.count)
        let before = rows
        do throws(FileError) {
            try body(&self)
        } catch {
            // The next change drops the vectors that were stored.
            rows = before
            throw error
        }
    }

    /// Quantises the vectors once there are many, and again when more than an eighth of them is
    /// new.
    ///
    /// The change itself is already committed. If quantising fails, searches are only slower.
    private mutating func quantize() {
        guard rows.rows >= quantizingFrom, unquantized > rows.rows / 8 else { return }
        try? change { writer throws(FileError) in
            try writer.rows.rounding.write(threads: writer.threads)
            writer.unquantized = 0
            let (database, state) = (writer.database, writer.state)
            try database.seal(writer.place)
            // A commit makes readers look for the quantised vectors.
            var next = state
            try writer.rows.commit(to: database) { () throws(FileError) in
                next = try database.setState(after: state, count: state.count)
            }
            writer.state = next
        }
    }
}
