internal import Files
internal import CSQLite
internal import Synchronization
internal import Tensors

/// Returns the version of SQLite, such as "3.40.1".
package func sqliteVersion() -> String { String(cString: sqlite3_libversion()) }

/// A connection to an SQLite database, which any number of threads may use at once.
///
/// Each statement runs alone, from its first row to its last.
///
/// `@unchecked Sendable`: the connection and its prepared statements are used only while `lock` is
/// held.
final class SQLite: @unchecked Sendable {
    /// The value of a column or a parameter.
    enum Value {
        case null
        case integer(Int)
        case text(String)
        case blob([UInt8])

        var integer: Int? { if case .integer(let value) = self { value } else { nil } }
        var text: String? { if case .text(let value) = self { value } else { nil } }
        var blob: [UInt8]? { if case .blob(let value) = self { value } else { nil } }
        var isNull: Bool { if case .null = self { true } else { false } }
    }

    private let lock = Mutex(())
    private let connection: OpaquePointer
    private var statements: [String: OpaquePointer] = [:]

    /// Opens a database.
    ///
    /// - Parameters:
    ///   - path: The path of the database file.
    ///   - isForWriting: True to create the file if it is missing. If false, the caller must not
    ///     change the database.
    ///   - isFixed: True if no process writes the database while it is open. SQLite then creates no
    ///     lock files, which would need a writable folder and free space.
    /// - Throws: `FileError`.
    init(path: FilePath, isForWriting: Bool, isFixed: Bool = false) throws(FileError) {
        // If one of these files were replaced by a link, SQLite would write to the link's target.
        for suffix in ["", "-wal", "-shm", "-journal"] {
            let file = path.bytes + suffix.utf8
            if let status = try? FileStatus(path: file, followingLinks: false), status.isLink {
                throw FileError(
                    reason: """
                        \(FilePath(file)) is a symbolic link, which is not followed
                        """)
            }
        }
        var opened: OpaquePointer?
        // SQLite takes a path that begins with "file:" for a URI.
        let isRelative = path.bytes.first != UInt8(ascii: "/")
        let name =
            isFixed
            ? Self.address(ofFixed: path) : Array((isRelative ? "./" : "").utf8) + path.bytes
        let flags =
            isForWriting
            ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            : isFixed ? SQLITE_OPEN_READONLY | SQLITE_OPEN_URI : SQLITE_OPEN_READWRITE
        let status = withPath(name) { sqlite3_open_v2($0, &opened, flags, nil) }
        guard let opened else { throw FileError(reason: "out of memory") }
        guard status == SQLITE_OK else {
            let failure = Self.failure(of: opened)
            sqlite3_close_v2(opened)
            throw failure
        }
        connection = opened
        sqlite3_busy_timeout(opened, 10_000)
    }

    /// Returns the URI `file:PATH?immutable=1`, for a file that does not change.
    private static func address(ofFixed path: FilePath) -> [UInt8] {
        let plain = Array("/._-".utf8)
        let name = path.bytes.flatMap { byte -> [UInt8] in
            let isPlain = plain.contains(byte) || UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte
            let hex = String(byte, radix: 16)
            return isPlain ? [byte] : Array("%\(byte < 16 ? "0" : "")\(hex)".utf8)
        }
        return "file:".utf8 + name + "?immutable=1".utf8
    }

    deinit {
        for statement in statements.values { sqlite3_finalize(statement) }
        sqlite3_close_v2(connection)
    }

    /// Runs a statement and returns its rows.
    @discardableResult
    func run(_ sql: String, _ values: [Value] = []) throws(FileError) -> [[Value]] {
        try lock.withLock { _ throws(FileError) in try runLocked(sql, values) }
    }

    private func runLocked(_ sql: String, _ values: [Value]) throws(FileError) -> [[Value]] {
        let statement = try prepared(sql)
        defer {
            sqlite3_reset(statement)
            sqlite3_clear_bindings(statement)
        }
        for (index, value) in values.enumerated() { bind(value, at: Int32(index + 1), statement) }
        var rows: [[Value]] = []
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW:
                rows.append((0..<sqlite3_column_count(statement)).map { column($0, statement) })
            case SQLITE_DONE: return rows
            default: throw failure
            }
        }
    }

    /// Runs `body` in a transaction; one thread at a time may do so.
    func transaction(_ body: () throws(FileError) -> Void) throws(FileError) {
        try run("BEGIN IMMEDIATE")
        do throws(FileError) {
            try body()
            try run("COMMIT")
        } catch {
            _ = try? run("ROLLBACK")
            throw error
        }
    }

    private func prepared(_ sql: String) throws(FileError) -> OpaquePointer {
        if let statement = statements[sql] { return statement }
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(connection, sql, -1, &statement, nil) == SQLITE_OK, let statement
        else { throw failure }
        statements[sql] = statement
        return statement
    }

    private func bind(_ value: Value, at index: Int32, _ statement: OpaquePointer) {
        // SQLITE_TRANSIENT: SQLite copies the value.
        let copied = unsafeBitCast(-1, to: sqlite3_destructor_type.self)
        switch value {
        case .null: sqlite3_bind_null(statement, index)
        case .integer(let value): sqlite3_bind_int64(statement, index, Int64(value))
        case .text(let value): sqlite3_bind_text(statement, index, value, -1, copied)
        // A blob with a null pointer would become NULL.
        case .blob(let value) where value.isEmpty: sqlite3_bind_zeroblob(statement, index, 0)
        case .blob(let value):
            _ = value.withUnsafeBytes {
                sqlite3_bind_blob64(statement, index, $0.baseAddress, UInt64($0.count), copied)
            }
        }
    }

    private func column(_ index: Int32, _ statement: OpaquePointer) -> Value {
        switch sqlite3_column_type(statement, index) {
        case SQLITE_INTEGER: return .integer(Int(sqlite3_column_int64(statement, index)))
        case SQLITE_TEXT:
            return .text(sqlite3_column_text(statement, index).map { String(cString: $0) } ?? "")
        case SQLITE_BLOB:
            let count = Int(sqlite3_column_bytes(statement, index))
            return .blob(
                Array(
                    UnsafeRawBufferPointer(
                        start: sqlite3_column_blob(statement, index), count: count)))
        default: return .null
        }
    }

    private var failure: FileError {
        Self.failure(of: connection)
    }

    private static func failure(of connection: OpaquePointer) -> FileError {
        let code = sqlite3_errcode(connection) & 0xFF
        return FileError(
            reason: String(cString: sqlite3_errmsg(connection)),
            isOutOfSpace: code == SQLITE_FULL,
            isDamage: code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
    }
}
