internal import Files
internal import Tensors

/// The checksums of a row of an index, each the first 8 bytes of a SHA-256.
///
/// They detect changes that other programs, or faults of the disk, made to the files of the index.
struct RowSums: Sendable, Equatable {
    /// The checksum of the bytes of the vector.
    let vector: [UInt8]
    /// The checksum of `vector` and of the entry: the file's path, size, digest, width, height and
    /// row, or an id and its row.
    let file: [UInt8]

    static let length = 8

    var bytes: [UInt8] { vector + file }

    /// Parses the checksums that the property `bytes` returned; nil if the length is wrong.
    init?(_ bytes: [UInt8]) {
        guard bytes.count == 2 * Self.length else { return nil }
        vector = Array(bytes[..<Self.length])
        file = Array(bytes[Self.length...])
    }

    /// Computes the checksums of a file and of its vector, which is given as the bytes of its row.
    init(_ file: IndexDatabase.File, vector: [UInt8]) {
        self.init(file, vectorSum: Self.sum(vector))
    }

    init(_ file: IndexDatabase.File, vectorSum: [UInt8]) {
        vector = vectorSum
        self.file = Self.sum(
            Array("\(file.size) \(file.width) \(file.height) \(file.row ?? -1) ".utf8)
                + (file.digest ?? []) + vectorSum + file.path.bytes)
    }

    /// Computes the checksums of an id of a `VectorIndex` and of its vector.
    init(id: [UInt8], row: Int, vectorSum: [UInt8]) {
        vector = vectorSum
        file = Self.sum(Array("\(row) ".utf8) + vectorSum + id)
    }

    static func sum(_ bytes: [UInt8]) -> [UInt8] { Array(sha256(bytes).prefix(length)) }
}

extension IndexDatabase.File {
    /// Reads and validates a row of the table of files.
    ///
    /// An index may have come with the images, so its content is not trusted.
    ///
    /// - Throws: `FileError` if no version of the program writes such a row.
    init(_ row: [SQLite.Value]) throws(FileError) {
        guard let path = row[1].blob, Self.isSafe(path) else {
            throw IndexDatabase.damage(
                "expected a path below the folder, found \(Self.shown(row[1]))")
        }
        self.init(path: FilePath(path), size: -1, modified: 0)
        guard let size = row[2].integer, size >= -1, let modified = row[3].integer,
            let width = row[6].integer, let height = row[7].integer,
            0...Self.longestSide ~= width, 0...Self.longestSide ~= height
        else { throw IndexDatabase.damage("the size or time of \(self.path) is invalid") }
        (self.size, self.modified, self.width, self.height) = (size, modified, width, height)
        digest = row[4].blob
        guard digest.map({ $0.count == 32 }) ?? row[4].isNull else {
            throw IndexDatabase.damage("the digest of \(self.path) is not a SHA-256")
        }
        self.row = row[5].integer
        // A row beyond this limit would be past the end of the largest possible file.
        guard self.row.map({ 0..<(1 << 48) ~= $0 }) ?? row[5].isNull else {
            throw IndexDatabase.damage(
                "the row number of the vector of \(self.path) is invalid: \(Self.shown(row[5]))")
        }
        failure = row[8].text
        changed = row[9].integer
        sums = row[10].blob.flatMap(RowSums.init)
        guard sums != nil || row[10].isNull else {
            throw IndexDatabase.damage("the checksums of \(self.path) are malformed")
        }
        if let sums, self.row != nil, RowSums(self, vectorSum: sums.vector) != sums {
            throw IndexDatabase.damage("the entry of \(self.path) does not match its checksum")
        }
    }

    private static let longestSide = Int(Int32.max)

    /// Returns true if a relative path stays inside the folder to which it is appended.
    private static func isSafe(_ path: [UInt8]) -> Bool {
        (try? OpenFolder.components(of: path)) != nil
    }

    private static func shown(_ value: SQLite.Value) -> String {
        switch value {
        case .null: "nothing"
        case .integer(let value): "\(value)"
        case .text(let text): "\"\(text.prefix(200))\""
        case .blob(let bytes): "\"\(FilePath(bytes.prefix(200)))\""
        }
    }
}
