package import Files

/// Writes a Parquet file: `embedding`, a list of float32 of fixed length, `path`, and the fields.
///
/// If a name is not UTF-8, `path` has U+FFFD, and a column `path_bytes` the bytes of the name. If
/// rows are texts, the column `kind` has "image" or "text". The metadata record the model.
package final class ParquetExport: EmbeddingExport {
    private let file: GrowingFile
    private let writer: ParquetWriter
    private let schema: ExportSchema
    package let replacedNames = 0

    /// Starts a file.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`, also if another process is writing the file.
    package init(_ path: FilePath, _ schema: ExportSchema) throws(EmbeddingFileError) {
        self.schema = schema
        let columns = Self.columns(of: schema)
        (file, writer) = try naming(path.description) { () throws(FileError) in
            let file = try GrowingFile(path: path.bytes)
            return (
                file,
                try ParquetWriter(
                    file, columns: columns, vectorColumn: ParquetTable.embedding,
                    dimension: schema.dimension, metadata: schema.model?.metadata ?? [])
            )
        }
    }

    /// Returns the columns of the file except the vectors.
    package static func columns(of schema: ExportSchema) -> [ParquetColumn] {
        var columns = ParquetTable.columns(hasOtherBytes: schema.hasOtherNames)
        if schema.hasTexts {
            columns.append(
                ParquetColumn(name: EmbeddingTable.kindColumn, kind: .string, isOptional: false))
        }
        let own = [
            ParquetTable.path, ParquetTable.pathBytes, EmbeddingTable.kindColumn,
            ParquetTable.embedding,
        ]
        return columns + schema.columns(besides: own)
    }

    /// Returns the values of a row in the order of `columns(of:)`.
    package static func values(
        _ schema: ExportSchema, _ name: FilePath, isText: Bool, _ fields: [ParquetValue]
    ) -> [ParquetValue] {
        var values = ParquetTable.values(of: name, hasOtherBytes: schema.hasOtherNames)
        if schema.hasTexts { values.append(.string(Array((isText ? "text" : "image").utf8))) }
        return values + fields
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        let rows = block.names.indices.map { row in
            Self.values(
                schema, block.names[row], isText: block.isText.isEmpty ? false : block.isText[row],
                block.fields.isEmpty ? [] : block.fields[row])
        }
        try naming(FilePath(file.path).description) { () throws(FileError) in
            try writer.append(rows: rows, vectors: block.vectors[...])
        }
    }

    package func finish() throws(EmbeddingFileError) {
        try naming(FilePath(file.path).description) { () throws(FileError) in
            try writer.finish()
            try file.finish()
        }
    }

    package func discard() { try? removeFile(file.partialPath) }
}
