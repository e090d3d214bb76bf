internal import CLIP
internal import Files
internal import Tensors

/// The images of a `FolderIndex` as a part of a table, in the order of their paths.
struct IndexPart: TablePart {
    let model: ModelRecord?
    private let index: FolderIndex
    private let entries: [IndexDatabase.File]
    private let generation: Int

    /// Reads the entries of an index; the vectors are read later.
    ///
    /// - Throws: `FileError`, also if the index has no images.
    init(_ index: FolderIndex) throws(FileError) {
        self.index = index
        let reader = index.reader
        generation = try reader.database.generation()
        // Images that were added after the file was mapped are left out.
        entries = try reader.database.filesWithVectors().filter {
            ($0.row ?? .max) < reader.vectors.count
        }
        guard !entries.isEmpty else { throw FileError(reason: "its index has no images") }
        var model = index.model
        model.isNormalized = true
        self.model = model
    }

    var path: FilePath { index.folder }
    var files: [FilePath] { [] }
    var rowCount: Int { entries.count }
    var dimension: Int { index.dimension }
    var textCount: Int { 0 }
    var hasOtherNames: Bool { entries.contains { !$0.path.isUTF8 } || !index.folder.isUTF8 }
    var columns: [ParquetColumn] { [] }

    func rows(withFields: Bool) throws(FileError) -> any TableRows { Rows(part: self) }

    private struct Rows: TableRows {
        let part: IndexPart
        var done = 0

        mutating func next(_ most: Int) throws(FileError) -> EmbeddingBlock {
            let entries = part.entries[done..<(done + most)]
            let reader = part.index.reader
            let vectors = reader.vectors.values(ofRows: entries.compactMap(\.row))
            for (place, entry) in entries.enumerated() {
                guard let sums = entry.sums else { continue }
                let start = place * reader.vectors.dimension
                let vector = vectors[start..<(start + reader.vectors.dimension)]
                guard RowSums.sum(littleEndianBytes(of: vector)) != sums.vector else { continue }
                guard try reader.database.generation() == part.generation else {
                    throw FileError(
                        reason: "its index was updated while it was read: run the command again")
                }
                throw IndexDatabase.otherBytes(entry)
            }
            done += most
            let names = entries.map { part.index.folder.appending($0.path.bytes) }
            return EmbeddingBlock(names: names, isText: [], fields: [], vectors: vectors)
        }
    }
}
