package import Files

/// The names of the columns of a table of embeddings.
package enum ParquetTable {
    /// The column of names: strings, in which bytes that are not UTF-8 become U+FFFD.
    package static let path = "path"
    /// The column of the exact bytes of names that are not UTF-8.
    ///
    /// It is null where `path` is exact, and left out if all names are UTF-8.
    package static let pathBytes = "path_bytes"
    /// The column of vectors, the first one.
    package static let embedding = "embedding"

    /// The columns that may have the names of vectors in files of other software, best first.
    package static let otherNames = ["image_path", "url", "id", "key"]
    /// The columns that may have the vectors in files of other software, best first.
    package static let otherVectors = ["vector", "image_embedding"]

    /// Returns the columns of names: `path`, and `path_bytes` if some name is not UTF-8.
    package static func columns(hasOtherBytes: Bool) -> [ParquetColumn] {
        let columns = [ParquetColumn(name: path, kind: .string, isOptional: false)]
        return hasOtherBytes
            ? columns + [ParquetColumn(name: pathBytes, kind: .bytes, isOptional: true)] : columns
    }

    /// Returns the values of the columns of names in a row.
    package static func values(of name: FilePath, hasOtherBytes: Bool) -> [ParquetValue] {
        let isExact = name.bytes.isUTF8
        let path = ParquetValue.string(isExact ? name.bytes : name.bytes.repaired)
        guard hasOtherBytes else { return [path] }
        return [path, isExact ? .null : .bytes(name.bytes)]
    }
}

extension ParquetTable {
    /// Returns the column of vectors: `embedding`, else `vector` or `image_embedding`, else the
    /// only column of vectors.
    ///
    /// - Throws: `FileError` if there is no such column.
    static func vectorColumn(
        of file: ParquetFile
    ) throws(FileError) -> (name: String, dimension: Int) {
        let columns = file.vectorColumns
        for name in [ParquetTable.embedding] + ParquetTable.otherVectors {
            if let column = columns.first(where: { $0.name == name }) { return column }
        }
        guard columns.count == 1 else {
            let found = columns.map(\.name).joined(separator: ", ")
            throw FileError(
                reason: """
                    expected a column "\(ParquetTable.embedding)" of lists of float32, or one \
                    column of vectors, found \(columns.isEmpty ? "none" : found)
                    """)
        }
        return columns[0]
    }

    /// Returns the columns that have the names of the rows, best first.
    static func nameColumns(of file: ParquetFile) -> [String] {
        let known = [ParquetTable.pathBytes, ParquetTable.path] + ParquetTable.otherNames
        let columns = known.filter { name in
            file.columns.contains {
                $0.name == name && [.string, .bytes, .integer].contains($0.kind)
            }
        }
        // `path` completes `path_bytes`; otherwise, the first column counts.
        let hasBytes = columns.first == ParquetTable.pathBytes
        return Array(columns.prefix(hasBytes ? 2 : 1))
    }

    /// Returns the names of the rows of a group.
    static func names(of file: ParquetFile, _ group: Int) throws(FileError) -> [FilePath] {
        let used = nameColumns(of: file)
        var names: [FilePath?] = Array(repeating: nil, count: file.rowGroups[group].count)
        for column in used {
            let values = try file.values(of: column, rowGroup: group)
            for (index, value) in values.enumerated() where names[index] == nil {
                switch value {
                case .string(let bytes), .bytes(let bytes): names[index] = FilePath(bytes)
                case .integer(let number): names[index] = FilePath("\(number)")
                case .null, .double, .boolean: break
                }
            }
        }
        return zip(file.rowGroups[group], names).map { $1 ?? FilePath("\($0)") }
    }
}
