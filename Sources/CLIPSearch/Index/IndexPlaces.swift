internal import Tensors

extension EmbeddingIndex {
    /// Where an index lies in a folder.
    static let location = Array(".clip-index".utf8)
    /// The folders of a growing rebuild, and of the old index while the new one takes its place.
    private static let newLocation = Array(".clip-index.new".utf8)
    private static let oldLocation = Array(".clip-index.old".utf8)

    static func newPlace(in folder: FilePath) -> FilePath { folder.appending(newLocation) }

    /// The index of a folder that can be searched; nil if there is none.
    ///
    /// If the process ended between the two steps of `replace`, that is the old one.
    static func place(in folder: FilePath) -> FilePath? {
        [location, oldLocation].map { folder.appending($0) }.first(where: hasIndex)
    }

    private static func hasIndex(_ place: FilePath) -> Bool {
        (try? FileStatus(path: place.appending("files.sqlite".utf8).bytes)) != nil
    }

    /// The model that made the index of a folder; nil if there is no index.
    ///
    /// - Throws: `IndexError.unreadableFolder`.
    public static func model(ofIndexIn folder: FilePath) throws(IndexError) -> ModelRecord? {
        try checkIsFolder(folder)
        // What is wrong with the index is said by whoever opens it.
        return place(in: folder).flatMap { place in
            let path = place.appending("files.sqlite".utf8)
            return try? IndexDatabase(path: path, isForWriting: false).modelRecord()
        }
    }

    /// True if a rebuild of the index of a folder was begun and has not ended.
    public static func hasUnfinishedRebuild(in folder: FilePath) -> Bool {
        hasIndex(newPlace(in: folder))
    }

    static func checkIsFolder(_ folder: FilePath) throws(IndexError) {
        do throws(FileError) {
            guard try FileStatus(path: folder.bytes).isFolder else {
                throw FileError(reason: "expected a folder, found a file")
            }
        } catch {
            throw .unreadableFolder(folder: folder, reason: error.reason)
        }
    }

    static func rebuilding(_ folder: FilePath) -> String { "run clip index --rebuild \(folder)" }

    /// Takes the writer's lock of an index: whoever has the vectors is the one that writes.
    static func vectors(in place: FilePath) throws(FileError) -> GrowingFile {
        try GrowingFile(path: place.appending("vectors.f32".utf8).bytes, isAlwaysWhole: true)
    }

    // MARK: replacing an index

    /// Puts a complete rebuild in the place of the index, whose lock the caller holds.
    static func replace(in folder: FilePath) throws(FileError) {
        let (place, old) = (folder.appending(location), folder.appending(oldLocation))
        try remove(old)
        try renameFile(place.bytes, to: old.bytes)
        try renameFile(newPlace(in: folder).bytes, to: place.bytes)
        try remove(old)
    }

    /// Undoes or finishes a `replace` that the end of its process interrupted.
    static func recover(in folder: FilePath) throws(FileError) {
        let (place, old) = (folder.appending(location), folder.appending(oldLocation))
        guard hasIndex(old) else { return }
        // A process that is still replacing holds this lock.
        let lock = try vectors(in: old)
        defer { withExtendedLifetime(lock) {} }
        if hasIndex(place) { try remove(old) } else { try renameFile(old.bytes, to: place.bytes) }
    }

    /// Removes an index; its files first, so that what is left after an interruption is none.
    private static func remove(_ place: FilePath) throws(FileError) {
        guard (try? FileStatus(path: place.bytes)) != nil else { return }
        for entry in try folderEntries(place.bytes) {
            try removeFile(place.appending(entry.name).bytes)
        }
        try removeFolder(place.bytes)
    }
}
