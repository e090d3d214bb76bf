public import CLIP
internal import Tensors

/// Vectors with names, in memory: for those that no folder of pictures keeps.
public struct NamedEmbeddings: Sendable {
    /// The name of each row. Bytes that are not UTF-8 become U+FFFD.
    public var names: [String] { files.map(\.description) }
    package private(set) var files: [FilePath] = []
    /// As they came.
    public var embeddings: Embeddings { Embeddings(rows: values, dimension: dimension) }
    /// Of the vectors.
    public let dimension: Int
    /// The model that made the vectors, if a file says so.
    public private(set) var model: ModelRecord?
    private var values: [Float] = []

    /// None yet.
    public init(dimension: Int) {
        precondition(dimension > 0, "vectors of \(dimension) numbers")
        self.dimension = dimension
    }

    /// Adds a vector, of any length.
    package mutating func append(_ name: FilePath, _ vector: [Float]) {
        precondition(vector.count == dimension, "\(vector.count) numbers of \(dimension)")
        files.append(name)
        values += vector
    }

    /// The vectors most like another, best first, those of one cosine in the order of their names.
    ///
    /// - Parameters:
    ///   - vector: of any length.
    ///   - top: how many at most.
    ///   - threshold: the least cosine.
    ///   - threads: all cores of the process if nil.
    public func search(
        _ vector: [Float], top: Int, threshold: Float = -1, threads: Int? = nil
    ) -> [EmbeddingIndex.Match] {
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        let query = Embeddings(rows: vector, dimension: dimension).normalized().values
        let cosines = dotProducts(of: embeddings.normalized().values, with: query, on: pool)
            .map { min(1, max(-1, $0)) }
        guard let least = largest(top, of: cosines, atLeast: threshold) else { return [] }
        let found = cosines.indices.filter { cosines[$0] >= least }
            .map { EmbeddingIndex.Match(file: files[$0], cosine: cosines[$0]) }
            .sorted { ($1.cosine, $0.file) < ($0.cosine, $1.file) }
        return Array(found.prefix(top))
    }

    /// Writes NumPy's `.npy`, float32 [rows, dimension], and the names beside it: `x.names.jsonl` beside `x.npy`.
    ///
    /// - Throws: `CLIPError.unwritableFile`.
    package func write(npy path: FilePath) throws(CLIPError) {
        let writer = try EmbeddingWriter(
            path: path, layout: .npy, dimension: dimension, job: "named", resuming: false)
        for (row, name) in files.enumerated() {
            let place = row * dimension
            try writer.append(
                "image", name, fields: [], vector: Array(values[place..<(place + dimension)]))
        }
        try writer.finish()
    }

    /// Reads what NumPy or `EmbeddingWriter` wrote: `.npy`, float32 [rows, dimension], and the names that lie beside it;
    /// where there are none, rows have their numbers.
    ///
    /// - Throws: `CLIPError.unreadableFile` of any other array, and if there are not as many names as rows.
    package init(npy path: FilePath) throws(CLIPError) {
        do throws(FileError) {
            let file = try MappedFile(path: path.bytes)
            let (offset, rows, dimension) = try Self.shape(of: file)
            self.dimension = dimension
            values = file.floats(at: offset, count: rows * dimension)
            guard values.allSatisfy(\.isFinite) else {
                throw FileError(reason: "it has numbers that are not finite")
            }
            model = try ModelRecord.read(besideNPY: path)
            if let model, model.dimension != dimension {
                throw FileError(
                    reason: """
                        its vectors have \(dimension) numbers, but \(ModelRecord.file(besideNPY: path)) is of \
                        a model with \(model.dimension): it belongs to other vectors; remove it
                        """)
            }
            let beside = FilePath(path.bytes.dropLast(4) + ".names.jsonl".utf8)
            guard path.pathExtension == "npy", (try? FileStatus(path: beside.bytes)) != nil else {
                files = (0..<rows).map { FilePath("\($0)") }
                return
            }
            let lines = try InputFile(path: beside.bytes)
            while let line = try lines.read(upTo: UInt8(ascii: "\n")) {
                guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
                    let name = FilePath(quoted: line[(colon + 1)...])
                else { throw FileError(reason: "line \(files.count + 1) of \(beside) has no name") }
                files.append(name)
            }
            guard files.count == rows else {
                throw FileError(reason: "it has \(rows) rows, but \(beside) \(files.count) names")
            }
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Where the numbers begin, and how many there are.
    private static func shape(
        of file: MappedFile
    ) throws(FileError) -> (offset: Int, rows: Int, dimension: Int) {
        let magic = [0x93] + Array("NUMPY".utf8)
        guard file.count >= 12, file.bytes(0..<6) == magic else {
            throw FileError(reason: "it is no .npy file of NumPy")
        }
        let isLong = file.number(6, 1) >= 2
        let start = isLong ? 12 : 10
        let length = Int(file.number(8, isLong ? 4 : 2))
        guard length <= file.count - start else { throw FileError(reason: "it is cut off") }
        let header = String(decoding: file.bytes(start..<(start + length)), as: UTF8.self)
        let shape = header.firstRange(of: "'shape': (").map { header[$0.upperBound...] } ?? ""
        let sides = shape.prefix { $0 != ")" }.split(separator: ",")
            .map { Int($0.filter { $0 != " " }) }
        if sides.count == 2, sides[0] == 0 { throw FileError(reason: "it has no rows") }
        guard header.contains("'<f4'"), header.contains("'fortran_order': False"),
            sides.count == 2, let rows = sides[0], let dimension = sides[1], rows > 0, dimension > 0
        else {
            throw FileError(
                reason: "it is to be a matrix of float32 by rows ('<f4', [rows, dimension]), not "
                    + header.filter { !$0.isNewline }.trimmed)
        }
        let (count, overflow) = rows.multipliedReportingOverflow(by: dimension)
        guard !overflow, count == (file.count - start - length) / 4 else {
            throw FileError(
                reason: "it is cut off: \(rows) x \(dimension) numbers are to follow its header")
        }
        return (start + length, rows, dimension)
    }
}

extension String {
    /// Without the spaces at its end.
    fileprivate var trimmed: String {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
