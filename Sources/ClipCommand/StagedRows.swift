import CLIP
import CLIPSearch
import Files
import Synchronization

/// Rows of an output of other software, such as Parquet: they are kept in `.npy` files beside the
/// output, and exported when all are there.
///
/// One thread calls everything but `keep`, which another thread may call at any time.
final class StagedRows: RowOutput, Sendable {
    private let staged: StagedExport
    private let rows: WrittenRows
    private let record: ModelRecord
    private let quiet: Bool

    /// Creates an output for rows.
    ///
    /// - Parameters:
    ///   - staged: The output.
    ///   - rows: The rows that are kept until they are exported.
    ///   - record: The record of the model.
    ///   - quiet: True to print no notes.
    init(_ staged: StagedExport, _ rows: WrittenRows, _ record: ModelRecord, quiet: Bool) {
        (self.staged, self.rows, self.record) = (staged, rows, record)
        self.quiet = quiet
    }

    var isComplete: Bool { false }
    var count: Int { rows.count }
    var unmatchedRowsNote: String? { rows.unmatchedRowsNote }
    func takeRow(_ kind: String, _ name: FilePath) -> Bool { rows.takeRow(kind, name) }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {
        try rows.append(kind, name, fields: fields, vector)
    }

    func flush() throws { try rows.flush() }

    func finish() throws {
        try rows.finish()
        let count = try staged.export(model: record)
        guard count > 0 && !quiet else { return }
        note(
            """
            clip: encode: \(counted(count, "name")) had bytes that the format cannot store; U+FFFD \
            replaces them
            """)
    }

    func discard() throws { try rows.discard() }
    func keep() -> String? { rows.keep() }
}

/// The rows of a complete output of other software, which is left unchanged.
final class CompleteRows: RowOutput, Sendable {
    /// The rows that no input has matched.
    private let rows: Mutex<RowCounts>
    let count: Int

    /// Reads the names of tables.
    ///
    /// - Throws: `CLIPError.unreadableFile`.
    init(_ tables: [EmbeddingTable]) throws {
        count = tables.reduce(0) { $0 + $1.rowCount }
        var found = RowCounts()
        for table in tables {
            var blocks = table.blocks(withFields: false)
            while let block = try blocks.next() {
                for (row, name) in block.names.enumerated() {
                    let isText = block.isText.isEmpty ? false : block.isText[row]
                    found.add(Self.key(isText: isText, name))
                }
            }
        }
        rows = Mutex(found)
    }

    private static func key(isText: Bool, _ name: FilePath) -> [UInt8] {
        [isText ? 1 : 0] + name.bytes
    }

    var isComplete: Bool { true }
    var unmatchedRowsNote: String? { nil }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        rows.withLock { $0.remove(Self.key(isText: kind == "text", name)) }
    }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {}
    func flush() throws {}
    func finish() throws {}
    func discard() throws {}
    func keep() -> String? { nil }
}

extension Encode {
    /// Opens the rows of an output that is exported when all are there, or returns those of a
    /// complete one.
    ///
    /// - Parameters:
    ///   - staged: The output.
    ///   - record: The record of the model.
    ///   - job: The options that must be the same for `--resume`.
    /// - Returns: The rows.
    /// - Throws: `Failure` if the output has vectors of another model; `CLIPError` or
    ///   `EmbeddingFileError` if it cannot be read or written, or has rows of an unfinished job and
    ///   `--resume` is not given.
    func stagedRows(
        _ staged: StagedExport, _ record: ModelRecord, job: String
    ) throws -> any RowOutput & Sendable {
        if let tables = try completeTables(staged, record) { return try completeRows(tables) }
        try staged.preparePlace()
        return try openRows(of: staged, record, job: job, resuming: resume)
            ?? completeRows(completeTables(staged, record) ?? [])
    }

    /// Opens the rows of a folder of Parquet files, or returns those of a complete one.
    ///
    /// Parameters and errors are those of `stagedRows`.
    func shardedRows(
        _ folder: FilePath, _ record: ModelRecord, job: String
    ) throws -> any RowOutput & Sendable {
        try StagedExport.prepareFolder(folder, resuming: resume)
        let size = shardSize ?? EmbeddingWriter.defaultShardSize
        let job = job + ", files of \(size) rows"
        var (tables, number): ([EmbeddingTable], Int) = ([], 0)
        @Sendable func shard(_ number: Int) -> StagedExport { StagedExport.shard(folder, number) }
        while true {
            while let complete = try completeTables(shard(number), record) {
                tables += complete
                number += 1
            }
            // Files of others are not mixed with those of this job.
            try StagedExport.checkHasOnlyShards(folder, count: number)
            guard number == 0 || shard(number).isBegun else { return try completeRows(tables) }
            guard
                let rows = try openRows(
                    of: shard(number), record, job: job, resuming: resume)
            else { continue }
            return try ShardedRows(
                rows, number: number, earlier: CompleteRows(tables), size: size,
                output: output ?? ""
            ) { number in
                let next = try openRows(of: shard(number), record, job: job, resuming: true)
                if let next, next.count == 0 { return next }
                throw EmbeddingFileError.unwritable(
                    path: shard(number).path.description,
                    reason: "its rows exist already, although an earlier file is incomplete")
            }
        }
    }

    /// Returns the rows of complete tables; their names are read only for the note that compares
    /// them with the inputs.
    private func completeRows(_ tables: [EmbeddingTable]) throws -> CompleteRows {
        try CompleteRows(common.quiet ? [] : tables)
    }

    /// Returns the table of an output that is complete if `--resume` is given, or no table if it
    /// has no rows; nil if it is not complete.
    ///
    /// Rows that an earlier run has finished are exported first.
    private func completeTables(
        _ staged: StagedExport, _ record: ModelRecord
    ) throws -> [EmbeddingTable]? {
        guard resume else {
            guard !staged.isReadyToExport else {
                throw EmbeddingFileError.unfinished(
                    path: staged.path.description, job: staged.rows.description)
            }
            return nil
        }
        if staged.isReadyToExport {
            try CompleteOutput.check(staged.rows, .npy, wanted: record, output ?? "")
            try export(staged, record)
        }
        guard staged.isComplete else { return nil }
        guard let table = try staged.complete() else { return [] }
        try CompleteOutput.check(table, wanted: record, staged.path.description)
        return [table]
    }

    /// Opens the rows of an output; nil if an earlier run had finished them, which are then
    /// exported.
    private func openRows(
        of staged: StagedExport, _ record: ModelRecord, job: String, resuming: Bool
    ) throws -> StagedRows? {
        let rows = try openRows(at: staged.rows, .npy, record, job: job, resuming: resuming)
        guard rows.isComplete else {
            return StagedRows(staged, rows, record, quiet: common.quiet)
        }
        try export(staged, record)
        return nil
    }

    private func export(_ staged: StagedExport, _ record: ModelRecord) throws {
        try staged.export(model: record)
        guard !common.quiet else { return }
        note("clip: encode: wrote the finished rows of the earlier run to \(staged.path)")
    }
}
