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

/// Where the rows of `clip encode` go.
protocol RowOutput: AnyObject {
    /// Whether all of this was done before.
    var isWhole: Bool { get }
    var count: Int { get }
    /// The note about rows of an earlier run whose inputs this run does not have; nil if there are
    /// none.
    var foreignRows: String? { get }
    /// Whether a row was written by a run that did not end well.
    func takeRow(_ kind: String, _ name: FilePath) -> Bool
    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws
    /// Makes sure that what is there can be gone on with.
    func flush() throws
    func finish() throws
    func discard() throws
    /// Makes sure that what is there can be gone on with, for a process that is about to end, and returns what to
    /// tell the user; called by any thread.
    func keep() -> String?
}

/// Rows that are in a file as soon as they are there.
///
/// One thread writes them; `keep` alone may be called by another one, and both hold `gate` then.
final class WrittenRows: RowOutput, @unchecked Sendable {
    private let writer: EmbeddingWriter
    private let isNormalized: Bool
    private let output: String
    private let gate = Mutex(())
    private let model: String?
    private var lastFlushed = ContinuousClock.now
    private var isFinished = false
    /// The numbers of rows of an earlier run, and of those among them that are of inputs of this
    /// one.
    private let earlier: Int
    private var met = 0

    /// - Parameter model: the name that each row gets, if rows are objects.
    init(_ writer: EmbeddingWriter, isNormalized: Bool, output: String, model: String?) {
        self.writer = writer
        self.isNormalized = isNormalized
        self.model = model
        self.output = output
        earlier = writer.count
    }

    var isWhole: Bool { writer.isWhole }
    var count: Int { writer.count }

    func takeRow(_ kind: String, _ name: FilePath) -> Bool {
        let isThere = writer.takeRow(kind, name)
        if isThere { met += 1 }
        return isThere
    }

    /// A remark about rows of an earlier run that none of the inputs has; nil if there are none.
    var foreignRows: String? {
        let rest = earlier - met
        guard rest > 0 else { return nil }
        return """
            encode: \(grouped(rest)) of the \(counted(count, "row")) in \(output) are not of these inputs
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
            // No more work than that is lost.
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
            let place = output.hasSuffix("/") ? output : "\(output).partial"
            return """
                encode: \(grouped(writer.count)) rows are kept in \(place); run it again with --resume to go on
                """
        }
    }
}

/// Rows that are printed as they come, or kept until all are there.
///
/// One thread writes them; `keep` alone may be called by another one, and both hold `gate` then.
final class CollectedRows: RowOutput, @unchecked Sendable {
    private let format: Encode.Format
    private let dimension: Int
    private let isNormalized: Bool
    private let output: String?
    private let model: String
    private var values: [Float] = []
    private var objects: [JSON] = []
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

    var isWhole: Bool { false }
    var foreignRows: String? { nil }
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
        let object = JSON.raw(
            EmbeddingWriter.object(
                kind, name, fields: format == .jsonl ? naming(model, fields) : fields, vector: row))
        if format == .jsonl && isStandardOutput(output) {
            gate.withLock { _ in
                guard !isFinished else { return }
                printLine(object)
                // Whoever ends the process then finds whole lines.
                fflush(stdout)
            }
        } else {
            objects.append(object)
        }
    }

    func flush() {}
    func discard() {}

    /// Waits until a line that is being printed is whole, but no longer than two seconds for
    /// whoever reads it.
    func keep() -> String? {
        for _ in 0..<100 {
            if gate.withLockIfAvailable({ _ in isFinished = true }) != nil { break }
            usleep(20_000)
        }
        return nil
    }

    func finish() throws {
        switch format {
        case .npy, .shards:
            try write(npy(values, shape: [count, dimension]), to: output)
        case .json:
            let all = JSON.object([
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

/// The fields of a row that stands by itself, which names the model; a field of that name stays.
private func naming(
    _ model: String, _ fields: [(key: String, value: [UInt8])]
) -> [(key: String, value: [UInt8])] {
    guard !fields.contains(where: { $0.key == "model" }) else { return fields }
    return [("model", JSON.string(model).bytes)] + fields
}

private func normalized(_ vector: [Float]) -> [Float] {
    Embeddings(rows: vector, dimension: vector.count).normalized().values
}
