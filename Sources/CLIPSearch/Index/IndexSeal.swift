internal import Files
internal import CLIP
internal import Tensors

/// The seal of an index: a file `seal` with the sizes and modification times that the other files
/// had after the last update.
///
/// While the files still have these sizes and times, the seal is intact: it is assumed that no
/// other program has written the files. Otherwise the whole index is compared with its checksums
/// when it is opened.
struct IndexSeal {
    private static let name = Array("seal".utf8)

    /// The folder of the index.
    private let place: FilePath
    /// The name of the database file.
    private let database: String
    /// The name of SQLite's write-ahead log, which exists while a process has the database open.
    private var logName: String { "\(database)-wal" }
    private let lines: Set<Substring>

    /// Reads the seal of an index.
    ///
    /// If there is none, `matches` returns false for every file.
    init(_ place: FilePath, database: String = IndexDatabase.fileName) {
        (self.place, self.database) = (place, database)
        let bytes = try? readFile(path: place.appending(Self.name).bytes, limit: 4096)
        lines = Set(String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n"))
    }

    /// True if the database and the vectors have the sizes and times that the seal states, and also
    /// SQLite's write-ahead log, unless it is empty or missing.
    var isIntact: Bool {
        let log = try? FileStatus(path: place.appending(logName.utf8).bytes)
        let hasOtherLog = log.map { $0.size > 0 && !matches(logName) } ?? false
        return !hasOtherLog && matches(database) && matches("vectors.f32")
    }

    /// Returns true if a file has the size and the modification time that the seal states.
    func matches(_ file: String) -> Bool {
        Self.line(file, place).map { lines.contains($0[...]) } ?? false
    }

    private static func line(_ file: String, _ place: FilePath) -> String? {
        (try? FileStatus(path: place.appending(file.utf8).bytes)).map {
            "\(file) \($0.size) \($0.modified)"
        }
    }

    /// Writes the seal of an index; the caller must have locked the index.
    static func write(
        _ place: FilePath, database: String = IndexDatabase.fileName
    ) throws(FileError) {
        let files = [database, "\(database)-wal", "vectors.f32", "vectors.i8"]
        let lines = files.compactMap { line($0, place) }
        let path = place.appending(name).bytes
        let text = Array(lines.map { $0 + "\n" }.joined().utf8)
        // A link would lead the write elsewhere.
        if let status = try? FileStatus(path: path, followingLinks: false), !status.isRegular {
            try removeFile(path)
        }
        guard (try? readFile(path: path, limit: 4096)) != text else { return }
        let file = try GrowingFile(path: path)
        try file.truncate(to: 0)
        try file.append(text)
        try file.finish()
    }
}
