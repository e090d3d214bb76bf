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

/// The rows of a complete Parquet file or directory of clip-retrieval, which are left unchanged.
final class CompleteRows: RowOutput, Sendable {
    /// The number of rows of each name that no input has matched.
    private let names: Mutex<[Name: Int]>
    let count: Int

    private struct Name: Hashable {
        let isText: Bool
        let name: FilePath
    }

    /// Reads the names of a table; nil is an output without rows.
    ///
    /// - Throws: `CLIPError.unreadableFile`.
    init(_ table: EmbeddingTable?) throws {
        count = table?.rowCount ?? 0
        var found: [Name: Int] = [:]
        var blocks = table?.blocks(withFields: false)
        while let block = try blocks?.next() {
            for (row, name) in block.names.enumerated() {
                let isText = block.isText.isEmpty ? false : block.isText[row]
                found[Name(isText: isText, name: name), default: 0] += 1
            }
        }
        names = Mutex(found)
    }

    var isComplete: Bool { true }
    var unmatchedRowsNote: String? { nil }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        let key = Name(isText: kind == "text", name: name)
        return names.withLock { names in
            guard let count = names[key] else { return false }
            names[key] = count == 1 ? nil : count - 1
            return true
        }
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
    /// Returns the output in a format that is exported when all rows are there; nil for others.
    func stagedExport(_ format: Format, at path: FilePath) -> StagedExport? {
        switch format {
        case .parquet: StagedExport(path, .parquet)
        case .clipRetrieval:
            StagedExport(path, .clipRetrieval(partitionRows: shardSize ?? 1_000_000))
        case .jsonl, .json, .npy, .shards: nil
        }
    }

    /// Returns the rows of an output that is complete if `--resume` is given, and first exports
    /// rows that an earlier run has finished; nil if the output is not complete.
    ///
    /// - Throws: `Failure` if the output has vectors of another model;
    ///   `EmbeddingFileError.unfinished` if rows wait to be exported and `--resume` is not given;
    ///   `CLIPError` or `EmbeddingFileError` if the output cannot be read or written.
    func completeRows(of staged: StagedExport, wanted record: ModelRecord) throws -> CompleteRows? {
        guard resume else {
            guard !staged.isReadyToExport else {
                throw EmbeddingFileError.unfinished(
                    path: staged.path.description, job: staged.rows.description)
            }
            return nil
        }
        if staged.isReadyToExport {
            try CompleteOutput.check(staged.rows, .npy, wanted: record, output ?? "")
            try staged.export(model: record)
            if !common.quiet {
                note("clip: encode: wrote the finished rows of the earlier run to \(output ?? "")")
            }
        }
        guard staged.isComplete else { return nil }
        let table = try staged.complete()
        if let table { try CompleteOutput.check(table, wanted: record, output ?? "") }
        return try CompleteRows(table)
    }
}
