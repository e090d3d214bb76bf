package import Files
public import CLIP
internal import Tensors

/// Vectors with names, in memory: read from `.npy` files, or collected by the caller.
///
/// ```swift
/// var titles = NamedEmbeddings(dimension: 512)
/// try titles.append("a bike", model.encode(text: "a bike"))
/// try titles.write(npy: "titles.npy")
/// for match in try titles.search(query, top: 10) { print(match.cosine, match.path) }
/// ```
public struct NamedEmbeddings: Sendable {
    /// The name of each row, with U+FFFD in place of bytes that are not UTF-8.
    public var names: [String] { files.map(\.description) }
    package private(set) var files: [FilePath] = []
    /// The vectors, as they were appended or read.
    public var embeddings: Embeddings { Embeddings(rows: values, dimension: dimension) }
    /// The number of dimensions of each vector.
    public let dimension: Int
    /// The model that made the vectors; nil if no file beside them names it.
    public private(set) var model: ModelRecord?
    private var values: [Float] = []
    /// The vectors with L2 norm 1, if several searches share them.
    private var units: Embeddings?

    /// Makes an empty collection of vectors.
    ///
    /// - Parameter dimension: The number of dimensions of each vector, at least 1.
    public init(dimension: Int) {
        precondition(dimension > 0, "expected at least 1 dimension, found \(dimension)")
        self.dimension = dimension
    }

    /// Appends a vector, which may have any norm, under a name.
    ///
    /// - Throws: `VectorError.wrongDimension`.
    package mutating func append(_ name: FilePath, _ vector: [Float]) throws(VectorError) {
        try VectorError.check(dimension: vector.count, expected: dimension)
        files.append(name)
        values += vector
        units = nil
    }

    /// Normalises the vectors now, not at each search, which takes their memory twice.
    package mutating func prepareSearches() { units = embeddings.normalized() }

    /// Returns the vectors most similar to another, best first; ties are ordered by name.
    ///
    /// - Parameters:
    ///   - vector: The query, of any norm but 0.
    ///   - top: The largest number of vectors to return.
    ///   - threshold: The least cosine of a match.
    ///   - threads: The number of threads; all cores of the process if nil.
    /// - Returns: The matches; `path` is the name of the vector.
    /// - Throws: `VectorError` if `vector` has another dimension, is zero, or contains NaN or
    ///   infinity.
    /// - Complexity: O(count · `dimension`).
    public func search(
        _ vector: [Float], top: Int, threshold: Float = -1, threads: Int? = nil
    ) throws(VectorError) -> [FolderIndex.Match] {
        let query = try VectorError.unit(vector, dimension: dimension)
        let pool = WorkspacePool(threads: max(1, threads ?? availableCores()))
        // By rounding, some cosines are beyond -1...1.
        let found = nearest(
            top, to: query, among: (units ?? embeddings.normalized()).values,
            atLeast: threshold <= -1 ? -.infinity : threshold, ceiling: 1, on: pool
        )
        .map { FolderIndex.Match(file: files[$0.row], cosine: min(1, max(-1, $0.product))) }
        .sorted { ($1.cosine, $0.file) < ($0.cosine, $1.file) }
        return Array(found.prefix(max(0, top)))
    }

    /// Writes the vectors to a `.npy` file, float32 [rows, dimension], and the names beside it.
    ///
    /// The names of `x.npy` are in `x.names.jsonl`.
    ///
    /// - Throws: `EmbeddingFileError`.
    package func write(npy path: FilePath) throws(EmbeddingFileError) {
        let writer = try EmbeddingWriter(
            path: path, layout: .npy, dimension: dimension, job: "named", resuming: false)
        for (row, name) in files.enumerated() {
            let place = row * dimension
            try writer.append(
                "image", name, fields: [], vector: Array(values[place..<(place + dimension)]))
        }
        try writer.finish()
    }

    /// Reads vectors that NumPy or `EmbeddingWriter` wrote, float32 or float16 [rows,
    /// dimension], and the names beside them.
    ///
    /// Without a file of names, the rows are named by their numbers, from 0.
    ///
    /// - Throws: `CLIPError.unreadableFile`, also for an array of another type or shape, for NaN or
    ///   infinity, if there is not one name for each row, and if the model record is damaged or has
    ///   another dimension.
    package init(npy path: FilePath) throws(CLIPError) {
        do throws(FileError) {
            let file = try NPYFile(path)
            let rows = file.rowCount
            dimension = file.dimension
            values = try file.values(ofRows: 0..<rows)
            guard firstNonFinite(values[...]) == nil else {
                throw FileError(reason: "it contains NaN or infinity")
            }
            model = try ModelRecord.read(besideNPY: path, dimension: dimension)
            let beside = EmbeddingPart.names(path)
            guard path.pathExtension == "npy", (try? FileStatus(path: beside.bytes)) != nil else {
                files = (0..<rows).map { FilePath("\($0)") }
                return
            }
            let lines = try InputFile(path: beside.bytes)
            while let line = try lines.read(upTo: UInt8(ascii: "\n")) {
                guard let colon = line.firstIndex(of: UInt8(ascii: ":")),
                    let name = FilePath(
                        quoted: line[(colon + 1)...].drop { $0 == UInt8(ascii: " ") })
                else { throw FileError(reason: "line \(files.count + 1) of \(beside) has no name") }
                files.append(name)
            }
            guard files.count == rows else {
                throw FileError(reason: "expected \(rows) names in \(beside), found \(files.count)")
            }
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Reads all vectors of a table, with their names and the record of their model.
    ///
    /// - Throws: `CLIPError.unreadableFile`, also if a vector contains NaN or infinity.
    package init(_ table: EmbeddingTable) throws(CLIPError) {
        dimension = table.dimension
        model = table.model
        // A damaged file may state more rows and dimensions than it has.
        let most = 1 << 26
        let (count, overflow) = table.rowCount.multipliedReportingOverflow(by: dimension)
        files.reserveCapacity(min(most, table.rowCount))
        values.reserveCapacity(overflow ? most : min(most, count))
        var blocks = table.blocks(withFields: false)
        while let block = try blocks.next() {
            files += block.names
            values += block.vectors
        }
    }
}
