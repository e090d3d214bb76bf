package import Files

// A folder of Parquet files, `00000.parquet` and so on, each with the same number of rows. A file
// is exported when it is full and another row comes; the rows of the next file are begun before, so
// that rows wait in the folder of an unfinished job at any time.
extension StagedExport {
    /// Returns the output with a number in a folder: `00012.parquet` for number 12.
    package static func shard(_ folder: FilePath, _ number: Int) -> StagedExport {
        StagedExport(EmbeddingWriter.shard(folder, number, suffix: "parquet"), .parquet)
    }

    /// Creates the folder, if it is missing.
    ///
    /// - Parameters:
    ///   - folder: The folder.
    ///   - resuming: False if the folder must not have Parquet files yet.
    /// - Throws: `EmbeddingFileError.unfinished` if rows wait in the folder and `resuming` is
    ///   false; `.unwritable`.
    package static func prepareFolder(
        _ folder: FilePath, resuming: Bool
    ) throws(EmbeddingFileError) {
        try naming(folder.description) { () throws(FileError) in try makeFolder(folder.bytes) }
        guard !resuming else { return }
        let waiting = try naming(folder.description) { () throws(FileError) in
            try waitingRows(in: folder)
        }
        if let waiting {
            throw .unfinished(path: folder.description, job: waiting.description)
        }
        try checkHasOnlyShards(folder, count: 0)
    }

    /// Throws if a folder has Parquet files other than the first `count` shards.
    ///
    /// - Throws: `EmbeddingFileError.unwritable`.
    package static func checkHasOnlyShards(
        _ folder: FilePath, count: Int
    ) throws(EmbeddingFileError) {
        try naming(folder.description) { () throws(FileError) in
            let shards = Set((0..<count).map { shard(folder, $0).path })
            let files = try EmbeddingTable.parquetFiles(in: folder)
            guard let other = files.first(where: { !shards.contains($0) }) else { return }
            throw FileError(
                reason: """
                    the folder has another Parquet file, \(other.lastComponentText); choose an \
                    empty folder
                    """)
        }
    }

    /// Returns a file of rows in a folder that are not exported yet; nil if there is none.
    static func waitingRows(in folder: FilePath) throws(FileError) -> FilePath? {
        let endings = [".parquet.rows.npy.job", ".parquet.rows.npy"]
        for entry in try folderEntries(folder.bytes) {
            let digits = entry.name.prefix { (0x30...0x39).contains($0) }
            let ending = entry.name.dropFirst(digits.count)
            guard digits.count >= 5, endings.contains(where: { $0.utf8.elementsEqual(ending) })
            else { continue }
            return folder.appending(entry.name)
        }
        return nil
    }
}
