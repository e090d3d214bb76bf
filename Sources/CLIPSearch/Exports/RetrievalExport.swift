internal import CLIP
package import Files

/// Writes the directory of clip-retrieval: `img_emb/img_emb_0.npy` in float16 and
/// `metadata/metadata_0.parquet`, in partitions of 1,000,000 rows.
///
/// The metadata have `image_path` and the fields; a field `txt` becomes `caption`, as in
/// clip-retrieval. Texts are in `text_emb`, and their names in `caption`. `clip-model.json` records
/// the model. The folder has the suffix `.partial` until it is finished.
///
/// Source: https://github.com/rom1504/clip-retrieval, `clip_inference/writer.py`
package final class RetrievalExport: EmbeddingExport {
    private let path: FilePath
    private let folder: FilePath
    /// Held until the folder has its name, so that no other export uses it.
    private let lock: FileLock
    private let schema: ExportSchema
    private let partitionRows: Int
    private let columns: [ParquetColumn]
    private var partition: Partition?
    private var partitionCount = 0
    private var rowCount = 0
    package private(set) var replacedNames = 0

    /// The files of a partition that is being written.
    private struct Partition {
        let vectors: GrowingFile
        let metadata: GrowingFile
        let writer: ParquetWriter
        var rowCount = 0
    }

    /// Starts a folder.
    ///
    /// - Parameters:
    ///   - path: The path of the folder, which must be missing or empty.
    ///   - schema: The properties of the table.
    ///   - partitionRows: The number of rows of each partition, the last one excepted.
    /// - Throws: `EmbeddingFileError.unwritable`, also if there are both images and texts.
    package init(
        _ path: FilePath, _ schema: ExportSchema, partitionRows: Int = 1_000_000
    ) throws(EmbeddingFileError) {
        precondition(partitionRows > 0, "expected at least 1 row, found \(partitionRows)")
        let place = path.withoutSlashAtEnd
        self.path = place
        folder = FilePath(place.bytes + ".partial".utf8)
        self.schema = schema
        self.partitionRows = partitionRows
        let nameColumn = schema.hasOnlyTexts ? "caption" : "image_path"
        let renamed = schema.columns.map { column in
            column.name == "txt" && !schema.hasOnlyTexts
                && !schema.columns.contains { $0.name == "caption" }
                ? ParquetColumn(name: "caption", kind: column.kind, isOptional: true) : column
        }
        var own = schema
        own.columns = renamed
        columns =
            [ParquetColumn(name: nameColumn, kind: .string, isOptional: false)]
            + own.columns(besides: [nameColumn])
        let folder = folder
        lock = try naming(path.description) { () throws(FileError) in
            guard schema.hasOnlyTexts || !schema.hasTexts else {
                throw FileError(
                    reason: """
                        expected images only or texts only, as clip-retrieval has a folder for \
                        each; found both
                        """)
            }
            if (try? FileStatus(path: place.bytes)) != nil, try !folderEntries(place.bytes).isEmpty
            {
                throw FileError(reason: "expected a missing or empty folder, found other files")
            }
            try makeFolder(folder.bytes)
            let lock = try FileLock(path: Self.lockFile(in: folder).bytes)
            guard try lock.acquire() else {
                throw FileError(reason: "another process is writing it", isBusy: true)
            }
            return lock
        }
        try naming(path.description) { () throws(FileError) in
            for place in [vectorFolder, metadataFolder] { try makeFolder(place.bytes) }
            try removeOldFiles()
        }
    }

    /// Returns true if a folder has vectors, as it does once it has its name.
    static func isComplete(_ folder: FilePath) -> Bool {
        ["img_emb", "text_emb"].contains { kind in
            (try? FileStatus(path: folder.appending(kind.utf8).bytes))?.isFolder == true
        }
    }

    /// Removes the lock of an export that ended before it could do so.
    static func removeLock(in folder: FilePath) throws(FileError) {
        let file = lockFile(in: folder)
        if (try? FileStatus(path: file.bytes)) != nil { try removeFile(file.bytes) }
    }

    private static func lockFile(in folder: FilePath) -> FilePath {
        folder.appending(".lock".utf8)
    }

    private var kind: String { schema.hasOnlyTexts ? "text_emb" : "img_emb" }
    private var vectorFolder: FilePath { folder.appending(kind.utf8) }
    private var metadataFolder: FilePath { folder.appending("metadata".utf8) }

    /// Removes the files that an interrupted export left in the unfinished folder.
    private func removeOldFiles() throws(FileError) {
        for place in [vectorFolder, metadataFolder] {
            for entry in try folderEntries(place.bytes) where entry.isFolder != true {
                try removeFile(place.appending(entry.name).bytes)
            }
        }
    }

    private func vectors(_ number: String) -> FilePath {
        vectorFolder.appending("\(kind)_\(number).npy".utf8)
    }

    private func metadata(_ number: String) -> FilePath {
        metadataFolder.appending("metadata_\(number).parquet".utf8)
    }

    package func append(_ block: EmbeddingBlock) throws(EmbeddingFileError) {
        try naming(path.description) { () throws(FileError) in
            let halves = try checkedHalfPrecision(
                block.vectors, dimension: schema.dimension, firstRow: rowCount)
            var start = 0
            while start < block.count {
                var current: Partition
                if let partition { current = partition } else { current = try begin() }
                let end = min(block.count, start + partitionRows - current.rowCount)
                let width = schema.dimension
                try current.vectors.append(
                    littleEndianBytes(of: Array(halves[(start * width)..<(end * width)])))
                try current.writer.append(
                    rows: (start..<end).map { row in
                        [.string(text(of: block.names[row]))]
                            + (block.fields.isEmpty ? [] : block.fields[row])
                    }, vectors: [])
                current.rowCount += end - start
                partition = current
                start = end
                if current.rowCount == partitionRows { try close(current) }
            }
        }
        rowCount += block.count
    }

    private func text(of name: FilePath) -> [UInt8] {
        guard !name.isUTF8 else { return name.bytes }
        replacedNames += 1
        return Array(name.description.utf8)
    }

    private func begin() throws(FileError) -> Partition {
        let number = String(partitionCount)
        let vectors = try GrowingFile(path: vectors(number).bytes)
        try vectors.truncate(to: 0)
        try vectors.append(npyHeader(shape: [0, schema.dimension], type: "<f2"))
        let metadata = try GrowingFile(path: metadata(number).bytes)
        return Partition(
            vectors: vectors, metadata: metadata,
            writer: try ParquetWriter(
                metadata, columns: columns, vectorColumn: nil, dimension: 0,
                metadata: schema.model?.metadata ?? []))
    }

    private func close(_ current: Partition) throws(FileError) {
        try current.vectors.overwrite(
            npyHeader(shape: [current.rowCount, schema.dimension], type: "<f2"))
        try current.vectors.finish()
        try current.writer.finish()
        try current.metadata.finish()
        partition = nil
        partitionCount += 1
    }

    package func finish() throws(EmbeddingFileError) {
        try naming(path.description) { () throws(FileError) in
            if let partition { try close(partition) }
            // clip-retrieval pads the numbers to the number of digits of the count.
            let width = String(partitionCount).count
            for number in 0..<partitionCount {
                let old = String(number)
                let new = String(repeating: "0", count: width - old.count) + old
                guard new != old else { continue }
                try renameFile(vectors(old).bytes, to: vectors(new).bytes)
                try renameFile(metadata(old).bytes, to: metadata(new).bytes)
            }
            try schema.model?.write(to: ModelRecord.file(inFolder: folder))
            try renameFileDurably(folder.bytes, to: path.bytes)
            try Self.removeLock(in: path)
        }
    }

    package func discard() {
        partition = nil
        try? removeOldFiles()
        try? removeFile(Self.lockFile(in: folder).bytes)
        for place in [vectorFolder, metadataFolder, folder] { try? removeFolder(place.bytes) }
    }
}
