package import Files

// A folder of Parquet files, `00000.parquet` and so on, each with the same number of rows. A file
// is exported when it is full and another row comes. The rows of the next file are begun before, so
// that the folder of an unfinished job always has rows that wait.
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
    ///   false; `.unwritable`, also if the folder has files of another kind that are read as
    ///   vectors or images.
    package static func prepareFolder(
        _ folder: FilePath, resuming: Bool
    ) throws(EmbeddingFileError) {
        let waiting = try naming(folder.description) { () throws(FileError) in
            try makeFolder(folder.bytes)
            for entry in try folderEntries(folder.bytes) where hidesShards(entry) {
                throw FileError(
                    reason: """
                        the folder has other files, such as \
                        \(FilePath(entry.name).lastComponentText); choose an empty folder
                        """)
            }
            return try waitingRows(in: folder)
        }
        guard !resuming else { return }
        if waiting != nil {
            throw .unfinished(path: folder.description, job: folder.description)
        }
        try checkHasOnlyShards(folder, count: 0)
    }

    /// Returns true for a file or folder in whose presence a folder is not read as one of Parquet
    /// files.
    private static func hidesShards(_ entry: FolderEntry) -> Bool {
        let name = entry.name
        if EmbeddingTable.isOfOtherLayout(name) { return true }
        if let parts = EmbeddingWriter.parts(ofShard: name),
            parts.ending.starts(with: ".parquet".utf8)
        {
            return entry.isFolder == true
        }
        let suffix = FilePath(name).pathExtension
        return entry.isFolder != true
            && (suffix == "npy" || FolderWalk.imageExtensions.contains(suffix))
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

    /// Throws if a folder has a file of these, or rows that wait.
    static func checkHasNone(in folder: FilePath) throws(FileError) {
        let first = shard(folder, 0).path
        guard (try? FileStatus(path: first.bytes)) == nil, try waitingRows(in: folder) == nil else {
            throw FileError(reason: "the folder already contains embeddings in Parquet files")
        }
    }

    /// Returns a file of rows in a folder that are not exported yet; nil if there is none.
    static func waitingRows(in folder: FilePath) throws(FileError) -> FilePath? {
        let endings = ["", ".job", ".partial"].map { Array((".parquet.rows.npy" + $0).utf8) }
        for entry in try folderEntries(folder.bytes) {
            guard let parts = EmbeddingWriter.parts(ofShard: entry.name),
                endings.contains(parts.ending)
            else { continue }
            return folder.appending(entry.name)
        }
        return nil
    }
}
