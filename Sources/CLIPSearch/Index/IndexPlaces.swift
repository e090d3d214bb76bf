package import Files
internal import Tensors

extension FolderIndex {
    /// The name of the index folder in the indexed folder.
    static let location = Array(".clip-index".utf8)

    /// The names of all files of an index.
    private static let fileNames = Set(
        [
            "files.sqlite", "files.sqlite-wal", "files.sqlite-shm", "files.sqlite-journal",
            "vectors.f32", "vectors.i8", "vectors.i8.partial", "seal", "seal.partial",
        ].map { Array($0.utf8) })

    /// Returns the folder of the index: `.clip-index`, or its target if it is a link.
    ///
    /// A link allows the index to be on another disk, where a rebuild then makes the new index too.
    static func mainPlace(in folder: FilePath) -> FilePath {
        let place = folder.appending(location)
        return target(ofLink: place) ?? place
    }

    /// Returns the path that a link leads to, without links in it; nil if there is no link, or if
    /// the folder of its target is missing.
    ///
    /// The last component need not exist, because `replace` renames the folder.
    private static func target(ofLink link: FilePath, depth: Int = 0) -> FilePath? {
        guard depth < 40, isLink(link), let target = try? linkTarget(link.bytes) else { return nil }
        if let found = try? realPath(link.bytes) { return FilePath(found) }
        let slash = UInt8(ascii: "/")
        let start = target.first == slash ? [] : link.bytes.dropLast(link.lastComponent.count)
        let end = target.lastIndex { $0 != slash }.map { $0 + 1 } ?? 0
        let path = FilePath(start + target[..<end])
        if let further = Self.target(ofLink: path, depth: depth + 1) { return further }
        let parent = try? realPath(Array(path.bytes.dropLast(path.lastComponent.count)))
        return parent.map { FilePath($0).appending(path.lastComponent) }
    }

    static func newPlace(in folder: FilePath) -> FilePath { place(endingIn: ".new", in: folder) }

    private static func oldPlace(in folder: FilePath) -> FilePath {
        place(endingIn: ".old", in: folder)
    }

    private static func place(endingIn suffix: String, in folder: FilePath) -> FilePath {
        FilePath(mainPlace(in: folder).bytes + suffix.utf8)
    }

    private static func isLink(_ place: FilePath) -> Bool {
        (try? FileStatus(path: place.bytes, followingLinks: false))?.isLink ?? false
    }

    /// Returns the folder of the index to search; nil if there is none.
    ///
    /// If a process ended between the two renames of `replace`, the folder of the old index is
    /// returned.
    static func place(in folder: FilePath) -> FilePath? {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        return IndexDatabase.exists(in: place) ? place : hasOldIndex(old) ? old : nil
    }

    /// Returns true if an interrupted rebuild left the index that it was replacing.
    ///
    /// A link is ignored: no rebuild leaves one, so it came with the images.
    private static func hasOldIndex(_ old: FilePath) -> Bool {
        !isLink(old) && IndexDatabase.exists(in: old)
    }

    /// Returns the model of the index of a folder; nil if there is no index, or if it is still
    /// empty.
    ///
    /// - Throws: `IndexError` if the folder or the index cannot be read.
    package static func model(ofIndexIn folder: FilePath) throws(IndexError) -> ModelRecord? {
        try checkIsFolder(folder)
        guard let place = place(in: folder) else { return nil }
        do throws(FileError) {
            let path = place.appending("files.sqlite".utf8)
            let database = try IndexDatabase(path: path, isForWriting: false)
            return try database.isBegun() ? try database.modelRecord() : nil
        } catch {
            throw IndexError(error, folder: folder)
        }
    }

    /// Returns true if a folder has an index, even if it cannot be read.
    package static func exists(in folder: FilePath) -> Bool { place(in: folder) != nil }

    /// Returns true if a rebuild of the index of a folder is unfinished.
    package static func hasUnfinishedRebuild(in folder: FilePath) -> Bool {
        let place = newPlace(in: folder)
        return !isLink(place) && IndexDatabase.exists(in: place)
    }

    static func checkIsFolder(_ folder: FilePath) throws(IndexError) {
        do throws(FileError) {
            guard try FileStatus(path: folder.bytes).isFolder else {
                throw FileError(reason: "expected a folder, found a file")
            }
        } catch {
            throw .unreadableFolder(folder: folder.description, reason: error.reason)
        }
    }

    // MARK: replacing an index

    /// Throws if `.clip-index` is a link to a missing folder, which may be on a disk that is not
    /// mounted.
    static func checkLink(in folder: FilePath) throws(FileError) {
        let (place, target) = (folder.appending(location), mainPlace(in: folder))
        guard isLink(place), (try? FileStatus(path: target.bytes)) == nil else { return }
        throw FileError(
            reason: """
                \(place) is a link to a folder that is missing: mount its disk, or remove the link
                """)
    }

    /// Makes the folder of a rebuild, unless it exists, and removes an old index that an
    /// interrupted rebuild left.
    ///
    /// The caller must have locked the index.
    ///
    /// - Throws: `FileError`, also if a finished rebuild could not replace the index, such as at a
    ///   mount point.
    static func prepareRebuild(in folder: FilePath) throws(FileError) {
        let (place, new) = (mainPlace(in: folder), newPlace(in: folder))
        try remove(oldPlace(in: folder))
        if isLink(new) { try removeFile(new.bytes) }
        try makeFolder(new.bytes)
        guard try FileStatus(path: place.bytes).device == FileStatus(path: new.bytes).device else {
            try? removeFolder(new.bytes)
            throw FileError(
                reason: """
                    \(place) is a mount point and cannot be replaced: move the index into a folder \
                    on that file system, and make .clip-index a link to it
                    """)
        }
    }

    /// Replaces the index with a finished rebuild; the caller must have locked the index.
    static func replace(in folder: FilePath) throws(FileError) {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        let new = newPlace(in: folder)
        try remove(old)
        try renameFile(place.bytes, to: old.bytes)
        do throws(FileError) {
            try renameFile(new.bytes, to: place.bytes)
        } catch {
            // If this fails too, the index is found under its old name, and the next update renames
            // it.
            try? renameFile(old.bytes, to: place.bytes)
            throw error
        }
        try remove(old, movingOthersTo: place)
    }

    /// Undoes or finishes an interrupted `replace`.
    static func recover(in folder: FilePath) throws(FileError) {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        guard hasOldIndex(old) else { return }
        // A process that is still in `replace` holds this lock.
        let lock = try RowWriter.lock(old)
        defer { withExtendedLifetime(lock) {} }
        if IndexDatabase.exists(in: place) {
            try remove(old, movingOthersTo: place)
        } else {
            try renameFile(old.bytes, to: place.bytes)
        }
    }

    /// Removes an index, its database first and its folder last, so that an interruption leaves no
    /// part that looks like an index.
    ///
    /// A file that does not belong to an index is moved to `other`; it is an error if `other` is
    /// nil or has a file of the same name. If `place` is a link, only the link is removed, because
    /// it may lead to files of the user.
    private static func remove(
        _ place: FilePath, movingOthersTo other: FilePath? = nil
    ) throws(FileError) {
        guard let status = try? FileStatus(path: place.bytes, followingLinks: false) else { return }
        guard !status.isLink else { return try removeFile(place.bytes) }
        for name in try othersNames(in: place) {
            guard let target = other?.appending(name),
                (try? FileStatus(path: target.bytes, followingLinks: false)) == nil
            else {
                throw FileError(
                    reason: """
                        \(place.appending(name)) is not a file of an index: move it elsewhere
                        """)
            }
            try renameFile(place.appending(name).bytes, to: target.bytes)
        }
        try removeFiles(of: place)
        try removeFolder(place.bytes)
    }

    /// Removes the files of an index, but not its folder nor any other file in it.
    ///
    /// - Parameters:
    ///   - place: The folder of the index.
    ///   - kept: The name of a file to keep.
    /// - Throws: `FileError`.
    static func removeFiles(of place: FilePath, except kept: String? = nil) throws(FileError) {
        for entry in try folderEntries(place.bytes)
        where fileNames.contains(entry.name) && entry.name != kept.map({ Array($0.utf8) }) {
            try removeFile(place.appending(entry.name).bytes)
        }
    }

    private static func othersNames(in place: FilePath) throws(FileError) -> [[UInt8]] {
        try folderEntries(place.bytes).filter {
            $0.isFolder == true || !fileNames.contains($0.name)
        }.map(\.name)
    }
}
