package import Files

extension EmbeddingTable {
    /// The kind of a file or folder of vectors, apart from indexed folders.
    package enum Layout: Sendable {
        /// A `.npy` file, with its names in `x.names.jsonl`.
        case npy
        /// A Parquet file.
        case parquet
        /// A folder of `.npy` files, as `clip encode -o FOLDER/` writes it.
        case shards
        /// A folder of Parquet files without images, as Spark or
        /// `clip encode --format parquet -o FOLDER/` writes it.
        case parquetFolder
        /// The directory of clip-retrieval.
        case retrieval

        /// A noun phrase for messages, such as "a Parquet file".
        package var description: String {
            switch self {
            case .npy: "an .npy file"
            case .parquet: "a Parquet file"
            case .shards: "a folder of .npy files"
            case .parquetFolder: "a folder of Parquet files"
            case .retrieval: "a directory of clip-retrieval"
            }
        }
    }

    /// Returns the layout of what is at a path, by its content; nil if no layout is recognised or
    /// if it is an indexed folder.
    ///
    /// A file whose name ends in `.npy` or `.parquet` is recognised by the name alone, so that an
    /// error of its content names the format.
    ///
    /// - Parameter path: The path of a file or folder.
    /// - Returns: The layout.
    package static func layout(of path: FilePath) -> Layout? {
        guard let status = try? FileStatus(path: path.bytes), status.isFolder else {
            switch path.pathExtension {
            case "npy": return .npy
            case "parquet": return .parquet
            default: break
            }
            guard let file = try? PositionedFile(path: path.bytes),
                let bytes = try? file.read(6, at: 0)
            else { return nil }
            if bytes == [0x93] + Array("NUMPY".utf8) { return .npy }
            return bytes.starts(with: Array("PAR1".utf8)) ? .parquet : nil
        }
        guard FolderIndex.place(in: path) == nil else { return nil }
        func has(_ name: String) -> Bool {
            (try? FileStatus(path: path.appending(name.utf8).bytes)) != nil
        }
        if has("img_emb") || has("text_emb") { return .retrieval }
        if has("00000.npy") { return .shards }
        // A folder of photos may have a Parquet file, too.
        guard let entries = try? folderEntries(path.bytes),
            !entries.contains(where: {
                FolderWalk.imageExtensions.contains(FilePath($0.name).pathExtension)
            })
        else { return nil }
        if !((try? parquetFiles(in: path)) ?? []).isEmpty { return .parquetFolder }
        // Its error is that it is unfinished.
        return ((try? StagedExport.waitingRows(in: path)) ?? nil) == nil ? nil : .parquetFolder
    }

    /// Returns true for the name of an entry that gives a folder another layout than that of
    /// Parquet files.
    static func isOfOtherLayout(_ name: [UInt8]) -> Bool {
        let names = ["img_emb", "text_emb", "00000.npy", ".job"].map { Array($0.utf8) }
        return name == FolderIndex.location || names.contains(name)
    }

    /// Returns the Parquet files of a folder in the order of their names.
    ///
    /// Names that begin with `.` or `_`, such as Spark's `_SUCCESS`, are ignored.
    static func parquetFiles(in folder: FilePath) throws(FileError) -> [FilePath] {
        try folderEntries(folder.bytes)
            .filter { $0.isFolder != true && ![0x2E, 0x5F].contains($0.name.first) }
            .map { folder.appending($0.name) }
            .filter { $0.pathExtension == "parquet" }
    }

    /// Opens the parts of a folder of shards.
    static func shards(_ folder: FilePath) throws(FileError) -> [any TablePart] {
        guard (try? FileStatus(path: folder.appending(".job".utf8).bytes)) == nil else {
            throw FileError(
                reason: "it is unfinished: the job that writes it has not removed its file .job")
        }
        var parts: [any TablePart] = []
        var rows = 0
        while true {
            let path = EmbeddingWriter.shard(folder, parts.count)
            guard (try? FileStatus(path: path.bytes)) != nil else {
                try checkHasNoGap(folder, parts.count, suffix: "npy")
                return parts
            }
            let part = try naming(path) { () throws(FileError) in
                try NPYPart(path, firstRow: rows)
            }
            parts.append(part)
            rows += part.rowCount
        }
    }

    /// Throws if a folder has a shard with a number of `count` or more, so that one is missing.
    private static func checkHasNoGap(
        _ folder: FilePath, _ count: Int, suffix: String
    ) throws(FileError) {
        for entry in try folderEntries(folder.bytes) {
            guard let parts = EmbeddingWriter.parts(ofShard: entry.name), parts.number >= count,
                parts.ending == Array(".\(suffix)".utf8)
            else { continue }
            let name = FilePath(entry.name).lastComponentText
            throw FileError(
                reason: "a shard is missing: it has \(name), but only \(count) before it")
        }
    }

    /// Opens the parts of a folder of Parquet files; files without rows are left out.
    static func parquetParts(_ folder: FilePath) throws(FileError) -> [any TablePart] {
        if let waiting = try StagedExport.waitingRows(in: folder) {
            throw FileError(
                reason: """
                    it is unfinished: the job that writes it has not exported \
                    \(waiting.lastComponentText)
                    """)
        }
        var count = 0
        while (try? FileStatus(path: StagedExport.shard(folder, count).path.bytes)) != nil {
            count += 1
        }
        // Files of other software may have numbers as names, but not the first of ours.
        if count > 0 { try checkHasNoGap(folder, count, suffix: "parquet") }
        var parts: [any TablePart] = []
        for path in try parquetFiles(in: folder) {
            let part = try naming(path) { () throws(FileError) in try ParquetPart(path) }
            if part.rowCount > 0 { parts.append(part) }
        }
        return parts
    }

    /// Opens the partitions of clip-retrieval's directory: those of images, or those of texts if
    /// there are no images.
    static func partitions(_ folder: FilePath) throws(FileError) -> [any TablePart] {
        let record = ModelRecord.file(inFolder: folder)
        let model =
            (try? FileStatus(path: record.bytes)) == nil ? nil : try ModelRecord(record)
        for (kind, isText) in [("img_emb", false), ("text_emb", true)] {
            let place = folder.appending(kind.utf8)
            guard (try? FileStatus(path: place.bytes)) != nil else { continue }
            var parts: [any TablePart] = []
            var rows = 0
            let metadataFolder = folder.appending("metadata".utf8)
            let metadataFiles = (try? parquetFiles(in: metadataFolder)) ?? []
            for (digits, path) in try numbered("\(kind)_", in: place) {
                guard Int(digits) == parts.count else {
                    throw FileError(
                        reason: """
                            \(kind)_\(parts.count).npy is missing: the next file is \
                            \(path.lastComponentText)
                            """)
                }
                let metadata = metadataFolder.appending("metadata_\(digits).parquet".utf8)
                // Without any metadata, rows are named by their numbers.
                guard metadataFiles.isEmpty || (try? FileStatus(path: metadata.bytes)) != nil else {
                    throw FileError(reason: "metadata/\(metadata.lastComponentText) is missing")
                }
                let part = try naming(path) { () throws(FileError) in
                    try RetrievalPart(
                        path, metadata: metadata, isText: isText, firstRow: rows, model: model)
                }
                parts.append(part)
                rows += part.rowCount
            }
            if !parts.isEmpty { return parts }
        }
        throw FileError(
            reason: "expected img_emb/img_emb_0.npy or text_emb/text_emb_0.npy, found none")
    }

    /// Returns the files `PREFIXn.npy` of a folder with the digits of n, in the order of n.
    private static func numbered(
        _ prefix: String, in folder: FilePath
    ) throws(FileError) -> [(digits: String, path: FilePath)] {
        var found: [(number: Int, digits: String, path: FilePath)] = []
        for entry in try folderEntries(folder.bytes) {
            guard let name = String(validating: entry.name, as: UTF8.self),
                name.hasPrefix(prefix), name.hasSuffix(".npy")
            else { continue }
            let digits = String(name.dropFirst(prefix.count).dropLast(4))
            guard digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits)
            else { continue }
            found.append((number, digits, folder.appending(entry.name)))
        }
        return found.sorted { $0.number < $1.number }.map { ($0.digits, $0.path) }
    }

    /// Opens a part of a folder; an error names the part.
    private static func naming<Part>(
        _ path: FilePath, _ open: () throws(FileError) -> Part
    ) throws(FileError) -> Part {
        do throws(FileError) {
            return try open()
        } catch {
            throw FileError(reason: "\(path.lastComponentText): \(error.reason)")
        }
    }
}

extension FilePath {
    /// The last component for messages.
    var lastComponentText: String { String(decoding: lastComponent, as: UTF8.self) }
}
