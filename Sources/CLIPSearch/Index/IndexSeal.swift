internal import Files
internal import CLIP
internal import Tensors

/// The sizes and times that the files of an index had when an update ended.
///
/// As long as they are the same, nothing but this program has written the files, and they are
/// trusted. Otherwise whoever opens the index reads all of it and compares the checksums.
struct IndexSeal {
    private static let name = Array("seal".utf8)
    private static let files = ["files.sqlite", log, "vectors.f32", "vectors.i8"]
    /// The log of changes, which is there as long as somebody has the database open.
    private static let log = "files.sqlite-wal"

    private let place: FilePath
    private let lines: Set<Substring>

    /// Reads the seal of an index; none of its files matches if there is none.
    init(_ place: FilePath) {
        self.place = place
        let bytes = try? readFile(path: place.appending(Self.name).bytes, limit: 4096)
        lines = Set(String(decoding: bytes ?? [], as: UTF8.self).split(separator: "\n"))
    }

    /// True if the database and the vectors are as an update left them.
    var isIntact: Bool {
        let log = try? FileStatus(path: place.appending(Self.log.utf8).bytes)
        let hasOtherLog = log.map { $0.size > 0 && !matches(Self.log) } ?? false
        return !hasOtherLog && matches("files.sqlite") && matches("vectors.f32")
    }

    /// True if a file is as an update left it.
    func matches(_ file: String) -> Bool {
        Self.line(file, place).map { lines.contains($0[...]) } ?? false
    }

    private static func line(_ file: String, _ place: FilePath) -> String? {
        (try? FileStatus(path: place.appending(file.utf8).bytes)).map {
            "\(file) \($0.size) \($0.modified)"
        }
    }

    /// Seals an index, whose lock the caller holds.
    static func write(_ place: FilePath) throws(FileError) {
        let lines = files.compactMap { line($0, place) }
        let path = place.appending(name).bytes
        let text = Array(lines.map { $0 + "\n" }.joined().utf8)
        // Written over a link, it would be written elsewhere.
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

extension IndexDatabase {
    /// Compares everything that the index holds with its checksums.
    ///
    /// - Throws: `FileError` if something is damaged.
    func verify(_ vectors: MappedVectors) throws(FileError) {
        try checkIntegrity()
        if let count = try fact("count"), try count != "\(self.count())" {
            throw Self.damage("expected \(count) images, found \(try self.count())")
        }
        var last = Int.min
        while true {
            let files = try filesWithVectors(after: last)
            guard let end = files.last else { return }
            last = end.id
            for (_, file) in files {
                guard let row = file.row, row < vectors.count else {
                    throw Self.damage("the vector of \(file.path) is missing")
                }
                guard let sums = file.sums else { continue }
                guard vectors.sum(ofRow: row) == sums.vector else {
                    throw Self.damage("the vector of \(file.path) does not match its checksum")
                }
            }
        }
    }
}

extension MappedVectors {
    /// The checksum of a row, as `RowSums` has it.
    func sum(ofRow row: Int) -> [UInt8] { Array(sha256(ofRow: row).prefix(RowSums.length)) }
}
