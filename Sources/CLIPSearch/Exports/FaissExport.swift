package import Files

/// Writes a flat index of faiss for inner products, `IndexFlatIP`.
///
/// The names are beside `x.faiss` in `x.faiss.names.jsonl`, the model in `x.faiss.model.json`.
///
/// Source: https://github.com/facebookresearch/faiss, `impl/index_write.cpp`
package final class FaissExport: EmbeddingExport {
    private let path: FilePath
    private let file: GrowingFile
    private let names: GrowingFile
    private let schema: ExportSchema
    private var rowCount = 0
    package let replacedNames = 0

    /// Starts an index and its file of names.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`, also if the file at the path of the model record
    ///   is no model record.
    package init(_ path: FilePath, _ schema: ExportSchema) throws(EmbeddingFileError) {
        self.path = path
        self.schema = schema
        let (namesPath, record) = (Self.names(of: path), Self.record(of: path))
        (file, names) = try naming(path.description) { () throws(FileError) in
            guard 1...mostDimensions ~= schema.dimension else {
                throw FileError(
                    reason: """
                        expected 1...\(mostDimensions) dimensions, found \(schema.dimension)
                        """)
            }
            if (try? FileStatus(path: record.bytes)) != nil, (try? ModelRecord(record)) == nil {
                throw FileError(reason: "\(record) exists and is not a model record: remove it")
            }
            let file = try GrowingFile(path: path.bytes)
            let names = try GrowingFile(path: namesPath.bytes)
            try file.truncate(to: 0)
            try names.truncate(to: 0)
            try file.append(Self.header(rows: 0, dimension: schema.dimension))
            return (file, names)
        }
    }

    /// Returns the path of the file of names of an index: `x.faiss.names.jsonl` for `x.faiss`.
    package static func names(of path: FilePath) -> FilePath {
        FilePath(path.bytes + ".names.jsonl".utf8)
    }

    /// Returns the path of the model record of an index: `x.faiss.model.json` for `x.faiss`.
    package static func record(of path: FilePath) -> FilePath {
        FilePath(path.bytes + ".model.json".utf8)
    }

    /// Returns the bytes before the vectors.
    private static func header(rows: Int, dimension: Int) -> [UInt8] {
        var bytes = Array("IxFI".utf8)
        bytes.append(littleEndian: Int32(dimension))
        bytes.append(littleEndian: Int64(rows))
        // Two unused numbers, which have this value in all files.
        bytes.append(littleEndian: Int64(1 << 20))
        bytes.append(littleEndian: Int64(1 << 20))
        bytes.append(1)  // is_trained
        bytes.append(littleEndian: Int32(0))  // METRIC_INNER_PRODUCT
        bytes.append(littleEndian: UInt64(rows * dimension))
        return bytes
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        try naming(path.description) { () throws(FileError) in
            try file.append(littleEndianBytes(of: block.vectors[...]))
            try names.append(block.nameLines(schema.columns))
        }
        rowCount += block.count
    }

    package func finish() throws(EmbeddingFileError) {
        try naming(path.description) { () throws(FileError) in
            let record = Self.record(of: path)
            try file.overwrite(Self.header(rows: rowCount, dimension: schema.dimension))
            // The old files are kept until the new ones are on the disk.
            try file.synchronize()
            try names.synchronize()
            // An index with the names or the record of another would be wrong.
            for old in [path, record] where (try? FileStatus(path: old.bytes)) != nil {
                try removeFile(old.bytes)
            }
            try names.finish()
            try file.finish()
            try schema.model?.write(to: record)
        }
    }

    package func discard() {
        try? removeFile(file.partialPath)
        try? removeFile(names.partialPath)
    }
}

extension EmbeddingBlock {
    /// Returns the rows as lines of a file of names.
    func nameLines(_ columns: [ParquetColumn]) -> [UInt8] {
        var bytes: [UInt8] = []
        for row in names.indices {
            let kind = isText.isEmpty || !isText[row] ? "image" : "text"
            var members: [JSONValue.Member] = [(kind, .path(names[row]))]
            if !fields.isEmpty {
                for (column, value) in zip(columns, fields[row]) where value != .null {
                    members.append((column.name, value.json))
                }
            }
            bytes += JSONValue.object(members).bytes
            bytes.append(UInt8(ascii: "\n"))
        }
        return bytes
    }
}
