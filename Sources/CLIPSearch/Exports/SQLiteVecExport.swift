internal import Files

/// Writes an SQL script for SQLite with the extension sqlite-vec: a table of paths, and a virtual
/// table of vectors with the same rowids, from 1, in one transaction.
///
/// Names that are not UTF-8 keep their bytes.
///
/// Source: https://alexgarcia.xyz/sqlite-vec/features/vec0.html
package final class SQLiteVecExport: EmbeddingExport {
    /// The largest number of dimensions of sqlite-vec.
    package static let mostDimensions = 8_192

    private let output: ExportStream
    private let table: String
    private let dimension: Int
    private var rowCount = 0
    private var isBegun = false
    package let replacedNames = 0
    package var usesFields: Bool { false }

    /// Starts the script.
    ///
    /// - Parameters:
    ///   - output: The destination.
    ///   - schema: The properties of the table.
    ///   - table: The name of the table of paths, an SQL identifier; the vectors are in a table
    ///     with the suffix `_vec`.
    /// - Throws: `EmbeddingFileError.unwritable` if the vectors have more than 8,192 dimensions.
    package init(
        _ output: ExportStream, _ schema: ExportSchema, table: String
    ) throws(EmbeddingFileError) {
        guard schema.dimension <= Self.mostDimensions else {
            throw .unwritable(
                path: output.name,
                reason: """
                    expected at most \(Self.mostDimensions) dimensions, the limit of sqlite-vec, \
                    found \(schema.dimension)
                    """)
        }
        self.output = output
        self.table = table
        dimension = schema.dimension
    }

    private var beginning: [UInt8] {
        Array(
            """
            BEGIN;
            CREATE TABLE "\(table)" (id INTEGER PRIMARY KEY, path TEXT NOT NULL);
            CREATE VIRTUAL TABLE "\(table)_vec" USING vec0(
                embedding float[\(dimension)] distance_metric=cosine);

            """.utf8)
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        var text = isBegun ? [] : beginning
        isBegun = true
        let numbers = littleEndianBytes(of: block.vectors[...])
        text.reserveCapacity(2 * numbers.count + 256 * block.count)
        for (row, name) in block.names.enumerated() {
            rowCount += 1
            text += "INSERT INTO \"\(table)\" VALUES (\(rowCount), ".utf8
            text += Self.literal(name)
            text +=
                ");\nINSERT INTO \"\(table)_vec\" (rowid, embedding) VALUES (\(rowCount), x'".utf8
            let start = 4 * dimension * row
            text += hexadecimalDigits(of: numbers[start..<(start + 4 * dimension)]).utf8
            text += "');\n".utf8
        }
        try output.write(text)
    }

    /// Returns a text as an SQL literal.
    ///
    /// Control characters could end a line of the script; a text that has them, or that is not
    /// UTF-8, is written in hexadecimal digits.
    private static func literal(_ name: FilePath) -> [UInt8] {
        let quote = UInt8(ascii: "'")
        guard name.isUTF8, name.bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
            return Array("CAST(x'\(hexadecimalDigits(of: name.bytes))' AS TEXT)".utf8)
        }
        var text = [quote]
        for byte in name.bytes {
            if byte == quote { text.append(quote) }
            text.append(byte)
        }
        return text + [quote]
    }

    package func finish() throws(EmbeddingFileError) {
        try output.write((isBegun ? [] : beginning) + "COMMIT;\n".utf8)
        try output.finish()
    }

    package func discard() { output.discard() }
}
