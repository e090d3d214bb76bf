internal import Files
internal import Tensors

/// The SQLite database of a `VectorIndex`: the ids, and the row of each id's vector.
struct IDDatabase: RowDatabase {
    /// An id, the row of its vector, and their checksums.
    struct Entry: RowEntry {
        let id: VectorIndex.ID
        let place: Int
        let checksums: RowSums

        var name: [UInt8] { id.bytes }
        var row: Int? { place }
        var sums: RowSums? { checksums }
    }

    static let fileName = "ids.sqlite"
    static let table = "ids"
    static let version = "1"

    let database: SQLite

    init(path: FilePath, isForWriting: Bool) throws(FileError) {
        guard isForWriting else {
            database = try Self.openForReading(path)
            return
        }
        database = try Self.openForWriting(path) { database throws(FileError) in
            try database.run(
                """
                CREATE TABLE IF NOT EXISTS ids(
                    number INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
                    row INTEGER NOT NULL UNIQUE, sums BLOB NOT NULL)
                """)
        }
    }

    /// The numbers that change with each commit, read by one SQL statement.
    struct State: Equatable, Sendable {
        /// The number of commits since the index was made.
        let commits: Int
        /// The number of ids.
        let count: Int
    }

    func state() throws(FileError) -> State {
        let sql = "SELECT name, value FROM facts WHERE name IN ('commits', 'count')"
        var numbers: [String: Int] = [:]
        for fact in try database.run(sql) {
            numbers[fact[0].text ?? ""] = fact[1].text.flatMap { Int($0) }
        }
        guard let commits = numbers["commits"], let count = numbers["count"], commits >= 0,
            count >= 0
        else { throw Self.damage("the number of its ids or of its commits is missing or invalid") }
        return State(commits: commits, count: count)
    }

    /// Stores the state after the next commit; it must be called in the transaction of that commit.
    func setState(after state: State, count: Int) throws(FileError) -> State {
        let next = State(commits: state.commits + 1, count: count)
        try setFact("commits", "\(next.commits)")
        try setFact("count", "\(next.count)")
        return next
    }

    // MARK: ids

    private func entries(
        where condition: String, _ values: [SQLite.Value]
    ) throws(FileError) -> [(number: Int, entry: Entry)] {
        let sql = "SELECT number, id, row, sums FROM ids WHERE \(condition)"
        var entries: [(number: Int, entry: Entry)] = []
        for row in try database.run(sql, values) {
            entries.append((row[0].integer ?? 0, try Entry(row)))
        }
        return entries
    }

    func entries(atRow row: Int) throws(FileError) -> [Entry] {
        try entries(where: "row = ?", [.integer(row)]).map(\.entry)
    }

    func entries(after number: Int) throws(FileError) -> [(number: Int, entry: Entry)] {
        try entries(where: "number > ? ORDER BY number LIMIT 10000", [.integer(number)])
    }

    func entry(of id: VectorIndex.ID) throws(FileError) -> Entry? {
        try entries(where: "id = ?", [.blob(id.bytes)]).first?.entry
    }

    /// Returns at most `limit` ids after a given one, in the order of their bytes.
    func ids(after id: VectorIndex.ID?, limit: Int) throws(FileError) -> [VectorIndex.ID] {
        let condition = id == nil ? "" : "WHERE id > ?"
        let rows = try database.run(
            "SELECT id FROM ids \(condition) ORDER BY id LIMIT ?",
            (id.map { [.blob($0.bytes)] } ?? []) + [.integer(limit)])
        var ids: [VectorIndex.ID] = []
        ids.reserveCapacity(rows.count)
        for row in rows {
            guard let bytes = row[0].blob else { throw Self.damage("an id is not stored as bytes") }
            ids.append(VectorIndex.ID(bytes))
        }
        return ids
    }

    /// Writes the entry of an id, replacing an existing one.
    func set(_ entry: Entry) throws(FileError) {
        try remove(entry.id)
        try database.run(
            "INSERT INTO ids(id, row, sums) VALUES (?, ?, ?)",
            [.blob(entry.id.bytes), .integer(entry.place), .blob(entry.checksums.bytes)])
    }

    func remove(_ id: VectorIndex.ID) throws(FileError) {
        try database.run("DELETE FROM ids WHERE id = ?", [.blob(id.bytes)])
    }
}

extension IDDatabase.Entry {
    /// Creates an entry; `vector` is the bytes of the vector in the vector file.
    init(_ id: VectorIndex.ID, row: Int, vector: [UInt8]) {
        (self.id, place) = (id, row)
        checksums = RowSums(id: id.bytes, row: row, vectorSum: RowSums.sum(vector))
    }

    /// Reads and validates a row of the table.
    ///
    /// - Throws: `FileError` if no version of the library writes such a row.
    init(_ row: [SQLite.Value]) throws(FileError) {
        guard let bytes = row[1].blob, let place = row[2].integer, 0..<(1 << 48) ~= place,
            let sums = row[3].blob.flatMap(RowSums.init),
            RowSums(id: bytes, row: place, vectorSum: sums.vector) == sums
        else { throw IDDatabase.damage("an entry does not match its checksum") }
        (id, self.place, checksums) = (VectorIndex.ID(bytes), place, sums)
    }
}
