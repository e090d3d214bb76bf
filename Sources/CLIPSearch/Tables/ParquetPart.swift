internal import CLIP
internal import Files

/// A Parquet file as a part of a table.
struct ParquetPart: TablePart {
    let path: FilePath
    let model: ModelRecord?
    let rowCount: Int
    let missingCount: Int
    let dimension: Int
    let textCount: Int
    let columns: [ParquetColumn]
    let unsupportedColumns: [String]
    private let vectorColumn: String
    /// The column that tells texts from images; nil if there is none.
    private let kindColumn: String?

    /// Opens a file.
    ///
    /// - Throws: `FileError`, also if it has no column of vectors, and if its metadata states a
    ///   model of another dimension.
    init(_ path: FilePath) throws(FileError) {
        let file = try ParquetFile(path)
        self.path = path
        unsupportedColumns = file.unsupportedColumns
        (vectorColumn, dimension) = try ParquetTable.vectorColumn(of: file)
        try file.checkValueCount(of: vectorColumn)
        missingCount = file.missingCount(of: vectorColumn)
        rowCount = file.rowCount - missingCount
        model = ModelRecord(metadata: file.metadata)
        if rowCount > 0 { try model?.check(dimension: dimension, in: "its metadata") }
        let names = ParquetTable.nameColumns(of: file)
        let kind = file.columns.first {
            $0.name == EmbeddingTable.kindColumn && $0.kind == .string
                && names.contains(ParquetTable.path)
        }
        // Another table may have a column of this name with other values.
        var texts: Int?
        if let kind {
            texts = try Self.textCount(
                of: file, kind.name, vectorColumn: missingCount > 0 ? vectorColumn : nil)
        }
        kindColumn = texts == nil ? nil : kind?.name
        textCount = texts ?? 0
        let taken = names + file.vectorColumns.map(\.name) + [kindColumn].compactMap(\.self)
        columns = file.columns.filter { !taken.contains($0.name) }
            .map { ParquetColumn(name: $0.name, kind: $0.kind, isOptional: true) }
    }

    private static let text = ParquetValue.string(Array("text".utf8))
    private static let image = ParquetValue.string(Array("image".utf8))

    /// Returns the number of rows with a vector that are texts.
    ///
    /// - Parameters:
    ///   - file: The file.
    ///   - column: The column that tells texts from images.
    ///   - vectorColumn: The column of vectors; nil if all rows have a vector.
    /// - Returns: The number; nil if a value is neither "text" nor "image".
    /// - Throws: `FileError`.
    private static func textCount(
        of file: ParquetFile, _ column: String, vectorColumn: String?
    ) throws(FileError) -> Int? {
        var count = 0
        for group in file.rowGroups.indices {
            let values = try file.values(of: column, rowGroup: group)
            guard values.allSatisfy({ $0 == text || $0 == image }) else { return nil }
            let texts = values.indices.filter { values[$0] == text }
            count += texts.count
            guard let vectorColumn, !texts.isEmpty else { continue }
            let missing = try file.vectors(of: vectorColumn, rowGroup: group).missing
            count -= Set(missing).intersection(texts).count
        }
        return count
    }

    var hasOtherNames: Bool {
        guard let file = try? ParquetFile(path) else { return true }
        return ParquetTable.nameColumns(of: file).contains { file.hasOtherText(in: $0) }
    }

    var files: [FilePath] { [path] }

    func rows(withFields: Bool) throws(FileError) -> any TableRows {
        Rows(self, try ParquetFile(path), withFields ? columns : [])
    }

    /// The rows of the file; one row group is in memory.
    private struct Rows: TableRows {
        private let part: ParquetPart
        private let file: ParquetFile
        /// The columns of the fields that are read.
        private let columns: [ParquetColumn]
        private var group = -1
        private var done = 0
        private var all = EmbeddingBlock(names: [], isText: [], fields: [], vectors: [])

        init(_ part: ParquetPart, _ file: ParquetFile, _ columns: [ParquetColumn]) {
            self.part = part
            self.file = file
            self.columns = columns
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
            if group >= 0 { file.forget(rowGroup: group) }
            group += 1
            guard group < file.rowGroups.count,
                file.rowCount == part.rowCount + part.missingCount
            else {
                throw FileError(reason: "it has changed while it was read")
            }
            // The old group is released before the next one is read.
            all = EmbeddingBlock(names: [], isText: [], fields: [], vectors: [])
            all.names = try ParquetTable.names(of: file, group)
            if let kind = part.kindColumn {
                all.isText = try file.values(of: kind, rowGroup: group).map {
                    $0 == ParquetPart.text
                }
            }
            all.fields = try file.fields(columns, rowGroup: group)
            let vectors = try file.vectors(of: part.vectorColumn, rowGroup: group)
            all.vectors = vectors.numbers
            all.names.remove(at: vectors.missing)
            all.isText.remove(at: vectors.missing)
            all.fields.remove(at: vectors.missing)
            guard all.vectors.count == all.count * part.dimension else {
                throw FileError(
                    reason: """
                        expected \(all.count) x \(part.dimension) numbers in row group \(group) \
                        of \(part.vectorColumn), found \(all.vectors.count)
                        """)
            }
            done = 0
        }
    }
}

extension Array {
    /// Removes the elements at ascending indices; an array without elements is left unchanged.
    fileprivate mutating func remove(at indices: [Int]) {
        guard !isEmpty, !indices.isEmpty else { return }
        var kept: [Element] = []
        kept.reserveCapacity(count - indices.count)
        var start = 0
        for index in indices {
            kept += self[start..<index]
            start = index + 1
        }
        self = kept + self[start...]
    }
}

extension ParquetFile {
    /// Returns true if a column may have bytes that are not UTF-8: if it has such a value, if it is
    /// not annotated as strings, or if it cannot be read.
    func hasOtherText(in name: String) -> Bool {
        guard let column = columns.first(where: { $0.name == name }), column.kind != .bytes else {
            return true
        }
        guard column.kind == .string else { return false }
        return rowGroups.indices.contains { group in
            guard let values = try? self.values(of: name, rowGroup: group) else { return true }
            return values.contains { value in
                if case .string(let bytes) = value { !bytes.isUTF8 } else { false }
            }
        }
    }

    /// Returns the values of columns in a row group, row by row; empty if there are no columns.
    ///
    /// - Throws: `FileError`, also if a column has not one value for each row.
    func fields(
        _ columns: [ParquetColumn], rowGroup group: Int
    ) throws(FileError) -> [[ParquetValue]] {
        guard !columns.isEmpty else { return [] }
        let count = rowGroups[group].count
        var all: [[ParquetValue]] = []
        for column in columns {
            let values = try self.values(of: column.name, rowGroup: group)
            guard values.count == count else {
                throw FileError(
                    reason: """
                        expected \(count) values in row group \(group) of the column \
                        \(column.name), found \(values.count)
                        """)
            }
            all.append(values)
        }
        return (0..<count).map { row in all.map { $0[row] } }
    }
}
