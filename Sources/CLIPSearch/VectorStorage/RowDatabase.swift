internal import Files
internal import Tensors

/// An entry of an index, which may have a row in the file of vectors.
protocol RowEntry: Sendable {
    /// The bytes of the entry's name, by which results with equal cosines are ordered.
    var name: [UInt8] { get }
    /// The row of the entry's vector; nil if the entry has none.
    var row: Int? { get }
    /// The checksums of the entry's vector and of its other fields; nil if none are stored.
    var sums: RowSums? { get }
}

/// The SQLite database of an index: the entries, and the row of each entry's vector in
/// `vectors.f32`.
///
/// The table `facts` contains named values, such as the number of rows, and a checksum of them.
protocol RowDatabase: Sendable {
    associatedtype Entry: RowEntry

    /// The name of the database file in the folder of the index.
    static var fileName: String { get }
    /// The name of the table of entries, which has a column `row`.
    static var table: String { get }

    var database: SQLite { get }

    /// Opens the database; if `isForWriting`, a missing one is created.
    init(path: FilePath, isForWriting: Bool) throws(FileError)

    func entries(atRow row: Int) throws(FileError) -> [Entry]

    /// Returns the next entries that have a vector, each with its key in the table: at most 10,000,
    /// with keys above `number`, in ascending order.
    func entries(after number: Int) throws(FileError) -> [(number: Int, entry: Entry)]
}

// MARK: opening

extension RowDatabase {
    /// Returns true if a folder contains the database file of an index, even if it cannot be read.
    static func exists(in place: FilePath) -> Bool {
        do throws(FileError) {
            _ = try FileStatus(path: place.appending(fileName.utf8).bytes)
            return true
        } catch {
            return !error.leadsNowhere
        }
    }

    /// Opens a database for writing, and creates the table `facts` if it is missing.
    ///
    /// - Parameters:
    ///   - path: The path of the database file.
    ///   - makeTables: A closure that creates the other tables that are missing.
    /// - Returns: The open database.
    /// - Throws: `FileError`.
    static func openForWriting(
        _ path: FilePath, _ makeTables: (SQLite) throws(FileError) -> Void
    ) throws(FileError) -> SQLite {
        let database = try SQLite(path: path, isForWriting: true)
        try checkSchema(database)
        // In this mode, readers do not wait for the writer.
        try database.run("PRAGMA journal_mode = WAL")
        // A commit is on the disk when it returns, whatever the default of the library.
        try database.run("PRAGMA synchronous = FULL")
        try database.transaction { () throws(FileError) in
            try database.run(
                """
                CREATE TABLE IF NOT EXISTS facts(
                    name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL) WITHOUT ROWID
                """)
            try makeTables(database)
        }
        return database
    }

    static func openForReading(_ path: FilePath) throws(FileError) -> SQLite {
        let folder = FilePath(path.bytes.dropLast(path.lastComponent.count))
        _ = try FileStatus(path: path.bytes)
        let log = try? FileStatus(path: path.bytes + "-wal".utf8)
        let hasLog = (log?.size ?? 0) > 0
        let isFixed = errorAgainstWriting(folder.bytes) != nil
        if isFixed && hasLog {
            throw FileError(
                reason: """
                    \(folder) has an unfinished update and is not writable: run the update as the \
                    owner of the folder
                    """)
        }
        do throws(FileError) {
            let database = try SQLite(path: path, isForWriting: false, isFixed: isFixed)
            try checkSchema(database)
            return database
        } catch {
            // A reader of SQLite writes a file of locks, for which the disk may have no room. If no
            // process writes the index, the locks are not needed.
            let isWritten = isBeingWritten(folder.appending("vectors.f32".utf8).bytes)
            guard !error.isDamage, !isFixed, !hasLog, !isWritten else { throw error }
            let database = try SQLite(path: path, isForWriting: false, isFixed: true)
            try checkSchema(database)
            return database
        }
    }

    /// Throws if the database has triggers or views, which could change what a statement reads or
    /// writes.
    private static func checkSchema(_ database: SQLite) throws(FileError) {
        let sql = "SELECT name FROM sqlite_master WHERE type = 'trigger' OR type = 'view'"
        if let planted = try database.run(sql).first {
            throw damage("it has a trigger or a view named \(planted[0].text ?? "")")
        }
    }

    /// Returns false if nothing has been stored in the index yet, for example because the process
    /// that created it ended early.
    func isBegun() throws(FileError) -> Bool {
        let sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'facts'"
        guard try !database.run(sql).isEmpty else { return false }
        return try !database.run("SELECT 1 FROM facts LIMIT 1").isEmpty
    }

    /// Returns the error for a damaged index, with a reason.
    static func damage(_ what: String) -> FileError {
        FileError(reason: what, isDamage: true)
    }
}

// MARK: transactions

extension RowDatabase {
    func transaction(_ body: () throws(FileError) -> Void) throws(FileError) {
        try database.transaction(body)
    }

    /// Merges the write-ahead log into the database file.
    func mergeLog() throws(FileError) {
        try database.run("PRAGMA wal_checkpoint(TRUNCATE)")
    }

    /// Merges as much of the write-ahead log into the database file as readers permit, and waits up
    /// to 0.2 seconds for them.
    func mergeLogPassively() throws(FileError) {
        for _ in 0..<20 {
            // The columns of the result: 1 if the merge was blocked, else 0; the number of pages in
            // the log; the number of these that are in the database.
            let state = try database.run("PRAGMA wal_checkpoint(PASSIVE)").first?.map(\.integer)
            guard let state, state.count == 3, state[0] != 0 || state[1] != state[2] else { return }
            pauseBriefly(milliseconds: 10)
        }
    }
}

// MARK: facts

extension RowDatabase {
    func fact(_ name: String) throws(FileError) -> String? {
        try database.run("SELECT value FROM facts WHERE name = ?", [.text(name)]).first?[0].text
    }

    func setFact(_ name: String, _ value: String) throws(FileError) {
        try database.run("INSERT OR REPLACE INTO facts VALUES (?, ?)", [.text(name), .text(value)])
    }

    func removeFact(_ name: String) throws(FileError) {
        try database.run("DELETE FROM facts WHERE name = ?", [.text(name)])
    }

    /// Updates the checksum of the table `facts`, after other values in it have changed.
    func sealFacts() throws(FileError) {
        try setFact("sum", try factSums().computed)
    }

    /// Compares the table `facts` with its checksum.
    ///
    /// - Throws: `FileError` if they do not match.
    func checkFacts() throws(FileError) {
        let sums = try factSums()
        guard sums.stored == sums.computed else {
            throw Self.damage("the table facts does not match its checksum")
        }
    }

    /// Returns the stored checksum of the table `facts`, and the one computed from its other
    /// values.
    ///
    /// One statement reads both, because an update may commit between two.
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

    /// Returns the number of commits that overwrote rows; only rows that no entry refers to are
    /// overwritten.
    func generation() throws(FileError) -> Int {
        guard let text = try fact("generation") else { return 0 }
        guard let generation = Int(text), 0..<(1 << 62) ~= generation else {
            throw Self.damage("expected a number of commits, found \(text.prefix(40))")
        }
        return generation
    }
}

// MARK: rows

extension RowDatabase {
    /// Returns the number of entries that have vectors.
    func count() throws(FileError) -> Int {
        try database.run("SELECT count(row) FROM \(Self.table)").first?[0].integer ?? 0
    }

    /// Returns the rows below `count` that no entry refers to, in descending order.
    func freeRows(of count: Int) throws(FileError) -> [Int] {
        var isFree = [Bool](repeating: true, count: count)
        for row in try database.run("SELECT row FROM \(Self.table) WHERE row IS NOT NULL") {
            if let row = row[0].integer, row >= 0, row < count { isFree[row] = false }
        }
        return isFree.indices.reversed().filter { isFree[$0] }
    }

    /// Maps the vectors of the index.
    ///
    /// - Throws: `FileError`, also if the file has fewer vectors than the database states.
    func mappedVectors(_ dimension: Int, in place: FilePath) throws(FileError) -> MappedVectors {
        let rows = try fact("rows").flatMap { Int($0) } ?? 0
        guard 1...VectorIndex.largestDimension ~= dimension, rows >= 0 else {
            throw Self.damage("impossible shape: \(rows) vectors of \(dimension) dimensions")
        }
        let file: MappedFile
        do {
            file = try MappedFile(path: place.appending("vectors.f32".utf8).bytes)
        } catch {
            guard !error.isMissing else { throw Self.damage("vectors.f32 is missing") }
            throw FileError(reason: "vectors.f32: \(error.reason)", code: error.code)
        }
        guard let vectors = MappedVectors(file, dimension: dimension, count: rows) else {
            throw Self.damage("vectors.f32 is shorter than expected")
        }
        return vectors
    }

    /// Runs SQLite's integrity check, and compares all entries and their vectors with their
    /// checksums.
    ///
    /// - Throws: `FileError` if something is damaged.
    func verify(_ vectors: MappedVectors) throws(FileError) {
        let found = try database.run("PRAGMA integrity_check(1)").first?[0].text ?? "no answer"
        if found != "ok" { throw Self.damage("\(Self.fileName) fails SQLite's integrity check") }
        if let count = try fact("count"), try count != "\(self.count())" {
            throw Self.damage("expected \(count) vectors, found \(try self.count())")
        }
        var last = Int.min
        while true {
            let entries = try entries(after: last)
            guard let end = entries.last else { return }
            last = end.number
            for (_, entry) in entries {
                guard let row = entry.row, row < vectors.count else {
                    throw Self.damage("the vector of \(FilePath(entry.name)) is missing")
                }
                guard let sums = entry.sums else { continue }
                guard vectors.sum(ofRow: row) == sums.vector else { throw Self.otherBytes(entry) }
            }
        }
    }

    static func otherBytes(_ entry: Entry) -> FileError {
        damage("the vector of \(FilePath(entry.name)) does not match its checksum")
    }
}

extension MappedVectors {
    /// Returns the checksum of a row, in the form of `RowSums.vector`.
    func sum(ofRow row: Int) -> [UInt8] { Array(sha256(ofRow: row).prefix(RowSums.length)) }
}
