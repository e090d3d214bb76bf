package import CLIP
package import Files

/// Vectors with names and fields in a file or folder, to be read in blocks.
///
/// ```
/// let table = try EmbeddingTable("photos.parquet")
/// var blocks = table.blocks()
/// while let block = try blocks.next() { print(block.names.count) }
/// ```
///
/// It is an indexed folder, a `.npy` file with its names, a folder of such shards, a Parquet file,
/// a folder of Parquet files, or the directory of clip-retrieval. One block of about 256 kB is in
/// memory, and of Parquet one row group. The files are recognised by their content and layout.
package struct EmbeddingTable: Sendable {
    /// The path of the file or folder.
    package let path: FilePath
    /// The number of dimensions of each vector.
    package let dimension: Int
    /// The number of vectors, at least 1.
    package let rowCount: Int
    /// The number of rows that have no vector, such as those of broken images; they are left out.
    package let missingCount: Int
    /// The number of rows that are texts; all others are images.
    package let textCount: Int
    /// The fields of the rows, except their names.
    package let columns: [ParquetColumn]
    /// The names of the columns whose types are not supported, such as dates; they are left out.
    package let unsupportedColumns: [String]
    /// The model that made the vectors; nil if it is not recorded in all parts.
    package let model: ModelRecord?
    /// The files that are read, except those of an index.
    package let files: [FilePath]
    let parts: [any TablePart]

    /// True if a name may have bytes that are not UTF-8.
    ///
    /// - Complexity: O(`rowCount`): the names of Parquet files are read.
    package var hasOtherNames: Bool { parts.contains(where: \.hasOtherNames) }

    /// The column of Parquet files that tells texts from images, if there are texts.
    static let kindColumn = "kind"

    /// Opens a file or folder of vectors that is not an indexed folder.
    ///
    /// - Parameter path: The path of the file or folder.
    /// - Throws: `CLIPError.unreadableFile`, also if the layout is unknown, if the numbers of names
    ///   and vectors differ, or if the parts differ in their dimensions or models.
    package init(_ path: FilePath) throws(CLIPError) {
        do throws(FileError) {
            let parts: [any TablePart]
            switch Self.layout(of: path) {
            case .npy: parts = [try NPYPart(path)]
            case .parquet: parts = [try ParquetPart(path)]
            case .shards: parts = try Self.shards(path)
            case .parquetFolder: parts = try Self.parquetParts(path)
            case .retrieval: parts = try Self.partitions(path)
            case nil:
                let status = try FileStatus(path: path.bytes)
                throw FileError(
                    reason: status.isFolder
                        ? """
                        expected shards of .npy (00000.npy), Parquet files, or img_emb and \
                        metadata of clip-retrieval; found none of them
                        """
                        : "expected .npy or Parquet, found another format")
            }
            try self.init(path, parts)
        } catch {
            throw .unreadableFile(path: path.description, reason: error.reason)
        }
    }

    /// Opens the images of an indexed folder.
    ///
    /// - Throws: `CLIPError.unreadableFile`, also if the index has no images.
    package init(_ index: FolderIndex) throws(CLIPError) {
        do throws(FileError) {
            try self.init(index.folder, [IndexPart(index)])
        } catch {
            throw .unreadableFile(path: index.folder.description, reason: error.reason)
        }
    }

    private init(_ path: FilePath, _ all: [any TablePart]) throws(FileError) {
        let parts = all.filter { $0.rowCount > 0 }
        missingCount = all.reduce(0) { $0 + $1.missingCount }
        guard let first = parts.first else {
            throw FileError(
                reason: missingCount == 0 ? "it has no rows" : "none of its rows has a vector")
        }
        var columns = TableColumns()
        var model: ModelRecord?
        for part in parts {
            guard 1...mostDimensions ~= part.dimension else {
                throw FileError(
                    reason: """
                        expected vectors of 1...\(mostDimensions) dimensions, found \
                        \(part.dimension) in \(part.path.lastComponentText)
                        """)
            }
            guard part.dimension == first.dimension else {
                throw FileError(
                    reason: """
                        expected vectors of \(first.dimension) dimensions, as in \
                        \(first.path.lastComponentText), found \(part.dimension) in \
                        \(part.path.lastComponentText)
                        """)
            }
            if let model, let other = part.model, model.fingerprint != other.fingerprint {
                let names = model.names(comparedTo: other)
                throw FileError(
                    reason: """
                        its parts were made with different models: \(names.own), and \
                        \(names.other) in \(part.path.lastComponentText)
                        """)
            }
            try part.model?.check(dimension: part.dimension, in: "its model record")
            model = model ?? part.model
            for column in part.columns { columns.add(column.name, column.kind) }
        }
        // What the parts do not agree on is unknown, or false.
        if parts.contains(where: { $0.model == nil }) { model = nil }
        if parts.contains(where: { $0.model?.isNormalized != model?.isNormalized }) {
            model?.isNormalized = false
        }
        self.path = path
        self.parts = parts
        self.model = model
        self.columns = columns.all
        var others: [String] = []
        for name in parts.flatMap(\.unsupportedColumns) where !others.contains(name) {
            others.append(name)
        }
        unsupportedColumns = others
        dimension = first.dimension
        rowCount = parts.reduce(0) { $0 + $1.rowCount }
        textCount = parts.reduce(0) { $0 + $1.textCount }
        files = all.flatMap(\.files)
    }

    /// Opens the table for reading from its first row.
    ///
    /// - Parameter withFields: False if only the names, kinds and vectors are needed: the columns
    ///   of the fields are then not read, whose compression or encoding may be unsupported.
    /// - Returns: The rows.
    package func blocks(withFields: Bool = true) -> EmbeddingBlocks {
        EmbeddingBlocks(self, hasFields: withFields)
    }
}
