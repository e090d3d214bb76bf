import CLIP
import CLIPSearch

/// Where the rows of `clip encode` go.
protocol RowOutput: AnyObject {
    /// Whether all of this was done before.
    var isWhole: Bool { get }
    var count: Int { get }
    /// Whether a row was written by a run that did not end well.
    func hasRow(_ kind: String, _ name: FilePath) -> Bool
    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws
    /// Makes sure that what is there can be gone on with.
    func flush() throws
    func finish() throws
    func discard() throws
}

/// Rows that are in a file as soon as they are there.
final class WrittenRows: RowOutput {
    private let writer: EmbeddingWriter
    private let isNormalized: Bool
    private let model: String?
    private var lastFlushed = ContinuousClock.now

    /// - Parameter model: the name that each row gets, if rows are objects.
    init(_ writer: EmbeddingWriter, isNormalized: Bool, model: String?) {
        self.writer = writer
        self.isNormalized = isNormalized
        self.model = model
    }

    var isWhole: Bool { writer.isWhole }
    var count: Int { writer.count }
    func hasRow(_ kind: String, _ name: FilePath) -> Bool { writer.hasRow(kind, name) }

    func append(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], _ vector: [Float]
    ) throws {
        try writer.append(
            kind, name, fields: model.map { naming($0, fields) } ?? fields,
            vector: isNormalized ? normalized(vector) : vector)
        // No more work than that is lost.
        let now = ContinuousClock.now
        if now - lastFlushed > .milliseconds(200) {
            try writer.flush()
            lastFlushed = now
        }
    }

    func flush() throws { try writer.flush() }
    func finish() throws { try writer.finish() }
    func discard() throws { try writer.discard() }
}

/// Rows that are printed as they come, or kept until all are there.
final class CollectedRows: RowOutput {
    private let format: Encode.Format
    private let dimension: Int
    private let isNormalized: Bool
    private let output: String?
    private let model: String
    private var values: [Float] = []
    private var objects: [JSON] = []
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
    func hasRow(_ kind: String, _ name: FilePath) -> Bool { false }

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
            printLine(object)
        } else {
            objects.append(object)
        }
    }

    func flush() {}
    func discard() {}

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
    Embeddings(values: vector, dimension: vector.count).normalized().values
}
