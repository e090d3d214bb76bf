package import Files
public import CLIP
package import CLIP
package import Tensors

/// Embeddings on their way to files, a row at a time.
///
/// While rows come, the files have `.partial` behind their names, and a file `.job` beside them says what is
/// being done. If the process ends before its time, another writer goes on after the last whole row. Beside `.npy`,
/// `x.model.json`, in a folder of shards `clip-model.json`, says which model made the vectors.
public final class EmbeddingWriter {
    /// How rows are kept.
    public enum Layout: Sendable, Hashable {
        /// JSON Lines: an object a row, with its name and its vector.
        case jsonLines
        /// NumPy's `.npy`, float32 [rows, dimension], and the names in JSON Lines: `x.names.jsonl` beside `x.npy`.
        case npy
        /// A folder of such pairs, `00000.npy` and so on, of so many rows each.
        case shards(rows: Int)

        var description: String {
            switch self {
            case .jsonLines: "jsonl"
            case .npy: "npy"
            case .shards(let rows): "shards of \(rows)"
            }
        }
    }

    /// True if another writer has finished all this.
    public private(set) var isWhole: Bool
    /// The number of rows, those of earlier writers included.
    public private(set) var count = 0
    /// The number of rows of an earlier writer that are to be written again, because they were
    /// incomplete or damaged or came after such a row.
    public private(set) var dropped = 0

    private let path: FilePath
    let layout: Layout
    private let dimension: Int
    private let model: ModelRecord?
    /// True if files had their names already, and lost them to grow on.
    private var isReopened = false
    private var done = RowCounts()
    private var part: EmbeddingPart?
    private var partNumber = 0

    /// - Parameters:
    ///   - path: of the file, or of the folder of shards.
    ///   - dimension: of the vectors.
    ///   - job: what tells jobs apart whose rows do not belong together: the model, how vectors are made.
    ///   - model: the model that makes the vectors, to be written beside `.npy`.
    ///   - resuming: whether to go on with what is there of such a job.
    /// - Throws: `EmbeddingFileError.unfinished` if a job began the file and is not to be resumed,
    ///   `.otherJob` if it is not this job, else `.unwritable`.
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
                    reason: "\(file) is not a record of a model, which would be written there")
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
                // The job's file goes first: the other one may have its name too early, and grows
                // on.
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

    /// The content of a job's file; nil if there is none. A file that cannot be read now may belong
    /// to rows that are worth hours.
    private static func description(of jobFile: FilePath) throws(FileError) -> [UInt8]? {
        do throws(FileError) {
            return try readFile(path: jobFile.bytes, limit: 1 << 20)
        } catch {
            if error.isMissing { return nil }
            throw FileError(reason: "\(jobFile) cannot be read: \(error.reason)", code: error.code)
        }
    }

    /// Refuses a file that has its name, but not the header that is written before it gets the
    /// name.
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

    /// The second line of the file of a job whose rows have checksums; version 0.1 wrote none.
    private static let checksumLine = Array("checksums\n".utf8)

    /// Begins anew, whatever is there of something else.
    private func begin(_ job: [UInt8], isThere: Bool) throws(FileError) {
        if case .shards = layout, isThere {
            throw FileError(reason: "the folder holds embeddings already")
        }
        // The file that says so comes last: with it, what has grown belongs to the job.
        try openPart(number: 0).clear()
        let file = try GrowingFile(path: Self.jobFile(path, layout).bytes)
        try file.truncate(to: 0)
        try file.append(job)
        try file.finish()
    }

    /// Takes a row of this name off those that earlier writers wrote.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    /// - Returns: False if no such row is left, so that this one is to be appended.
    package func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        done.remove(Self.beginning(kind, name))
    }

    /// Appends a row.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - fields: more that is known of it: keys, and values that are JSON already.
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

    private func writing(_ body: () throws(FileError) -> Void) throws(EmbeddingFileError) {
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

    /// Hands all rows to the system, which keeps them should the process end.
    public func flush() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in try part?.flush() }
    }

    /// Gives the files their names.
    public func finish() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in
            let part = try currentPart()
            // Vectors without a record are read; with that of others they would be compared wrongly.
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

    /// Removes what is there of a job without a row.
    public func discard() throws(EmbeddingFileError) {
        try writing { () throws(FileError) in
            try removeFile(Self.jobFile(path, layout).bytes)
            try part?.remove()
            part = nil
        }
    }

    /// Gives files that have their names too early those of files that grow.
    ///
    /// - Throws: `FileError` too if the process that finishes them is still at it.
    private func reopen(_ files: [FilePath]) throws(FileError) {
        let held = try files.map { file throws(FileError) in
            try GrowingFile(path: file.bytes, isAlwaysWhole: true)
        }
        for file in held { try renameFile(file.path, to: file.path + ".partial".utf8) }
        isReopened = true
    }

    /// Reads which rows earlier writers left, and opens what they had begun last.
    private func readRows(hasSums: Bool) throws(FileError) {
        var number = 0
        var isRenamed = false
        if case .shards(let rows) = layout {
            while isThere(EmbeddingPart.names(file(number))), isThere(file(number)) {
                let lines = try lines(of: number)
                let isLast = !isThere(file(number + 1), orIsBegun: true)
                if lines.count < rows && isLast {
                    // The last one of a run that ended before the job's file was gone: it grows on.
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
            // The process that held the files until now has finished the job.
            if isReopened { try part.restore() } else { try part.remove() }
            self.part = nil
            isWhole = true
            return
        }
        dropped = try part.readRows(hasSums: hasSums && !isRenamed) { add($0) }
        try finishFullShard(part)
    }

    private func add(_ line: [UInt8]) {
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
        guard case .shards = layout else { return path }
        let digits = String(number)
        return path.appending(
            "\(String(repeating: "0", count: max(0, 5 - digits.count)))\(digits).npy".utf8)
    }

    private static func jobFile(_ path: FilePath, _ layout: Layout) -> FilePath {
        if case .shards = layout { return path.appending(".job".utf8) }
        return FilePath(path.bytes + ".job".utf8)
    }

    /// A row as JSON: `{"image":"a.jpg","cls":1,"embedding":[0.5,-0.1]}`.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - fields: keys, and values that are JSON already.
    ///   - vector: left out if nil.
    package static func object(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], vector: [Float]?
    ) -> [UInt8] {
        var object = beginning(kind, name)
        for (key, value) in fields { object += ",\"\(key)\":".utf8 + value }
        if let vector {
            object += ",\"embedding\":[".utf8
            object += vector.map { "\($0)" }.joined(separator: ",").utf8
            object.append(UInt8(ascii: "]"))
        }
        return object + "}".utf8
    }

    /// `{"image":"a.jpg"`
    private static func beginning(_ kind: String, _ name: FilePath) -> [UInt8] {
        Array("{\"\(kind)\":".utf8) + name.quoted
    }

    /// The same of a line that was written.
    private static func beginning(ofLine line: [UInt8]) -> [UInt8] {
        var isEscaped = false
        var quotes = 0
        for (index, byte) in line.enumerated() {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                quotes += 1
                if quotes == 4 { return Array(line[...index]) }
            }
        }
        return line
    }
}
