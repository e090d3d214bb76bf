internal import Tensors

/// The part of an index that SQLite keeps: which files there are, and which row of the vectors each has.
struct IndexDatabase: Sendable {
    /// A file that was looked at.
    struct File: Sendable, Equatable {
        /// In the folder that is indexed.
        var path: FilePath
        /// As it was when it was read: bytes, and nanoseconds since 1970.
        var size: Int
        var modified: Int
        /// SHA-256; nil of what could not be read.
        var digest: [UInt8]?
        /// The row of its vector; nil if it has none.
        var row: Int?
        /// In pixels.
        var width = 0
        var height = 0
        /// Why it has no vector.
        var failure: String?
    }

    private let database: SQLite

    init(path: FilePath, isForWriting: Bool) throws(FileError) {
        guard isForWriting else {
            let folder = Array(path.bytes.dropLast(path.lastComponent.count))
            let isFixed = !mayWrite(folder)
            if isFixed, let log = try? FileStatus(path: path.bytes + "-wal".utf8), log.size > 0 {
                throw FileError(
                    reason: "its folder cannot be written, and an update has not ended there")
            }
            database = try SQLite(path: path, isForWriting: false, isFixed: isFixed)
            return
        }
        database = try SQLite(path: path, isForWriting: true)
        // Readers go on while rows are added.
        try database.run("PRAGMA journal_mode = WAL")
        try database.transaction { () throws(FileError) in
            try database.run(
                """
                CREATE TABLE IF NOT EXISTS facts(
                    name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID
                """)
            try database.run(
                """
                CREATE TABLE IF NOT EXISTS files(
                    id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
                    modified INTEGER NOT NULL, digest BLOB, row INTEGER, width INTEGER NOT NULL,
                    height INTEGER NOT NULL, failure TEXT)
                """)
            for column in ["size", "digest", "row"] {
                try database.run(
                    "CREATE INDEX IF NOT EXISTS files_by_\(column) ON files(\(column))")
            }
        }
        try database.run("CREATE TEMP TABLE seen(id INTEGER PRIMARY KEY)")
    }

    func transaction(_ body: () throws(FileError) -> Void) throws(FileError) {
        try database.transaction(body)
    }

    /// Deletes all files and facts.
    func clear() throws(FileError) {
        try database.run("DELETE FROM files")
        try database.run("DELETE FROM facts")
    }

    /// Writes the log of changes into the database file itself.
    func mergeLog() throws(FileError) {
        try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    // MARK: facts

    func fact(_ name: String) throws(FileError) -> String? {
        try database.run("SELECT value FROM facts WHERE name = ?", [.text(name)]).first?[0].text
    }

    func setFact(_ name: String, _ value: String) throws(FileError) {
        try database.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", [.text(name), .text(value)])
    }

    /// How often rows of files that are gone have been given to others.
    func generation() throws(FileError) -> Int {
        try fact("generation").flatMap { Int($0) } ?? 0
    }

    // MARK: files

    private static let columns = "id, path, size, modified, digest, row, width, height, failure"

    private func files(
        where condition: String, _ values: [SQLite.Value]
    ) throws(FileError) -> [(id: Int, file: File)] {
        try database.run("SELECT \(Self.columns) FROM files WHERE \(condition)", values).map {
            (
                $0[0].integer ?? 0,
                File(
                    path: FilePath($0[1].blob ?? []), size: $0[2].integer ?? 0,
                    modified: $0[3].integer ?? 0, digest: $0[4].blob, row: $0[5].integer,
                    width: $0[6].integer ?? 0, height: $0[7].integer ?? 0, failure: $0[8].text)
            )
        }
    }

    func file(at path: FilePath) throws(FileError) -> (id: Int, file: File)? {
        try files(where: "path = ?", [.blob(path.bytes)]).first
    }

    /// Whether a file of so many bytes has a vector.
    func hasVector(ofSize size: Int) throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM files WHERE size = ? AND row IS NOT NULL LIMIT 1"
        return try !database.run(sql, [.integer(size)]).isEmpty
    }

    func files(of digest: [UInt8]) throws(FileError) -> [(id: Int, file: File)] {
        try files(where: "digest = ? AND row IS NOT NULL ORDER BY path", [.blob(digest)])
    }

    func files(atRow row: Int) throws(FileError) -> [File] {
        try files(where: "row = ? ORDER BY path", [.integer(row)]).map(\.file)
    }

    /// What could not be read, by path.
    func failures() throws(FileError) -> [(path: FilePath, reason: String)] {
        try files(where: "failure IS NOT NULL ORDER BY path", []).map {
            ($0.file.path, $0.file.failure ?? "")
        }
    }

    /// All that have vectors, by path.
    func filesWithVectors() throws(FileError) -> [File] {
        try files(where: "row IS NOT NULL ORDER BY path", []).map(\.file)
    }

    /// Which of the first rows no file has, in falling order.
    func freeRows(of count: Int) throws(FileError) -> [Int] {
        var isFree = [Bool](repeating: true, count: count)
        for row in try database.run("SELECT row FROM files WHERE row IS NOT NULL") {
            if let row = row[0].integer, row < count { isFree[row] = false }
        }
        return isFree.indices.reversed().filter { isFree[$0] }
    }

    /// How many files have vectors.
    func count() throws(FileError) -> Int {
        try database.run("SELECT count(row) FROM files").first?[0].integer ?? 0
    }

    /// Writes a file, in place of the file `id` if that is given, and marks it as seen.
    func set(_ file: File, id: Int? = nil) throws(FileError) {
        let values: [SQLite.Value] = [
            .blob(file.path.bytes), .integer(file.size), .integer(file.modified),
            file.digest.map { .blob($0) } ?? .null, file.row.map { .integer($0) } ?? .null,
            .integer(file.width), .integer(file.height), file.failure.map { .text($0) } ?? .null,
        ]
        if let id {
            try database.run(
                """
                UPDATE files SET path = ?, size = ?, modified = ?, digest = ?, row = ?, width = ?,
                    height = ?, failure = ? WHERE id = ?
                """, values + [.integer(id)])
            try markSeen([id])
        } else {
            try database.run(
                """
                INSERT INTO files(path, size, modified, digest, row, width, height, failure)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                """, values)
            try database.run("INSERT INTO seen VALUES (last_insert_rowid())")
        }
    }

    // MARK: what was found in the folder

    func markSeen(_ ids: [Int]) throws(FileError) {
        for id in ids { try database.run("INSERT OR IGNORE INTO seen VALUES (?)", [.integer(id)]) }
    }

    /// Removes the files that were not found; how many those were.
    func removeUnseen() throws(FileError) -> Int {
        let removed = try database.run(
            "DELETE FROM files WHERE id NOT IN (SELECT id FROM seen) RETURNING id")
        return removed.count
    }
}
