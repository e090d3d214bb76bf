internal import CLIP
internal import Files

/// A partition of clip-retrieval's directory as a part of a table: `img_emb/img_emb_0.npy` or
/// `text_emb/text_emb_0.npy`, and `metadata/metadata_0.parquet` if it exists.
///
/// Source: https://github.com/rom1504/clip-retrieval, `clip_inference/writer.py`
struct RetrievalPart: TablePart {
    let path: FilePath
    let model: ModelRecord?
    let columns: [ParquetColumn]
    let unsupportedColumns: [String]
    private let vectors: NPYFile
    private let metadata: FilePath?
    private let nameColumn: String?
    private let isText: Bool
    private let firstRow: Int

    /// Opens a partition.
    ///
    /// - Parameters:
    ///   - path: The path of the vectors.
    ///   - metadata: The path of the metadata; they need not exist.
    ///   - isText: True for vectors of texts, whose names are the captions.
    ///   - firstRow: The number of rows in earlier parts.
    ///   - model: The model that made the vectors.
    /// - Throws: `FileError`, also if there is not one row of metadata for each vector.
    init(
        _ path: FilePath, metadata: FilePath, isText: Bool, firstRow: Int, model: ModelRecord?
    ) throws(FileError) {
        self.path = path
        self.isText = isText
        self.firstRow = firstRow
        self.model = model
        vectors = try NPYFile(path)
        guard (try? FileStatus(path: metadata.bytes)) != nil else {
            (self.metadata, nameColumn, columns) = (nil, nil, [])
            unsupportedColumns = []
            return
        }
        self.metadata = metadata
        let file = try Self.open(metadata)
        guard file.rowCount == vectors.rowCount else {
            throw FileError(
                reason: "expected \(vectors.rowCount) rows in \(metadata), found \(file.rowCount)")
        }
        let wanted = isText ? "caption" : "image_path"
        nameColumn = file.columns.first { $0.name == wanted && $0.kind == .string }?.name
        let taken = [nameColumn].compactMap(\.self) + file.vectorColumns.map(\.name)
        unsupportedColumns = file.unsupportedColumns
        columns = file.columns.filter { !taken.contains($0.name) }
            .map { ParquetColumn(name: $0.name, kind: $0.kind, isOptional: true) }
    }

    private static func open(_ metadata: FilePath) throws(FileError) -> ParquetFile {
        do throws(FileError) {
            return try ParquetFile(metadata)
        } catch {
            throw FileError(reason: "\(metadata) cannot be read: \(error.reason)")
        }
    }

    var files: [FilePath] { [path] + (metadata.map { [$0] } ?? []) }
    var rowCount: Int { vectors.rowCount }
    var dimension: Int { vectors.dimension }
    var textCount: Int { isText ? rowCount : 0 }
    var hasOtherNames: Bool {
        guard let metadata, let nameColumn else { return false }
        return (try? Self.open(metadata).hasOtherText(in: nameColumn)) ?? true
    }

    func rows(withFields: Bool) throws(FileError) -> any TableRows {
        Rows(
            self, try metadata.map { path throws(FileError) in try Self.open(path) },
            withFields ? columns : [])
    }

    /// The rows of the partition; the metadata of one row group are in memory.
    private struct Rows: TableRows {
        private let part: RetrievalPart
        private let file: ParquetFile?
        /// The columns of the fields that are read.
        private let columns: [ParquetColumn]
        private var done = 0
        private var group = -1
        /// The rows of the current row group.
        private var loaded = 0..<0
        private var names: [FilePath] = []
        private var fields: [[ParquetValue]] = []

        init(_ part: RetrievalPart, _ file: ParquetFile?, _ columns: [ParquetColumn]) {
            self.part = part
            self.file = file
            self.columns = columns
        }

        mutating func next(_ most: Int) throws(FileError) -> EmbeddingBlock {
            while let file, done == loaded.upperBound { try readGroup(of: file) }
            let end = file == nil ? done + most : min(done + most, loaded.upperBound)
            let rows = done..<end
            done = end
            var block = EmbeddingBlock(
                names: rows.map { FilePath("\(part.firstRow + $0)") },
                isText: part.isText ? rows.map { _ in true } : [], fields: [],
                vectors: try part.vectors.values(ofRows: rows))
            let start = loaded.lowerBound
            if part.nameColumn != nil {
                block.names = Array(names[(rows.lowerBound - start)..<(rows.upperBound - start)])
            }
            if !columns.isEmpty {
                block.fields = Array(fields[(rows.lowerBound - start)..<(rows.upperBound - start)])
            }
            return block
        }

        private mutating func readGroup(of file: ParquetFile) throws(FileError) {
            group += 1
            guard group < file.rowGroups.count else {
                throw FileError(reason: "its metadata have changed while they were read")
            }
            loaded = file.rowGroups[group]
            (names, fields) = ([], [])
            fields = try file.fields(columns, rowGroup: group)
            guard let column = part.nameColumn else { return }
            names = try file.values(of: column, rowGroup: group).map { value in
                if case .string(let bytes) = value { FilePath(bytes) } else { FilePath("") }
            }
            guard names.count == loaded.count else {
                throw FileError(
                    reason: """
                        expected \(loaded.count) values of \(column) in row group \(group) of the \
                        metadata, found \(names.count)
                        """)
            }
        }
    }
}
