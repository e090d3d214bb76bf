internal import CLIP
internal import Files

/// A `.npy` file as a part of a table, with the file of names beside it if there is one.
struct NPYPart: TablePart {
    let path: FilePath
    let model: ModelRecord?
    private let vectors: NPYFile
    private let names: NamesFile?
    /// The number of the first row, by which rows without names are named.
    private let firstRow: Int
    /// True for texts without a file of names.
    private let isText: Bool

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - path: The path of the vectors.
    ///   - firstRow: The number of rows in earlier parts.
    ///   - isText: True if the rows are texts, for a file without names.
    /// - Throws: `FileError`, also if there is not one name for each row.
    init(_ path: FilePath, firstRow: Int = 0, isText: Bool = false) throws(FileError) {
        self.path = path
        self.firstRow = firstRow
        self.isText = isText
        vectors = try NPYFile(path)
        model = try ModelRecord.read(besideNPY: path, dimension: vectors.dimension)
        let beside = EmbeddingPart.names(path)
        guard path.pathExtension == "npy", (try? FileStatus(path: beside.bytes)) != nil else {
            names = nil
            return
        }
        let found = try NamesFile(beside)
        guard found.rowCount == vectors.rowCount else {
            throw FileError(
                reason: "expected \(vectors.rowCount) names in \(beside), found \(found.rowCount)")
        }
        names = found
    }

    var files: [FilePath] {
        [path, EmbeddingPart.names(path), ModelRecord.file(besideNPY: path)]
    }
    var rowCount: Int { vectors.rowCount }
    var dimension: Int { vectors.dimension }
    var textCount: Int { names?.textCount ?? (isText ? rowCount : 0) }
    var hasOtherNames: Bool { names?.hasOtherNames ?? false }
    var columns: [ParquetColumn] { names?.columns ?? [] }

    func rows(withFields: Bool) throws(FileError) -> any TableRows { Rows(self) }

    private struct Rows: TableRows {
        private let part: NPYPart
        private var lines: NamesFile.Lines?
        private var done = 0

        init(_ part: NPYPart) {
            self.part = part
            lines = part.names?.lines()
        }

        mutating func next(_ most: Int) throws(FileError) -> EmbeddingBlock {
            let range = done..<(done + most)
            done += most
            var block =
                try lines?.rows(most)
                ?? EmbeddingBlock(
                    names: range.map { FilePath("\(part.firstRow + $0)") },
                    isText: part.isText ? range.map { _ in true } : [], fields: [], vectors: [])
            block.vectors = try part.vectors.values(ofRows: range)
            return block
        }
    }
}
