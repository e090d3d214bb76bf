package import Files

/// Writes a Parquet file: `path`, the fields, and `embedding`, a list of float32 of fixed length.
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
                    file, columns: columns, vectorColumn: "embedding",
                    dimension: schema.dimension, metadata: schema.model?.metadata ?? [])
            )
        }
    }

    /// Returns the columns of the file except the vectors.
    package static func columns(of schema: ExportSchema) -> [ParquetColumn] {
        var columns = [ParquetColumn(name: "path", kind: .string, isOptional: false)]
        if schema.hasOtherNames {
            columns.append(ParquetColumn(name: "path_bytes", kind: .bytes, isOptional: true))
        }
        if schema.hasTexts {
            columns.append(
                ParquetColumn(name: EmbeddingTable.kindColumn, kind: .string, isOptional: false))
        }
        let own = ["path", "path_bytes", EmbeddingTable.kindColumn, "embedding"]
        return columns + schema.columns(besides: own)
    }

    /// Returns the values of a row in the order of `columns(of:)`.
    package static func values(
        _ schema: ExportSchema, _ name: FilePath, isText: Bool, _ fields: [ParquetValue]
    ) -> [ParquetValue] {
        guard schema.hasOtherNames || schema.hasTexts else {
            return [.string(name.bytes)] + fields
        }
        var values: [ParquetValue] = [.string(name.bytes)]
        if schema.hasOtherNames {
            let isUTF8 = name.isUTF8
            if !isUTF8 {
                values = [.string(Array(name.description.utf8))]
            }
            values.append(isUTF8 ? .null : .bytes(name.bytes))
        }
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
