import CLIP
import CLIPSearch
import Files
import Synchronization

/// Rows of a folder of Parquet files, each of which is exported when it has `size` rows.
///
/// One thread calls everything but `keep`, which another thread may call at any time.
final class ShardedRows: RowOutput, @unchecked Sendable {
    private struct State {
        var number: Int
        var rows: StagedRows
        /// The number of rows in complete files.
        var fullCount: Int
    }

    private let state: Mutex<State>
    private let earlier: CompleteRows
    private let earlierCount: Int
    private var matchedCount = 0
    private let size: Int
    private let output: String
    private let open: (Int) throws -> StagedRows

    /// Creates an output for rows.
    ///
    /// - Parameters:
    ///   - rows: The rows of the first file that is not complete.
    ///   - number: The number of that file.
    ///   - earlier: The rows of the complete files.
    ///   - size: The number of rows of each file but the last.
    ///   - output: The path as the user gave it, for messages.
    ///   - open: Opens the rows of the file with a number.
    init(
        _ rows: StagedRows, number: Int, earlier: CompleteRows, size: Int, output: String,
        _ open: @escaping (Int) throws -> StagedRows
    ) {
        state = Mutex(State(number: number, rows: rows, fullCount: earlier.count))
        self.earlier = earlier
        earlierCount = earlier.count + rows.count
        (self.size, self.output, self.open) = (size, output, open)
    }

    private var current: State { state.withLock { $0 } }

    var isComplete: Bool { false }

    var count: Int {
        let current = current
        return current.fullCount + current.rows.count
    }

    var unmatchedRowsNote: String? {
        WrittenRows.unmatchedRowsNote(earlierCount - matchedCount, of: count, in: output)
    }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        guard earlier.takeRow(kind, name) || current.rows.takeRow(kind, name) else { return false }
        matchedCount += 1
        return true
    }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {
        // A full file is exported when the next row comes, so that the last is never empty.
        if current.rows.count >= size { try exportFullFile() }
        try current.rows.append(kind, name, fields: fields, vector)
    }

    private func exportFullFile() throws {
        let (number, full) = (current.number + 1, current.rows)
        let next = try open(number)
        state.withLock { state in
            state.fullCount += full.count
            (state.number, state.rows) = (number, next)
        }
        try full.finish()
    }

    func flush() throws { try current.rows.flush() }
    func finish() throws { try current.rows.finish() }
    func discard() throws { try current.rows.discard() }
    func keep() -> String? { current.rows.keep().map { _ in WrittenRows.kept(count, of: output) } }
}
