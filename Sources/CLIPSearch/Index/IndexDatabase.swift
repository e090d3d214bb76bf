internal import Files
internal import CLIP
internal import Tensors

/// The SQLite database of a `FolderIndex`: the files, and the row of each file's vector.
struct IndexDatabase: RowDatabase {
    static let fileName = "files.sqlite"
    static let table = "files"

    /// The entry of a file in the folder, whether it could be read or not.
    struct File: RowEntry, Equatable {
        /// The path relative to the indexed folder.
        var path: FilePath
        /// The size of the file in bytes when it was read; -1 if unknown.
        var size: Int
        /// The modification time when it was read, in nanoseconds since 1970; -1 if the next update
        /// is to read the file again.
        var modified: Int
        /// The SHA-256 of the content; nil if the content is unknown or is to be read again.
        var digest: [UInt8]?
        /// The row of its vector; nil if it has none.
        var row: Int?
        /// The width and the height of the image, in pixels.
        var width = 0
        var height = 0
        /// The reason why the file could not be read, as `StoredFailure.text`; nil if it could.
        var failure: String?
        /// The status change time (ctime), in nanoseconds since 1970; nil if unknown, as in indexes
        /// of older versions.
        var changed: Int?
        /// The checksums of the file's vector and of the other columns; nil if it has no vector, or
        /// if an older version wrote the index.
        var sums: RowSums?

        var name: [UInt8] { path.bytes }
    }

    /// The placeholder for the file's path in a stored failure; the folder may be moved or renamed
    /// later.
    static let pathMark = "\u{FFFC}"

    let database: SQLite
    /// True if entries may have checksums; false if an older version wrote the index.
    let hasSums: Bool

    init(path: FilePath, isForWriting: Bool) throws(FileError) {
        guard isForWriting else {
            database = try Self.openForReading(path)
            hasSums = try Self.hasColumn("sums", database)
            return
        }
        hasSums = true
        database = try Self.openForWriting(path) { database throws(FileError) in
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

    private static func hasColumn(
        _ name: String, _ database: SQLite
    ) throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM pragma_table_info('files') WHERE name = ?"
        return try !database.run(sql, [.text(name)]).isEmpty
    }

    /// Deletes all entries, and all named values in the table `facts`.
    func clear() throws(FileError) {
        try database.run("DELETE FROM files")
        try database.run("DELETE FROM facts")
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

    /// Returns the ids of the files at or below a path.
    func idsOfFiles(below path: FilePath) throws(FileError) -> [Int] {
        try database.run(
            "SELECT id FROM files WHERE path = ? OR path > ? AND path < ?", Self.range(below: path)
        ).compactMap { $0[0].integer }
    }

    /// Returns true if a file at or below a path has a vector.
    func hasVectors(below path: FilePath) throws(FileError) -> Bool {
        let sql = """
            SELECT 1 FROM files WHERE (path = ? OR path > ? AND path < ?) AND row IS NOT NULL
            LIMIT 1
            """
        return try !database.run(sql, Self.range(below: path)).isEmpty
    }

    /// Returns the parameters of `path = ? OR path > ? AND path < ?` for a path and those below it.
    static func range(below path: FilePath) -> [SQLite.Value] {
        // Paths that begin with `path` and "/" sort before `path` and "0", the character after "/".
        [.blob(path.bytes), .blob(path.bytes + "/".utf8), .blob(path.bytes + "0".utf8)]
    }

    /// Returns true if a file of this size has a vector.
    func hasVector(ofSize size: Int) throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM files WHERE size = ? AND row IS NOT NULL LIMIT 1"
        return try !database.run(sql, [.integer(size)]).isEmpty
    }

    /// Returns the files with this digest that have vectors and that this update has not found yet,
    /// ordered by path.
    func unseenFiles(of digest: [UInt8]) throws(FileError) -> [(id: Int, file: File)] {
        try files(
            where: """
                digest = ? AND row IS NOT NULL AND id NOT IN (SELECT id FROM seen) ORDER BY path
                """, [.blob(digest)])
    }

    func entries(atRow row: Int) throws(FileError) -> [File] {
        try files(where: "row = ? ORDER BY path", [.integer(row)]).map(\.file)
    }

    /// Returns the files of a folder that could not be read, with the reasons, ordered by path.
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

    func entries(after number: Int) throws(FileError) -> [(number: Int, entry: File)] {
        let rows = "row IS NOT NULL AND id > ? ORDER BY id LIMIT 10000"
        return try files(where: rows, [.integer(number)]).map { ($0.id, $0.file) }
    }

    /// Returns the files that have vectors, ordered by path.
    func filesWithVectors() throws(FileError) -> [File] {
        try files(where: "row IS NOT NULL ORDER BY path", []).map(\.file)
    }

    /// Returns the files with this digest that have vectors, ordered by path.
    func filesWithVectors(ofDigest digest: [UInt8]) throws(FileError) -> [File] {
        let condition = "digest = ? AND row IS NOT NULL ORDER BY path"
        return try files(where: condition, [.blob(digest)]).map(\.file)
    }

    /// Makes the next scan of the folder read all unreadable files again.
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

    /// Stores the entry of a file, replacing the entry `id` if given, and marks it as found by this
    /// update.
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

    // MARK: files seen in the folder

    func markSeen(_ ids: [Int]) throws(FileError) {
        for id in ids { try database.run("INSERT OR IGNORE INTO seen VALUES (?)", [.integer(id)]) }
    }

    /// The entry of a file that an update has not found.
    struct Removed {
        let path: FilePath
        /// True if the size of the file is known, because it was read.
        let wasRead: Bool
    }

    /// Removes the entries of files that this update has not found, and returns them.
    func removeUnseen() throws(FileError) -> [Removed] {
        try database.run(
            "DELETE FROM files WHERE id NOT IN (SELECT id FROM seen) RETURNING path, size"
        ).map { Removed(path: FilePath($0[0].blob ?? []), wasRead: ($0[1].integer ?? -1) >= 0) }
    }
}
