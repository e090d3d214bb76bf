import Files
import Synchronization

/// Rows of a folder of Parquet files, each of which is exported when it has `size` rows.
///
/// One thread calls everything but `keep`, which another thread may call at any time.
final class ShardedRows: RowOutput, Sendable {
    private struct State {
        /// The number of the first file that is not complete.
        var number: Int
        /// The rows of that file.
        var rows: StagedRows
        /// The number of rows in complete files.
        var fullCount: Int
        /// The number of rows of the earlier run that match inputs of this run.
        var matchedCount = 0

        var count: Int { fullCount + rows.count }
    }

    private let state: Mutex<State>
    /// The rows of the files that an earlier run has completed.
    private let earlier: CompleteRows
    /// The rows of the file that it has begun.
    private let begun: StagedRows
    private let earlierCount: Int
    private let size: Int
    private let output: String
    private let open: @Sendable (Int) throws -> StagedRows

    /// Creates an output for rows.
    ///
    /// - Parameters:
    ///   - begun: The rows of the first file that is not complete.
    ///   - number: The number of that file.
    ///   - earlier: The rows of the complete files.
    ///   - size: The number of rows of each file but the last.
    ///   - output: The path as the user gave it, for messages.
    ///   - open: Begins the rows of the file with a number.
    init(
        _ begun: StagedRows, number: Int, earlier: CompleteRows, size: Int, output: String,
        _ open: @escaping @Sendable (Int) throws -> StagedRows
    ) {
        state = Mutex(State(number: number, rows: begun, fullCount: earlier.count))
        (self.earlier, self.begun) = (earlier, begun)
        earlierCount = earlier.count + begun.count
        (self.size, self.output, self.open) = (size, output, open)
    }

    private var current: State { state.withLock { $0 } }

    var isComplete: Bool { false }
    var count: Int { current.count }

    var unmatchedRowsNote: String? {
        let current = current
        return WrittenRows.unmatchedRowsNote(
            earlierCount - current.matchedCount, of: current.count, in: output)
    }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        guard earlier.takeRow(kind, name) || begun.takeRow(kind, name) else { return false }
        state.withLock { $0.matchedCount += 1 }
        return true
    }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {
        // A full file is exported when another row comes, so that the last file has rows.
        if current.rows.count >= size { try exportFullFile() }
        try current.rows.append(kind, name, fields: fields, vector)
    }

    private func exportFullFile() throws {
        let full = current.rows
        // `keep` says that all rows are saved, and flushes those of the last file only.
        try full.flush()
        let number = current.number + 1
        let next = try open(number)
        state.withLock { state in
            state.fullCount += full.count
            (state.number, state.rows) = (number, next)
        }
        try full.finish()
    }

    func flush() throws { try current.rows.flush() }

    func finish() throws {
        let current = current
        // The row for which an earlier run began the last file may have no input any more.
        let isEmpty = current.rows.count == 0 && current.number > 0
        try isEmpty ? current.rows.discard() : current.rows.finish()
    }

    func discard() throws { try current.rows.discard() }

    func keep() -> String? {
        let current = current
        return current.rows.keep().map { _ in WrittenRows.kept(current.count, of: output) }
    }
}
