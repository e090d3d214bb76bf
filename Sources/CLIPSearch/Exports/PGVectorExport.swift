internal import Files

/// Writes rows for PostgreSQL's `COPY … FROM STDIN (FORMAT BINARY)`: `id bigint`, `path text` and
/// `embedding`, a `vector` or `halfvec` of pgvector.
///
/// Ids are row numbers from 1. PostgreSQL stores neither NUL nor bytes that are not UTF-8 in texts;
/// U+FFFD replaces them.
///
/// Source: https://www.postgresql.org/docs/current/sql-copy.html, and pgvector's `vector_recv` and
/// `halfvec_recv`
package final class PGVectorExport: EmbeddingExport {
    /// The type of the vectors.
    package enum VectorType: String, Sendable, CaseIterable {
        /// Numbers of 4 bytes.
        case vector
        /// Numbers of 2 bytes.
        case halfvec

        /// The largest number of dimensions that an HNSW index supports.
        package var indexedDimensions: Int { self == .vector ? 2_000 : 4_000 }
    }

    /// The largest number of dimensions of a `vector` and a `halfvec`.
    package static let mostDimensions = 16_000

    private let output: ExportStream
    private let type: VectorType
    private let dimension: Int
    private var rowCount = 0
    private var isBegun = false
    package private(set) var replacedNames = 0
    package var usesFields: Bool { false }

    /// Starts the rows.
    ///
    /// - Throws: `EmbeddingFileError.unwritable` if the vectors have more than 16,000 dimensions.
    package init(
        _ output: ExportStream, _ schema: ExportSchema, type: VectorType
    ) throws(EmbeddingFileError) {
        guard schema.dimension <= Self.mostDimensions else {
            throw .unwritable(
                path: output.name,
                reason: """
                    expected at most \(Self.mostDimensions) dimensions, the limit of pgvector, \
                    found \(schema.dimension)
                    """)
        }
        self.output = output
        self.type = type
        dimension = schema.dimension
    }

    /// Returns the SQL statements that make the table, load it and index it.
    ///
    /// - Parameters:
    ///   - table: The name of the table.
    ///   - dimension: The number of dimensions of the vectors.
    ///   - type: The type of the vectors.
    ///   - command: The command that writes the rows, for the comment on loading.
    /// - Returns: The statements and comments, one or more lines each.
    package static func statements(
        table: String, dimension: Int, type: VectorType, command: String
    ) -> String {
        let index =
            dimension <= type.indexedDimensions
            ? """
            CREATE INDEX ON "\(table)" USING hnsw (embedding \(type.rawValue)_cosine_ops)
                WITH (m = 16, ef_construction = 64);
            """
            : """
            -- No index: HNSW supports at most \(type.indexedDimensions) dimensions of \
            \(type.rawValue).
            """
        return """
            CREATE EXTENSION IF NOT EXISTS vector;
            CREATE TABLE "\(table)" (
                id bigint PRIMARY KEY, path text NOT NULL,
                embedding \(type.rawValue)(\(dimension)) NOT NULL);
            -- Load the rows before the index is made:
            -- \(command) | psql -c 'COPY "\(table)" FROM STDIN (FORMAT BINARY)'
            \(index)

            """
    }

    private var header: [UInt8] {
        // The signature, no flags, and no extension.
        Array("PGCOPY\n".utf8) + [0xFF, 0x0D, 0x0A, 0x00] + [UInt8](repeating: 0, count: 8)
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        let numbers = try naming(output.name) { () throws(FileError) in
            switch type {
            case .vector: bigEndianBytes(of: block.vectors[...])
            case .halfvec:
                bigEndianBytes(
                    of: try checkedHalfPrecision(
                        block.vectors, dimension: dimension, firstRow: rowCount))
            }
        }
        let width = dimension * (type == .vector ? 4 : 2)
        var bytes = isBegun ? [] : header
        isBegun = true
        bytes.reserveCapacity(numbers.count + 128 * block.count)
        for (row, name) in block.names.enumerated() {
            bytes.append(bigEndian: Int16(3))
            bytes.append(bigEndian: Int32(8))
            bytes.append(bigEndian: Int64(rowCount + row + 1))
            let (text, isChanged) = plainText(name)
            if isChanged { replacedNames += 1 }
            bytes.append(bigEndian: Int32(text.utf8.count))
            bytes += text.utf8
            bytes.append(bigEndian: Int32(4 + width))
            bytes.append(bigEndian: Int16(dimension))
            bytes.append(bigEndian: Int16(0))
            bytes += numbers[(row * width)..<((row + 1) * width)]
        }
        rowCount += block.count
        try output.write(bytes)
    }

    package func finish() throws(EmbeddingFileError) {
        var end = isBegun ? [] : header
        end.append(bigEndian: Int16(-1))
        try output.write(end)
        try output.finish()
    }

    package func discard() { output.discard() }
}
