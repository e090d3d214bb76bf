package import Files
internal import CLIP
internal import Tensors

/// Writes embeddings to files, row by row, so that an interrupted job can be resumed.
///
/// ```swift
/// let writer = try EmbeddingWriter(
///     path: "photos.npy", layout: .npy, dimension: 512, job: "ViT-B/32", resuming: true)
/// for path in paths where !writer.isWhole && !writer.takeRow("image", path) {
///     let vector = try model.encode(image: RGBImage(contentsOfFile: path))
///     try writer.append("image", path, vector: vector)
/// }
/// if !writer.isWhole { try writer.finish() }
/// ```
///
/// Unfinished files have the suffix `.partial`, and until `finish` a `.job` file beside them
/// describes the job. If the process ends early, another writer continues after the last complete
/// row. A model record names the model: `x.model.json` beside `x.npy`, `clip-model.json` in a
/// folder of shards.
///
/// A writer is used by one thread at a time.
public final class EmbeddingWriter {
    /// The format of the rows.
    public enum Layout: Sendable, Hashable {
        /// JSON Lines: one object per row, with its name and its vector.
        case jsonLines
        /// NumPy's `.npy`, float32 [rows, dimension], and the names in JSON Lines: `x.names.jsonl`
        /// beside `x.npy`.
        case npy
        /// A folder of such pairs of files, with the given number of rows each: `00000.npy`,
        /// `00001.npy` …
        case shards(rows: Int)

        var description: String {
            switch self {
            case .jsonLines: "jsonl"
            case .npy: "npy"
            case .shards(let rows): "shards of \(rows)"
            }
        }
    }

    /// True if an earlier writer has finished the job, so that nothing is left to write.
    public private(set) var isWhole: Bool
    /// The number of rows, including those that earlier writers of the same job left; a job that an
    /// earlier writer finished is not counted.
    public private(set) var count = 0
    /// The number of rows of an earlier writer that must be written again, because they were
    /// incomplete or damaged, or came after such a row.
    public private(set) var dropped = 0

    private let path: FilePath
    let layout: Layout
    private let dimension: Int
    private let model: ModelRecord?
    /// True if files that had their final names were renamed to `.partial`, to be continued.
    private var isReopened = false
    private var done = RowCounts()
    private var part: EmbeddingPart?
    private var partNumber = 0

    /// Begins files of embeddings, or continues them.
    ///
    /// - Parameters:
    ///   - path: The path of the file, or of the folder of shards.
    ///   - layout: The format of the rows.
    ///   - dimension: The number of dimensions of each vector.
    ///   - job: A description of the job, such as its model and options. Only a job with the same
    ///     description can be resumed.
    ///   - model: The model that makes the vectors, to be written to the model record; nil for no
    ///     record.
    ///   - resuming: True to continue an unfinished job that has the same description, and to keep
    ///     a finished output.
    /// - Throws: `EmbeddingFileError.unfinished` if a job is unfinished and `resuming` is false,
    ///   `.otherJob` if it has another description, else `.unwritable`.
    package init(
        path: FilePath, layout: Layout, dimension: Int, job: String, model: ModelRecord? = nil,
        resuming: Bool
    ) throws(EmbeddingFileError) {
        self.path = path
        self.model = model
        self.layout = layout
        self.dimension = dimension
        let jobFile = Self.jobFile(path, layout)
        let oldDescription = Array("\(job), \(layout.description)\n".utf8)
        let description = oldDescription + Self.checksumLine
        let first = Self.file(path, layout, number: 0)
        let old: [UInt8]?
        let (isThere, isBegun): (Bool, Bool)
        do throws(FileError) {
            if case .shards = layout { try makeFolder(path.bytes) }
            if let file = Self.modelFile(path, layout),
                (try? FileStatus(path: file.bytes)) != nil, (try? ModelRecord(file)) == nil
            {
                throw FileError(
                    reason: "\(file) exists and is not a model record: remove it")
            }
            let status = try? FileStatus(path: first.bytes)
            guard status?.isFolder != true else {
                throw FileError(reason: "expected a file, found a folder")
            }
            (isThere, isBegun) = (status != nil, GrowingFile.isBegun(path: first.bytes))
            old = try Self.description(of: jobFile)
        } catch {
            throw .unwritable(path: path.description, reason: error.reason)
        }
        if let old {
            guard resuming else {
                throw .unfinished(path: path.description, job: jobFile.description)
            }
            guard old == description || old == oldDescription else {
                throw .otherJob(path: path.description, job: jobFile.description)
            }
        }
        do throws(FileError) {
            guard let old else {
                isWhole = resuming && isThere && !isBegun
                if isWhole {
                    try checkIsWhole(first)
                    try checkHasNoParts()
                    removeSums()
                }
                if !isWhole { try begin(description, isThere: isThere) }
                return
            }
            if case .shards = layout { isWhole = false } else { isWhole = isThere && !isBegun }
            if isWhole && layout == .jsonLines && old == description {
                // A finished job removes its `.job` file first, so this file got its final name too
                // early and is continued.
                try reopen([path])
                isWhole = false
            }
            if isWhole {
                try checkIsWhole(first)
                try writeModel()
                try removeFile(jobFile.bytes)
                removeSums()
            } else {
                try readRows(hasSums: old == description)
            }
        } catch {
            throw .unwritable(path: path.description, reason: error.reason)
        }
    }

    /// Returns the content of a `.job` file; nil if there is none.
    ///
    /// A file that cannot be read is an error, because it may belong to rows that took hours to
    /// compute.
    private static func description(of jobFile: FilePath) throws(FileError) -> [UInt8]? {
        do throws(FileError) {
            return try readFile(path: jobFile.bytes, limit: 1 << 20)
        } catch {
            if error.isMissing { return nil }
            throw FileError(reason: "\(jobFile) cannot be read: \(error.reason)", code: error.code)
        }
    }

    /// Throws if a `.npy` file with its final name does not have the header that its size and
    /// dimension require.
    private func checkIsWhole(_ file: FilePath) throws(FileError) {
        guard layout != .jsonLines else { return }
        let size = try FileStatus(path: file.bytes).size
        let rows = max(0, size - EmbeddingPart.headerCount) / (4 * dimension)
        let header = npyHeader(shape: [rows, dimension])
        let found = try InputFile(path: file.bytes).read(EmbeddingPart.headerCount)
        guard found == header, size == EmbeddingPart.headerCount + 4 * dimension * rows else {
            throw FileError(
                reason: """
                    \(file) is damaged or not a file of embeddings: expected .npy with \(rows) × \
                    \(dimension) float32 values
                    """)
        }
    }

    /// The second line of a `.job` file whose rows have checksums; version 0.1 wrote no second
    /// line.
    private static let checksumLine = Array("checksums\n".utf8)

    /// Begins a new job, which replaces the rows of earlier jobs.
    private func begin(_ job: [UInt8], isThere: Bool) throws(FileError) {
        if case .shards = layout {
            guard !isThere else {
                throw FileError(reason: "the folder already contains embeddings")
            }
            try StagedExport.checkHasNone(in: path)
        }
        // The `.job` file comes last: once it exists, the rows belong to the job.
        try openPart(number: 0).clear()
        let file = try GrowingFile(path: Self.jobFile(path, layout).bytes)
        try file.truncate(to: 0)
        try file.append(job)
        try file.finish()
    }

    /// Returns true if an earlier writer wrote a row of this name that no previous call has taken.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    /// - Returns: True if the row exists already; false if it must be appended.
    package func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        done.remove(Self.beginning(kind, name))
    }

    /// Appends a row.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    ///   - fields: Additional members of the JSON object; the values are JSON in UTF-8.
    ///   - vector: The vector of the row.
    /// - Throws: `EmbeddingFileError.wrongDimension` or `.unwritable`.
    package func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])] = [],
        vector: [Float]
    ) throws(EmbeddingFileError) {
        guard vector.count == dimension else {
            throw .wrongDimension(expected: dimension, found: vector.count)
        }
        let line = Self.object(
            kind, name, fields: fields, vector: layout == .jsonLines ? vector : nil)
        try writing { () throws(FileError) in
            let part = try currentPart()
            try part.append(line + "\n".utf8, vector)
            count += 1
            try finishFullShard(part)
        }
    }

    func writing(_ body: () throws(FileError) -> Void) throws(EmbeddingFileError) {
        do throws(FileError) {
            try body()
        } catch {
            throw .unwritable(path: path.description, reason: error.reason)
        }
    }

    private func finishFullShard(_ part: EmbeddingPart) throws(FileError) {
        guard case .shards(let rows) = layout, part.rows == rows else { return }
        try part.finish()
        self.part = nil
        try openPart(number: partNumber + 1)
    }

    /// Writes buffered rows to the files, so that they survive the end of the process.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    public func flush() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in try part?.flush() }
    }

    /// Completes the files, gives them their final names, and ends the job.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    public func finish() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in
            let part = try currentPart()
            // Vectors without a model record can be read; with the record of other vectors they
            // would be compared wrongly.
            if let file = Self.modelFile(path, layout), (try? FileStatus(path: file.bytes)) != nil {
                try removeFile(file.bytes)
            }
            if case .shards = layout, part.rows == 0, count > 0 {
                try part.remove()
            } else {
                try part.finish()
            }
            self.part = nil
            try writeModel()
            try removeFile(Self.jobFile(path, layout).bytes)
            removeSums()
        }
    }

    private static func modelFile(_ path: FilePath, _ layout: Layout) -> FilePath? {
        switch layout {
        case .jsonLines: nil
        case .npy: ModelRecord.file(besideNPY: path)
        case .shards: ModelRecord.file(inFolder: path)
        }
    }

    private func writeModel() throws(FileError) {
        guard let model, let file = Self.modelFile(path, layout) else { return }
        try model.write(to: file)
    }

    /// Ends a job that has no rows, and removes its unfinished files.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    public func discard() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in
            try removeFile(Self.jobFile(path, layout).bytes)
            try part?.remove()
            part = nil
        }
    }

    /// Renames files that got their final names too early to `.partial`, to be continued.
    ///
    /// - Throws: `FileError`, also if another process is still finishing them.
    private func reopen(_ files: [FilePath]) throws(FileError) {
        let held = try files.map { file throws(FileError) in
            try GrowingFile(path: file.bytes, isAlwaysWhole: true)
        }
        for file in held { try renameFile(file.path, to: file.path + ".partial".utf8) }
        isReopened = true
    }

    /// Reads the rows of earlier writers, and opens the unfinished file to continue it.
    private func readRows(hasSums: Bool) throws(FileError) {
        var number = 0
        var isRenamed = false
        if case .shards(let rows) = layout {
            while isThere(EmbeddingPart.names(file(number))), isThere(file(number)) {
                let lines = try lines(of: number)
                let isLast = !isThere(file(number + 1), orIsBegun: true)
                if lines.count < rows && isLast {
                    // The last shard of a run that ended before it removed the `.job` file is
                    // continued.
                    try reopen([file(number), EmbeddingPart.names(file(number))])
                    isRenamed = true
                    break
                }
                if hasSums { try EmbeddingPart.checkShard(file(number), lines, dimension, rows) }
                lines.forEach(add)
                number += 1
            }
            try checkIsLast(number)
        }
        let part = try openPart(number: number, isResumed: true)
        guard try Self.description(of: Self.jobFile(path, layout)) != nil else {
            // The process that held the lock until now has finished the job.
            if isReopened { try part.restore() } else { try part.remove() }
            self.part = nil
            isWhole = true
            return
        }
        dropped = try part.readRows(hasSums: hasSums && !isRenamed) { add($0) }
        try finishFullShard(part)
    }

    func add(_ line: [UInt8]) {
        done.add(Self.beginning(ofLine: line))
        count += 1
    }

    private func currentPart() throws(FileError) -> EmbeddingPart {
        if let part { return part }
        return try openPart(number: 0)
    }

    @discardableResult
    private func openPart(
        number: Int, isResumed: Bool = false
    ) throws(FileError) -> EmbeddingPart {
        let opened = try EmbeddingPart(
            file(number), hasVectors: layout != .jsonLines, dimension, isResumed: isResumed)
        part = opened
        partNumber = number
        return opened
    }

    func file(_ number: Int) -> FilePath { Self.file(path, layout, number: number) }

    private static func file(_ path: FilePath, _ layout: Layout, number: Int) -> FilePath {
        if case .shards = layout { shard(path, number) } else { path }
    }

    /// The number of rows of a shard, unless another number is given.
    package static let defaultShardSize = 100_000

    /// Returns the path of a shard in a folder: `00012.npy` for number 12.
    static func shard(_ folder: FilePath, _ number: Int, suffix: String = "npy") -> FilePath {
        let digits = String(number)
        let zeros = String(repeating: "0", count: max(0, 5 - digits.count))
        return folder.appending("\(zeros)\(digits).\(suffix)".utf8)
    }

    /// Returns the number in the name of a shard, and the rest of the name, such as ".npy"; nil for
    /// other names.
    static func parts(ofShard name: [UInt8]) -> (number: Int, ending: [UInt8])? {
        let digits = name.prefix { (0x30...0x39).contains($0) }
        guard digits.count >= 5, let number = Int(String(decoding: digits, as: UTF8.self)) else {
            return nil
        }
        return (number, Array(name.dropFirst(digits.count)))
    }

    private static func jobFile(_ path: FilePath, _ layout: Layout) -> FilePath {
        if case .shards = layout { return path.appending(".job".utf8) }
        return FilePath(path.bytes + ".job".utf8)
    }
}
