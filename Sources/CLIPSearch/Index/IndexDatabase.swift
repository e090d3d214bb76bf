internal import CLIP
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
        /// The reason why its content could not be read, as `StoredFailure` writes it.
        var failure: String?
        /// The time of the last change of anything about the file, in nanoseconds since 1970; nil
        /// if an older version wrote the index.
        var changed: Int?
        /// The checksums of its vector and of the rest; nil if it has none, or if an older version
        /// wrote the index.
        var sums: RowSums?
    }

    /// The mark that stands for the path of the file in the reason of a failure: a folder may be
    /// named in other ways later, or be moved.
    static let pathMark = "\u{FFFC}"

    private let database: SQLite
    /// False if an older version wrote the index.
    let hasSums: Bool

    init(path: FilePath, isForWriting: Bool) throws(FileError) {
        guard isForWriting else {
            database = try Self.openForReading(path)
            hasSums = try Self.hasColumn("sums", database)
            return
        }
        database = try SQLite(path: path, isForWriting: true)
        hasSums = true
        try Self.checkSchema(database)
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
                    height INTEGER NOT NULL, failure TEXT, changed INTEGER, sums BLOB)
                """)
            // Version 0.1 had none of these.
            for (name, type) in [("changed", "INTEGER"), ("sums", "BLOB")]
            where try !Self.hasColumn(name, database) {
                try database.run("ALTER TABLE files ADD COLUMN \(name) \(type)")
            }
            for column in ["size", "digest", "row"] {
                try database.run(
                    "CREATE INDEX IF NOT EXISTS files_by_\(column) ON files(\(column))")
            }
        }
        try database.run("CREATE TEMP TABLE seen(id INTEGER PRIMARY KEY)")
    }

    private static func openForReading(_ path: FilePath) throws(FileError) -> SQLite {
        let folder = FilePath(path.bytes.dropLast(path.lastComponent.count))
        _ = try FileStatus(path: path.bytes)
        let log = try? FileStatus(path: path.bytes + "-wal".utf8)
        let hasLog = (log?.size ?? 0) > 0
        let isFixed = !mayWrite(folder.bytes)
        if isFixed && hasLog {
            throw FileError(
                reason: """
                    .clip-index has an unfinished update and is not writable: its owner must run \
                    an update
                    """)
        }
        do throws(FileError) {
            let database = try SQLite(path: path, isForWriting: false, isFixed: isFixed)
            try checkSchema(database)
            return database
        } catch {
            // Readers need room for the marks that they leave, but only if somebody writes.
            let isWritten = isBeingWritten(folder.appending("vectors.f32".utf8).bytes)
            guard !error.isDamage, !isFixed, !hasLog, !isWritten else { throw error }
            let database = try SQLite(path: path, isForWriting: false, isFixed: true)
            try checkSchema(database)
            return database
        }
    }

    /// - Throws: `FileError` if statements would do more, or read other things, than they say.
    private static func checkSchema(_ database: SQLite) throws(FileError) {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'trigger' OR type = 'view'"
        if let planted = try database.run(sql).first {
            throw damage("it has a trigger or a view named \(planted[0].text ?? "")")
        }
    }

    private static func hasColumn(
        _ name: String, _ database: SQLite
    ) throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM pragma_table_info('files') WHERE name = ?"
        return try !database.run(sql, [.text(name)]).isEmpty
    }

    /// False if the process that made the index ended before it stored anything.
    func isBegun() throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'facts'"
        guard try !database.run(sql).isEmpty else { return false }
        return try !database.run("SELECT 1 FROM facts LIMIT 1").isEmpty
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

    /// Writes as much of the log of changes into the database file as readers permit, which are
    /// given 0.2 seconds to end what they read.
    func mergeLogPassively() throws(FileError) {
        for _ in 0..<20 {
            // Whether it was refused, the pages in the log, and those of them that are in the
            // database.
            let state = try database.run("PRAGMA wal_checkpoint(PASSIVE)").first?.map(\.integer)
            guard let state, state.count == 3, state[0] != 0 || state[1] != state[2] else { return }
            pauseBriefly(milliseconds: 10)
        }
    }

    /// Reads the whole database file.
    ///
    /// - Throws: `FileError` if its structure is damaged.
    func checkIntegrity() throws(FileError) {
        let found = try database.run("PRAGMA integrity_check(1)").first?[0].text ?? "no answer"
        if found != "ok" { throw Self.damage("files.sqlite fails SQLite's integrity check") }
    }

    /// The error about content that no version of the program writes.
    static func damage(_ what: String) -> FileError {
        FileError(reason: what, isDamage: true)
    }

    // MARK: facts

    func fact(_ name: String) throws(FileError) -> String? {
        try database.run("SELECT value FROM facts WHERE name = ?", [.text(name)]).first?[0].text
    }

    func setFact(_ name: String, _ value: String) throws(FileError) {
        try database.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", [.text(name), .text(value)])
    }

    /// Stores a checksum of all facts, after a change of some of them.
    func sealFacts() throws(FileError) {
        try setFact("sum", try factSums().computed)
    }

    /// - Throws: `FileError` if the facts do not match their checksum.
    func checkFacts() throws(FileError) {
        let sums = try factSums()
        guard sums.stored == sums.computed else {
            throw Self.damage("its facts do not match their checksum")
        }
    }

    /// The checksum that is stored and the one of the other facts, read by one statement: an update
    /// may commit between two.
    private func factSums() throws(FileError) -> (stored: String?, computed: String) {
        var stored: String?
        var facts = ""
        for row in try database.run("SELECT name, value FROM facts ORDER BY name") {
            if row[0].text == "sum" {
                stored = row[1].text
            } else {
                facts += "\(row[0].text ?? "")=\(row[1].text ?? "")\0"
            }
        }
        return (stored, hexadecimal(sha256(Array(facts.utf8))))
    }

    func removeFact(_ name: String) throws(FileError) {
        try database.run("DELETE FROM facts WHERE name = ?", [.text(name)])
    }

    /// How often rows of files that are gone have been given to others.
    func generation() throws(FileError) -> Int {
        guard let text = try fact("generation") else { return 0 }
        guard let generation = Int(text), 0..<(1 << 62) ~= generation else {
            throw Self.damage("expected a count of changes, found \(text.prefix(40))")
        }
        return generation
    }

    // MARK: files

    private var columns: String {
        "id, path, size, modified, digest, row, width, height, failure"
            + (hasSums ? ", changed, sums" : ", NULL, NULL")
    }

    private func files(
        where condition: String, _ values: [SQLite.Value]
    ) throws(FileError) -> [(id: Int, file: File)] {
        var files: [(id: Int, file: File)] = []
        let rows = try database.run("SELECT \(columns) FROM files WHERE \(condition)", values)
        files.reserveCapacity(rows.count)
        for row in rows { files.append((row[0].integer ?? 0, try File(row))) }
        return files
    }

    func file(at path: FilePath) throws(FileError) -> (id: Int, file: File)? {
        try files(where: "path = ?", [.blob(path.bytes)]).first
    }

    /// Returns the files at or below a path.
    func idsOfFiles(below path: FilePath) throws(FileError) -> [Int] {
        // All paths that begin with the path and a slash lie before the path and a 0, which follows
        // the slash.
        try database.run(
            "SELECT id FROM files WHERE path = ? OR path > ? AND path < ?",
            [
                .blob(path.bytes), .blob(path.bytes + "/".utf8), .blob(path.bytes + "0".utf8),
            ]
        ).compactMap { $0[0].integer }
    }

    /// Whether a file of so many bytes has a vector.
    func hasVector(ofSize size: Int) throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM files WHERE size = ? AND row IS NOT NULL LIMIT 1"
        return try !database.run(sql, [.integer(size)]).isEmpty
    }

    /// Returns the files of a content that have vectors and are not marked as seen, by path.
    func unseenFiles(of digest: [UInt8]) throws(FileError) -> [(id: Int, file: File)] {
        try files(
            where: """
                digest = ? AND row IS NOT NULL AND id NOT IN (SELECT id FROM seen) ORDER BY path
                """, [.blob(digest)])
    }

    func files(atRow row: Int) throws(FileError) -> [File] {
        try files(where: "row = ? ORDER BY path", [.integer(row)]).map(\.file)
    }

    /// Returns the files of a folder that could not be read, by path, with the reasons.
    func failures(
        in folder: FilePath
    ) throws(FileError) -> [(path: FilePath, full: FilePath, reason: String, limit: ImageLimit?)] {
        try files(where: "failure IS NOT NULL ORDER BY path", []).map { _, file in
            let full = folder.appending(file.path.bytes)
            let failure = StoredFailure(text: file.failure ?? "")
            let parts = failure.reason.split(
                separator: Self.pathMark, maxSplits: 1, omittingEmptySubsequences: false)
            let reason = parts.joined(separator: full.description)
            return (file.path, full, reason, failure.exceededLimit)
        }
    }

    /// Returns up to 10,000 files that have vectors, those of the least ids above `id`.
    func filesWithVectors(after id: Int) throws(FileError) -> [(id: Int, file: File)] {
        try files(where: "row IS NOT NULL AND id > ? ORDER BY id LIMIT 10000", [.integer(id)])
    }

    /// All that have vectors, by path.
    func filesWithVectors() throws(FileError) -> [File] {
        try files(where: "row IS NOT NULL ORDER BY path", []).map(\.file)
    }

    /// Lets the next update try again all files that could not be read.
    func forgetDigestsOfFailures() throws(FileError) {
        try database.run("UPDATE files SET digest = NULL WHERE failure IS NOT NULL")
    }

    /// Returns the files that have a vector without checksums, as older versions wrote them.
    func filesWithoutSums() throws(FileError) -> [(id: Int, file: File)] {
        try files(where: "row IS NOT NULL AND sums IS NULL", [])
    }

    func setSums(_ sums: RowSums, id: Int) throws(FileError) {
        try database.run(
            "UPDATE files SET sums = ? WHERE id = ?", [.blob(sums.bytes), .integer(id)])
    }

    /// Which of the first rows no file has, in falling order.
    func freeRows(of count: Int) throws(FileError) -> [Int] {
        var isFree = [Bool](repeating: true, count: count)
        for row in try database.run("SELECT row FROM files WHERE row IS NOT NULL") {
            if let row = row[0].integer, row >= 0, row < count { isFree[row] = false }
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
            file.changed.map { .integer($0) } ?? .null,
            file.sums.map { .blob($0.bytes) } ?? .null,
        ]
        if let id {
            try database.run(
                """
                UPDATE files SET path = ?, size = ?, modified = ?, digest = ?, row = ?, width = ?,
                    height = ?, failure = ?, changed = ?, sums = ? WHERE id = ?
                """, values + [.integer(id)])
            try markSeen([id])
        } else {
            try database.run(
                """
                INSERT INTO files(
                    path, size, modified, digest, row, width, height, failure, changed, sums)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """, values)
            try database.run("INSERT INTO seen VALUES (last_insert_rowid())")
        }
    }

    // MARK: what was found in the folder

    func markSeen(_ ids: [Int]) throws(FileError) {
        for id in ids { try database.run("INSERT OR IGNORE INTO seen VALUES (?)", [.integer(id)]) }
    }

    /// Removes the files that were not found, and returns the number of those whose status was
    /// known once.
    func removeUnseen() throws(FileError) -> Int {
        let removed = try database.run(
            "DELETE FROM files WHERE id NOT IN (SELECT id FROM seen) RETURNING size")
        return removed.count { ($0[0].integer ?? -1) >= 0 }
    }
}
