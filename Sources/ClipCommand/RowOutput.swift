import Files
import CLIP
import CLIPSearch
import Synchronization

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// A destination for the vectors of `clip encode`, one row per input.
protocol RowOutput: AnyObject {
    /// True if an earlier run has completed the output.
    var isComplete: Bool { get }
    /// The number of rows, including those of an interrupted run.
    var count: Int { get }
    /// The message that the output has rows of an earlier run which match none of the inputs; nil
    /// if it has no such rows.
    var unmatchedRowsNote: String? { get }
    /// Returns true if an earlier run has written a row for this input; true once for each row.
    func takeRow(_ kind: String, _ name: FilePath) -> Bool
    /// Appends the vector of an input.
    ///
    /// `fields` are additional members of its JSON object; their values are JSON.
    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws
    /// Writes buffered rows to the output, so that a later run can resume.
    func flush() throws
    /// Completes the output.
    func finish() throws
    /// Removes the unfinished output, if there is one.
    func discard() throws
    /// Saves the rows before a signal ends the process; returns the message for the user, if any.
    ///
    /// Any thread may call it.
    func keep() -> String?
}

/// Rows that are written to a file as they arrive.
///
/// One thread calls everything but `keep`, which another thread may call at any time; `gate`
/// serialises the two.
final class WrittenRows: RowOutput, @unchecked Sendable {
    private let writer: EmbeddingWriter
    private let isNormalized: Bool
    private let output: String
    private let gate = Mutex(())
    private let model: String?
    private var lastFlushed = ContinuousClock.now
    private var isFinished = false
    /// The number of rows that an interrupted run has written.
    private let earlierCount: Int
    /// The number of rows of the interrupted run that match inputs of this run.
    private var matchedCount = 0

    /// Creates an output for rows.
    ///
    /// - Parameters:
    ///   - writer: The writer of the file.
    ///   - isNormalized: True to L2-normalise the vectors.
    ///   - output: The path as the user gave it, for messages.
    ///   - model: The name of the model to add to each row; nil except for JSON Lines.
    init(_ writer: EmbeddingWriter, isNormalized: Bool, output: String, model: String?) {
        self.writer = writer
        self.isNormalized = isNormalized
        self.model = model
        self.output = output
        earlierCount = writer.count
    }

    var isComplete: Bool { writer.isWhole }
    var count: Int { writer.count }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        let isThere = writer.takeRow(kind, name)
        if isThere { matchedCount += 1 }
        return isThere
    }

    var unmatchedRowsNote: String? {
        Self.unmatchedRowsNote(earlierCount - matchedCount, of: count, in: output)
    }

    /// Returns the message that rows of an earlier run match none of the inputs; nil if there are
    /// no such rows.
    static func unmatchedRowsNote(_ rest: Int, of count: Int, in output: String) -> String? {
        guard rest > 0 else { return nil }
        return """
            encode: \(grouped(rest)) of the \(counted(count, "row")) in \(output) match none of \
            the inputs
            """
    }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {
        let fields = model.map { naming($0, fields) } ?? fields
        let vector = isNormalized ? normalized(vector) : vector
        try gate.withLock { _ in
            guard !isFinished else { return }
            try writer.append(kind, name, fields: fields, vector: vector)
            // A crash loses at most this much work.
            let now = ContinuousClock.now
            if now - lastFlushed > .milliseconds(200) {
                try writer.flush()
                lastFlushed = now
            }
        }
    }

    func flush() throws { try gate.withLock { _ in try writer.flush() } }
    func finish() throws { try gate.withLock { _ in try writer.finish() } }
    func discard() throws { try gate.withLock { _ in try writer.discard() } }

    func keep() -> String? {
        gate.withLock { _ in
            isFinished = true
            guard (try? writer.flush()) != nil else { return nil }
            return Self.kept(writer.count, of: output)
        }
    }

    /// Returns the message that rows are saved.
    static func kept(_ count: Int, of output: String) -> String {
        """
        encode: \(grouped(count)) rows of \(output) are saved; run the command again with \
        --resume to continue
        """
    }
}

/// Rows that are printed as they arrive (JSON Lines on standard output), or collected until the
/// end.
///
/// One thread calls everything but `keep`, which another thread may call at any time; `gate`
/// serialises the two.
final class CollectedRows: RowOutput, @unchecked Sendable {
    private let format: Encode.Format
    private let dimension: Int
    private let isNormalized: Bool
    private let output: String?
    private let model: String
    private var values: [Float] = []
    private var objects: [JSONValue] = []
    private let gate = Mutex(())
    private var isFinished = false
    private(set) var count = 0

    init(
        format: Encode.Format, dimension: Int, isNormalized: Bool, output: String?, model: String
    ) {
        self.format = format
        self.dimension = dimension
        self.isNormalized = isNormalized
        self.output = output
        self.model = model
    }

    var isComplete: Bool { false }
    var unmatchedRowsNote: String? { nil }
    func takeRow(_ kind: String, _ name: FilePath) -> Bool { false }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) {
        count += 1
        let row = isNormalized ? normalized(vector) : vector
        guard format != .npy else {
            values += row
            return
        }
        let object = JSONValue.raw(
            EmbeddingWriter.object(
                kind, name, fields: format == .jsonl ? naming(model, fields) : fields, vector: row))
        if format == .jsonl && isStandardOutput(output) {
            gate.withLock { _ in
                guard !isFinished else { return }
                printLine(object)
                // Complete lines are out even if the process is killed.
                flushOutput()
            }
        } else {
            objects.append(object)
        }
    }

    func flush() {}
    func discard() {}

    /// Waits until the current line is printed completely, at most two seconds for a slow reader.
    func keep() -> String? {
        for _ in 0..<100 {
            if gate.withLockIfAvailable({ _ in isFinished = true }) != nil { break }
            usleep(20_000)
        }
        return nil
    }

    func finish() throws {
        switch format {
        case .npy, .shards, .parquet, .clipRetrieval:
            try write(npy(values, shape: [count, dimension]), to: output)
        case .json:
            let all = JSONValue.object([
                "model": .string(model), "dimension": .integer(dimension),
                "normalized": .bool(isNormalized), "embeddings": .array(objects),
            ])
            try write(all.bytes + [UInt8(ascii: "\n")], to: output)
        case .jsonl:
            guard !isStandardOutput(output) else { return }
            try write(objects.flatMap { $0.bytes + [UInt8(ascii: "\n")] }, to: output)
        }
    }
}

/// Returns the fields of a row with the name of the model first, unless a field `model` exists.
private func naming(
    _ model: String, _ fields: [(key: String, value: [UInt8])]
) -> [(key: String, value: [UInt8])] {
    guard !fields.contains(where: { $0.key == "model" }) else { return fields }
    return [("model", JSONValue.string(model).bytes)] + fields
}

private func normalized(_ vector: [Float]) -> [Float] {
    Embeddings(rows: vector, dimension: vector.count).normalized().values
}
