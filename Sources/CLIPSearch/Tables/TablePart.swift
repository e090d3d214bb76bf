package import CLIP
package import Files

/// Consecutive rows of an `EmbeddingTable`.
package struct EmbeddingBlock: Sendable {
    /// The name of each row: the path of an image, or a text.
    package var names: [FilePath]
    /// True for each row that is a text; empty if all rows are images.
    package var isText: [Bool]
    /// The values of each row, one for each column of the table; empty if it has no columns, or if
    /// they are not read.
    package var fields: [[ParquetValue]]
    /// The vectors, one after the other.
    package var vectors: [Float]

    /// The number of rows.
    package var count: Int { names.count }
}

/// A file of a table, or another part of it, with its names and fields.
protocol TablePart: Sendable {
    /// The path to name in errors.
    var path: FilePath { get }
    /// The files that are read.
    var files: [FilePath] { get }
    /// The number of rows with a vector.
    var rowCount: Int { get }
    /// The number of rows without a vector, which are left out.
    var missingCount: Int { get }
    var dimension: Int { get }
    /// The number of rows that are texts.
    var textCount: Int { get }
    /// True if the name of a row may have bytes that are not UTF-8.
    var hasOtherNames: Bool { get }
    /// The columns of the fields.
    var columns: [ParquetColumn] { get }
    /// The names of the columns that cannot be read.
    var unsupportedColumns: [String] { get }
    /// The model that made the vectors; nil if it is not recorded.
    var model: ModelRecord? { get }

    /// Opens the part for reading from its first row, with or without the fields.
    func rows(withFields: Bool) throws(FileError) -> any TableRows
}

extension TablePart {
    var missingCount: Int { 0 }
    var unsupportedColumns: [String] { [] }
}

/// The rows of a part, in their order.
protocol TableRows {
    /// Returns the next rows: at most `most` of them, and at least one; the part has enough rows.
    ///
    /// The fields have the values of all columns of the part; they may be empty if they are not
    /// needed.
    mutating func next(_ most: Int) throws(FileError) -> EmbeddingBlock
}

/// The rows of an `EmbeddingTable`, read in blocks of about 256 kB.
package struct EmbeddingBlocks {
    private let table: EmbeddingTable
    private let hasFields: Bool
    private let blockRows: Int
    private var part = 0
    private var rows: (any TableRows)?
    /// The number of rows of the current part that were returned.
    private var done = 0

    init(_ table: EmbeddingTable, hasFields: Bool) {
        self.table = table
        self.hasFields = hasFields
        blockRows = max(1, (1 << 16) / table.dimension)
    }

    /// Returns the next rows; nil after the last one.
    ///
    /// A name may have any bytes, because texts are names, too.
    ///
    /// - Throws: `CLIPError.unreadableFile`, also if a vector contains NaN or infinity.
    package mutating func next() throws(CLIPError) -> EmbeddingBlock? {
        guard part < table.parts.count else { return nil }
        let current = table.parts[part]
        do throws(FileError) {
            if rows == nil { rows = try current.rows(withFields: hasFields) }
            let most = min(blockRows, current.rowCount - done)
            guard var block = try rows?.next(most) else { return nil }
            precondition(
                (1...most).contains(block.count)
                    && block.vectors.count == block.count * table.dimension,
                "expected 1...\(most) rows, found \(block.count)")
            if let place = firstNonFinite(block.vectors[...]) {
                let row = done + place / table.dimension
                throw FileError(reason: "row \(row), counted from 0, contains NaN or infinity")
            }
            if hasFields { align(&block, current) } else { block.fields = [] }
            done += block.count
            if done == current.rowCount { (part, rows, done) = (part + 1, nil, 0) }
            return block
        } catch {
            throw .unreadableFile(path: current.path.description, reason: error.reason)
        }
    }

    /// Reorders and converts the fields of a part to the columns of the table.
    private func align(_ block: inout EmbeddingBlock, _ part: any TablePart) {
        guard part.columns != table.columns else { return }
        let places = table.columns.map { column in
            part.columns.firstIndex { $0.name == column.name }
        }
        let old = block.fields
        block.fields = (0..<block.count).map { row in
            zip(table.columns, places).map { column, place in
                place.map { old[row][$0].converted(to: column.kind) } ?? .null
            }
        }
    }
}
