internal import CLIP
package import Files

/// An output of other software for rows that are computed one by one, over hours.
///
/// The rows are first written to `.npy` files beside the output, so that an interrupted job can be
/// resumed, and exported when all are there. The bytes of the output depend on the rows alone.
///
/// ```
/// let staged = StagedExport("photos.parquet", .parquet)
/// let writer = try EmbeddingWriter(
///     path: staged.rows, layout: .npy, dimension: 512, job: "ViT-B/32", resuming: true)
/// // Append rows, and finish the writer.
/// try staged.export(model: record)
/// ```
package struct StagedExport: Sendable {
    /// The format of the output.
    package enum Format: Sendable, Hashable {
        /// A Parquet file.
        case parquet
        /// The directory of clip-retrieval, with the given number of rows per partition.
        case clipRetrieval(partitionRows: Int)
    }

    /// The path of the output: a file, or a folder without a slash at the end.
    package let path: FilePath
    private let format: Format

    /// Makes the output at a path.
    package init(_ path: FilePath, _ format: Format) {
        var path = path
        // The rows of the current folder lie beside it, not in it.
        if [Array(".".utf8), Array("..".utf8)].contains(Array(path.lastComponent)),
            let real = try? realPath(path.bytes)
        {
            path = FilePath(real)
        }
        self.path = path.withoutSlashAtEnd
        self.format = format
    }

    /// The path of the `.npy` file with vectors that are not exported yet: `x.parquet.rows.npy`.
    package var rows: FilePath { FilePath(path.bytes + ".rows.npy".utf8) }

    private var jobFile: FilePath { FilePath(rows.bytes + ".job".utf8) }

    /// True if an earlier process has begun the rows, or finished them.
    package var isBegun: Bool {
        exists(jobFile) || exists(rows) || GrowingFile.isBegun(path: rows.bytes)
    }

    /// True if all rows are computed, but not exported: the process ended in between.
    package var isReadyToExport: Bool {
        exists(rows) && !exists(jobFile) && !GrowingFile.isBegun(path: rows.bytes)
    }

    /// True if the output is complete, and no job is to replace it.
    package var isComplete: Bool {
        guard exists(path), !exists(jobFile), !isReadyToExport else { return false }
        switch format {
        case .parquet: return true
        case .clipRetrieval:
            return RetrievalExport.isComplete(path)
        }
    }

    /// Makes the folder above an output that is a folder; throws if the output has files, which are
    /// not replaced.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    package func preparePlace() throws(EmbeddingFileError) {
        guard case .clipRetrieval = format else { return }
        try naming(path.description) { () throws(FileError) in
            guard exists(path) else {
                let parent = path.bytes.dropLast(path.lastComponent.count)
                if !parent.isEmpty { try makeFolder(Array(parent)) }
                return
            }
            guard try folderEntries(path.bytes).isEmpty else {
                throw FileError(reason: "expected a missing or empty folder, found other files")
            }
        }
    }

    private func exists(_ path: FilePath) -> Bool { (try? FileStatus(path: path.bytes)) != nil }

    /// Exports the rows, and removes the `.npy` files.
    ///
    /// - Parameter model: The model that made the vectors.
    /// - Returns: The number of names in which U+FFFD replaces bytes that the format cannot store.
    /// - Throws: `EmbeddingFileError.unwritable`; `CLIPError.unreadableFile` if the rows have been
    ///   damaged.
    @discardableResult
    package func export(model: ModelRecord) throws -> Int {
        // A table has at least one row.
        let isEmpty = try naming(rows.description) { () throws(FileError) in
            try FileStatus(path: rows.bytes).size == EmbeddingPart.headerCount
        }
        guard exists(EmbeddingPart.names(rows)) else {
            throw CLIPError.unreadableFile(
                path: rows.description,
                reason: "the names of its rows, \(EmbeddingPart.names(rows)), are missing")
        }
        let table = isEmpty ? nil : try EmbeddingTable(rows)
        if case .clipRetrieval = format, RetrievalExport.isComplete(path),
            isEmpty || (try? EmbeddingTable(path))?.rowCount == table?.rowCount
        {
            // The process ended after it had named the folder, which was missing or empty before.
            try naming(path.description) { () throws(FileError) in
                try RetrievalExport.removeLock(in: path)
                try removeRows()
            }
            return 0
        }
        let writer = try writer(
            table.map(ExportSchema.init) ?? ExportSchema(dimension: model.dimension, model: model))
        do {
            var blocks = table?.blocks()
            while let block = try blocks?.next() { try writer.append(block) }
            try writer.finish()
        } catch {
            writer.discard()
            throw error
        }
        try naming(path.description) { () throws(FileError) in try removeRows() }
        return writer.replacedNames
    }

    /// Removes the `.npy` file of exported vectors, and the files beside it.
    private func removeRows() throws(FileError) {
        // The vectors come first: without them, the output counts as complete.
        try removeFile(rows.bytes)
        try removeRest()
    }

    /// Removes the files beside exported vectors, which remain if the process ends before it has
    /// removed them.
    private func removeRest() throws(FileError) {
        for file in [EmbeddingPart.names(rows), ModelRecord.file(besideNPY: rows)] {
            if exists(file) { try removeFile(file.bytes) }
        }
        EmbeddingPart.removeSums(of: rows)
    }

    /// Returns the complete output; nil if it has no rows.
    ///
    /// - Throws: `CLIPError.unreadableFile`; `EmbeddingFileError.unwritable` if a file that is no
    ///   longer needed cannot be removed.
    package func complete() throws -> EmbeddingTable? {
        try naming(rows.description) { () throws(FileError) in try removeRest() }
        let hasRows: Bool
        switch format {
        case .parquet:
            do throws(FileError) {
                hasRows = try ParquetFile(path).rowCount > 0
            } catch {
                throw CLIPError.unreadableFile(path: path.description, reason: error.reason)
            }
        case .clipRetrieval:
            hasRows = ["img_emb", "text_emb"].contains { kind in
                (try? folderEntries(path.appending(kind.utf8).bytes).isEmpty) == false
            }
        }
        return hasRows ? try EmbeddingTable(path) : nil
    }

    private func writer(_ schema: ExportSchema) throws(EmbeddingFileError) -> any EmbeddingExport {
        switch format {
        case .parquet: try ParquetExport(path, schema)
        case .clipRetrieval(let rows): try RetrievalExport(path, schema, partitionRows: rows)
        }
    }
}
