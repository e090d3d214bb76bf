internal import Files
internal import Tensors

/// The output file that is being written: JSON Lines, or vectors with a file of names beside them.
final class EmbeddingPart {
    private let names: GrowingFile
    private let vectors: GrowingFile?
    /// The file with the checksums of the rows, which is kept until the job is finished.
    private let sums: GrowingFile
    private let dimension: Int
    private(set) var rows = 0

    /// The length of the `.npy` header in bytes, the same for any number of rows.
    static let headerCount = 128

    /// Opens the unfinished output files, or creates empty ones.
    ///
    /// - Parameters:
    ///   - path: The final path of the vectors, or of the JSON Lines.
    ///   - hasVectors: False for JSON Lines, whose lines contain the vectors.
    ///   - dimension: The number of dimensions of each vector.
    ///   - isResumed: True if existing files belong to the same job.
    /// - Throws: `FileError`, also if another process is writing them.
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
        vectors = try GrowingFile(path: path.bytes)  // takes the lock
        if isResumed && isBegun && !GrowingFile.isBegun(path: names) {
            // The process ended between the two renames of `finish`.
            try? renameFile(names, to: names + ".partial".utf8)
        }
        self.names = try GrowingFile(path: names)
        sums = try GrowingFile(path: Self.sums(path))
        if let vectors, vectors.count < Self.headerCount { try clear() }
    }

    /// Removes all rows from the files.
    func clear() throws(FileError) {
        try names.truncate(to: 0)
        try sums.truncate(to: 0)
        try vectors?.truncate(to: 0)
        try vectors?.append(npyHeader(shape: [0, dimension]))
    }

    /// Returns true if an unfinished job has left checksums for a file.
    static func hasSums(of path: FilePath) -> Bool { GrowingFile.isBegun(path: sums(path)) }

    /// Removes the checksums, if there are any, of a file whose job is finished.
    static func removeSums(of path: FilePath) { try? removeFile(sums(path) + ".partial".utf8) }

    private static func sums(_ path: FilePath) -> [UInt8] { path.bytes + ".sums".utf8 }

    private static let sumLength = 8

    /// Returns the checksum of a line and the bytes of its vector: the first 8 bytes of their
    /// SHA-256.
    private static func sum(_ line: [UInt8], _ vector: [UInt8]) -> [UInt8] {
        Array(sha256(line + vector).prefix(sumLength))
    }

    /// Returns the path of the file of names that belongs to a `.npy` file: `x.names.jsonl` for
    /// `x.npy`.
    static func names(_ path: FilePath) -> FilePath {
        let ending = Array(".npy".utf8)
        let base = path.bytes.suffix(4) == ending[...] ? path.bytes.dropLast(4) : path.bytes[...]
        return FilePath(base + ".names.jsonl".utf8)
    }

    func append(_ line: [UInt8], _ vector: [Float]) throws(FileError) {
        // When the job is resumed, a name without its vector is dropped, and so is a vector without
        // its name.
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

    /// Reads the rows before the first that is incomplete or does not match its checksum, and drops
    /// that row and all later ones.
    ///
    /// - Parameters:
    ///   - hasSums: False if the checksums are not compared, but computed anew: for files of
    ///     version 0.1, which have none, and for a finished shard that is continued.
    ///   - body: A closure that receives the line of each row.
    /// - Returns: The number of dropped rows.
    /// - Throws: `FileError`.
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

    /// Returns the number of lines after a byte offset in the file of names; the last may be
    /// incomplete.
    private func linesBehind(_ offset: Int) throws(FileError) -> Int {
        let file = try InputFile(path: names.partialPath)
        guard try file.skip(offset) else { return 0 }
        var count = 0
        while try file.read(upTo: UInt8(ascii: "\n"), limit: .max) != nil { count += 1 }
        return count
    }

    /// Completes the files, and gives them their final names.
    ///
    /// The checksums stay until the job is finished.
    func finish() throws(FileError) {
        // A resumed job treats rows without checksums as changed, so the checksums are written
        // first.
        try sums.synchronize()
        try vectors?.overwrite(npyHeader(shape: [rows, dimension]))
        try names.finish()
        try vectors?.finish()
    }

    /// Compares a finished shard of a resumed job with its checksums.
    ///
    /// - Parameters:
    ///   - path: The path of the vectors.
    ///   - lines: The lines of the names, without newlines.
    ///   - dimension: The number of dimensions of each vector.
    ///   - rows: The expected number of rows.
    /// - Throws: `FileError`, also if something has changed or is missing.
    static func checkShard(
        _ path: FilePath, _ lines: [[UInt8]], _ dimension: Int, _ rows: Int
    ) throws(FileError) {
        let changed = FileError(
            reason: """
                \(path), its names or its checksums have changed since they were written: remove \
                the folder to begin anew
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

    /// Renames files that another process had finished back to their final names, without changing
    /// them.
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
