internal import Files
internal import Tensors

/// A file of rows: of JSON Lines, or of vectors with its names.
final class EmbeddingPart {
    private let names: GrowingFile
    private let vectors: GrowingFile?
    /// The checksums of the rows, as long as the job is not finished.
    private let sums: GrowingFile
    private let dimension: Int
    private(set) var rows = 0

    /// As long as the header of any number of rows.
    static let headerCount = 128

    /// - Parameter isResumed: whether what is there is of the same job.
    init(
        _ path: FilePath, hasVectors: Bool, _ dimension: Int, isResumed: Bool
    ) throws(FileError) {
        self.dimension = dimension
        guard hasVectors else {
            names = try GrowingFile(path: path.bytes)
            vectors = nil
            sums = try GrowingFile(path: Self.sums(path))
            return
        }
        let names = Self.names(path).bytes
        let isBegun = GrowingFile.isBegun(path: path.bytes)
        vectors = try GrowingFile(path: path.bytes)  // from here on nobody else writes
        if isResumed && isBegun && !GrowingFile.isBegun(path: names) {
            // `finish` had come half way.
            try? renameFile(names, to: names + ".partial".utf8)
        }
        self.names = try GrowingFile(path: names)
        sums = try GrowingFile(path: Self.sums(path))
        if let vectors, vectors.count < Self.headerCount { try clear() }
    }

    /// Drops everything that is there.
    func clear() throws(FileError) {
        try names.truncate(to: 0)
        try sums.truncate(to: 0)
        try vectors?.truncate(to: 0)
        try vectors?.append(npyHeader(shape: [0, dimension]))
    }

    /// True if the checksums of a part that is not finished are there.
    static func hasSums(of path: FilePath) -> Bool { GrowingFile.isBegun(path: sums(path)) }

    /// Removes the checksums that a process which ended while it finished a part has left.
    static func removeSums(of path: FilePath) { try? removeFile(sums(path) + ".partial".utf8) }

    private static func sums(_ path: FilePath) -> [UInt8] { path.bytes + ".sums".utf8 }

    private static let sumLength = 8

    /// The checksum of a line and of the bytes of its vector: the first 8 bytes of their SHA-256.
    private static func sum(_ line: [UInt8], _ vector: [UInt8]) -> [UInt8] {
        Array(sha256(line + vector).prefix(sumLength))
    }

    /// `x.names.jsonl` for `x.npy`.
    static func names(_ path: FilePath) -> FilePath {
        let ending = Array(".npy".utf8)
        let base = path.bytes.suffix(4) == ending[...] ? path.bytes.dropLast(4) : path.bytes[...]
        return FilePath(base + ".names.jsonl".utf8)
    }

    func append(_ line: [UInt8], _ vector: [Float]) throws(FileError) {
        // A name without its vector is dropped by who goes on, as is a vector without its name.
        let bytes = vectors == nil ? [] : littleEndianBytes(of: vector)
        try vectors?.append(bytes)
        try names.append(line)
        try sums.append(Self.sum(line, bytes))
        rows += 1
    }

    func flush() throws(FileError) {
        try vectors?.flush()
        try names.flush()
        try sums.flush()
    }

    /// Calls with each row that is there and matches its checksum, up to the first that does not,
    /// and drops the others.
    ///
    /// - Parameter hasSums: false of what version 0.1 wrote, which gets its checksums now.
    /// - Returns: the number of rows that are dropped.
    func readRows(hasSums: Bool, _ body: ([UInt8]) -> Void) throws(FileError) -> Int {
        let lines = try InputFile(path: names.partialPath)
        let width = vectors == nil ? 0 : 4 * dimension
        let most = vectors.map { max(0, $0.count - Self.headerCount) / width } ?? .max
        var found: [UInt8] = []
        var end = 0
        while rows < most, let line = try lines.read(upTo: UInt8(ascii: "\n")),
            end + line.count < names.count
        {
            let vector = try vectors?.read(width, at: Self.headerCount + width * rows) ?? []
            let sum = Self.sum(line + "\n".utf8, vector)
            if hasSums {
                guard try sums.read(Self.sumLength, at: Self.sumLength * rows) == sum else { break }
            } else {
                found += sum
            }
            end += line.count + 1
            rows += 1
            body(line)
        }
        let dropped = try end < names.count || most != .max && rows < most ? linesBehind(end) : 0
        try names.truncate(to: end)
        try vectors?.truncate(to: Self.headerCount + width * rows)
        try sums.truncate(to: hasSums ? Self.sumLength * rows : 0)
        if !hasSums { try sums.append(found) }
        return dropped
    }

    /// The number of lines behind an offset in the names, the last of which need not be whole.
    private func linesBehind(_ offset: Int) throws(FileError) -> Int {
        let file = try InputFile(path: names.partialPath)
        guard try file.skip(offset) else { return 0 }
        var count = 0
        while try file.read(upTo: UInt8(ascii: "\n"), limit: .max) != nil { count += 1 }
        return count
    }

    /// Gives the files their names. The checksums stay until the job is finished.
    func finish() throws(FileError) {
        // Whoever goes on with the job takes rows without checksums for changed ones.
        try sums.synchronize()
        try vectors?.overwrite(npyHeader(shape: [rows, dimension]))
        try names.finish()
        try vectors?.finish()
    }

    /// Compares a finished shard of a job that goes on with its checksums.
    ///
    /// - Parameters:
    ///   - lines: Its names, without the ends of lines.
    ///   - rows: The number of rows of a shard.
    /// - Throws: `FileError` too if something has changed or is missing.
    static func checkShard(
        _ path: FilePath, _ lines: [[UInt8]], _ dimension: Int, _ rows: Int
    ) throws(FileError) {
        let changed = FileError(
            reason: """
                \(path), its names or its checksums have changed since they were written: remove the \
                folder to begin anew
                """, isDamage: true)
        let vectors = try InputFile(path: path.bytes)
        guard lines.count == rows, hasSums(of: path),
            try vectors.read(headerCount) == npyHeader(shape: [rows, dimension])
        else { throw changed }
        let sums = try InputFile(path: sums(path) + ".partial".utf8)
        for line in lines {
            let found = sum(line + "\n".utf8, try vectors.read(4 * dimension))
            guard try sums.read(sumLength) == found else { throw changed }
        }
        guard try vectors.read(1).isEmpty, try sums.read(1).isEmpty else { throw changed }
    }

    /// Gives files that another process had finished their names back, with what is in them.
    func restore() throws(FileError) {
        try names.finish()
        try vectors?.finish()
        try removeFile(sums.partialPath)
    }

    func remove() throws(FileError) {
        try removeFile(names.partialPath)
        if let vectors { try removeFile(vectors.partialPath) }
        try removeFile(sums.partialPath)
    }
}
