internal import CLIP
internal import Files

/// A Parquet file as a part of a table.
struct ParquetPart: TablePart {
    let path: FilePath
    let model: ModelRecord?
    let rowCount: Int
    let dimension: Int
    let textCount: Int
    let columns: [ParquetColumn]
    private let vectorColumn: String
    private let nameColumns: (name: String?, bytes: String?, kind: String?)
    private let firstRow: Int

    /// The columns of names, in the order of preference.
    private static let nameColumns = ["path", "image_path", "text"]

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - firstRow: The number of rows in earlier parts.
    /// - Throws: `FileError`, also if it has no column of vectors or no rows, and if its model
    ///   record states another number of dimensions.
    init(_ path: FilePath, firstRow: Int = 0) throws(FileError) {
        let file = try ParquetFile(path)
        self.path = path
        self.firstRow = firstRow
        (vectorColumn, dimension) = try Self.vectorColumn(of: file)
        rowCount = file.rowCount
        model = ModelRecord(metadata: file.metadata)
        if let model, model.dimension != dimension {
            throw FileError(
                reason: """
                    its metadata state a model of \(model.dimension) dimensions, but its column \
                    \(vectorColumn) has \(dimension)
                    """)
        }
        nameColumns = Self.nameColumns(of: file)
        let taken = [nameColumns.name, nameColumns.bytes, nameColumns.kind].compactMap(\.self)
        let vectors = file.vectorColumns.map(\.name)
        columns = file.columns.filter { !taken.contains($0.name) && !vectors.contains($0.name) }
            .map { ParquetColumn(name: $0.name, kind: $0.kind, isOptional: true) }
        guard nameColumns.name != "text" else {
            textCount = rowCount
            return
        }
        var texts = 0
        if let kind = nameColumns.kind {
            for group in file.rowGroups.indices {
                texts += try file.values(of: kind, rowGroup: group).count(where: Self.isText)
            }
        }
        textCount = texts
    }

    /// Returns the column of vectors: `embedding`, or the only one.
    private static func vectorColumn(
        of file: ParquetFile
    ) throws(FileError) -> (String, Int) {
        let all = file.vectorColumns
        let named = all.first { $0.name == "embedding" } ?? (all.count == 1 ? all.first : nil)
        guard let named, named.dimension > 0 else {
            let names = all.map(\.name).joined(separator: ", ")
            throw FileError(
                reason: all.isEmpty
                    ? "expected a column of vectors (lists of float32 of one length), found none"
                    : "expected one column of vectors or one named embedding, found \(names)")
        }
        return (named.name, named.dimension)
    }

    private static func nameColumns(
        of file: ParquetFile
    ) -> (name: String?, bytes: String?, kind: String?) {
        func has(_ name: String, _ kind: ParquetColumn.Kind) -> Bool {
            file.columns.contains { $0.name == name && $0.kind == kind }
        }
        let name = nameColumns.first { has($0, .string) }
        return (
            name, name == "path" && has("path_bytes", .bytes) ? "path_bytes" : nil,
            name == "path" && has(EmbeddingTable.kindColumn, .string)
                ? EmbeddingTable.kindColumn : nil
        )
    }

    fileprivate static func isText(_ value: ParquetValue) -> Bool {
        value == .string(Array("text".utf8))
    }

    var files: [FilePath] { [path] }
    var hasOtherNames: Bool { nameColumns.bytes != nil }

    func rows() throws(FileError) -> any TableRows { Rows(self, try ParquetFile(path)) }

    /// The rows of the file; one row group is in memory.
    private struct Rows: TableRows {
        private let part: ParquetPart
        private let file: ParquetFile
        private var group = -1
        private var done = 0
        private var all = EmbeddingBlock(names: [], isText: [], fields: [], vectors: [])

        init(_ part: ParquetPart, _ file: ParquetFile) {
            self.part = part
            self.file = file
        }

        mutating func next(_ most: Int) throws(FileError) -> EmbeddingBlock {
            while done == all.count { try readGroup() }
            let rows = done..<min(done + most, all.count)
            done = rows.upperBound
            let width = part.dimension
            return EmbeddingBlock(
                names: Array(all.names[rows]),
                isText: all.isText.isEmpty ? [] : Array(all.isText[rows]),
                fields: all.fields.isEmpty ? [] : Array(all.fields[rows]),
                vectors: Array(
                    all.vectors[(rows.lowerBound * width)..<(rows.upperBound * width)]))
        }

        private mutating func readGroup() throws(FileError) {
            group += 1
            guard group < file.rowGroups.count else {
                throw FileError(reason: "it has changed while it was read")
            }
            let rows = file.rowGroups[group]
            // The old group is released before the next one is read.
            all = EmbeddingBlock(names: [], isText: [], fields: [], vectors: [])
            all.names = try names(rows)
            if part.textCount == part.rowCount {
                all.isText = rows.map { _ in true }
            } else if let kind = part.nameColumns.kind {
                all.isText = try file.values(of: kind, rowGroup: group).map(ParquetPart.isText)
            }
            if !part.columns.isEmpty {
                var values: [[ParquetValue]] = []
                for column in part.columns {
                    values.append(try file.values(of: column.name, rowGroup: group))
                    guard values.last?.count == rows.count else {
                        throw FileError(
                            reason: """
                                expected \(rows.count) values in row group \(group) of \
                                \(column.name), found \(values.last?.count ?? 0)
                                """)
                    }
                }
                all.fields = rows.indices.map { row in
                    values.map { $0[row - rows.startIndex] }
                }
            }
            all.vectors = try file.vectors(of: part.vectorColumn, rowGroup: group)
            guard all.vectors.count == rows.count * part.dimension, all.names.count == rows.count
            else {
                throw FileError(
                    reason: """
                        expected \(rows.count) x \(part.dimension) numbers in row group \(group) \
                        of \(part.vectorColumn), found \(all.vectors.count)
                        """)
            }
            done = 0
        }

        private func names(_ rows: Range<Int>) throws(FileError) -> [FilePath] {
            guard let column = part.nameColumns.name else {
                return rows.map { FilePath("\(part.firstRow + $0)") }
            }
            var names: [FilePath] = []
            names.reserveCapacity(rows.count)
            for value in try file.values(of: column, rowGroup: group) {
                guard case .string(let bytes) = value else {
                    let row = rows.lowerBound + names.count
                    throw FileError(
                        reason: "row \(row), counted from 0, has no value in the column \(column)")
                }
                names.append(FilePath(bytes))
            }
            guard let bytes = part.nameColumns.bytes else { return names }
            for (row, value) in try file.values(of: bytes, rowGroup: group).enumerated() {
                if case .bytes(let bytes) = value { names[row] = FilePath(bytes) }
            }
            return names
        }
    }
}
