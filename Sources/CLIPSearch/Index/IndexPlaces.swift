package import Files
package import Tensors

extension FolderIndex {
    /// Where an index lies in a folder.
    static let location = Array(".clip-index".utf8)

    /// The names of all files of an index.
    private static let fileNames = Set(
        [
            "files.sqlite", "files.sqlite-wal", "files.sqlite-shm", "files.sqlite-journal",
            "vectors.f32", "vectors.i8", "vectors.i8.partial", "seal", "seal.partial",
        ].map { Array($0.utf8) })

    /// The place of the index, at the target of the link if `.clip-index` is one: the index then
    /// lies on another disk, and is rebuilt there.
    static func mainPlace(in folder: FilePath) -> FilePath {
        let place = folder.appending(location)
        return target(ofLink: place) ?? place
    }

    /// The path that a link leads to, without links in it; nil if there is no link. Its last
    /// component may be missing: `replace` renames the folder.
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

    /// The index of a folder that can be searched; nil if there is none.
    ///
    /// If the process ended between the two steps of `replace`, that is the old one.
    static func place(in folder: FilePath) -> FilePath? {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        return hasIndex(place) ? place : hasOldIndex(old) ? old : nil
    }

    /// True if a rebuild left the index that it replaces. Rebuilds leave no link there, so one has
    /// come with the images.
    private static func hasOldIndex(_ old: FilePath) -> Bool { !isLink(old) && hasIndex(old) }

    /// True if there are the files of an index, readable or not.
    private static func hasIndex(_ place: FilePath) -> Bool {
        do throws(FileError) {
            _ = try FileStatus(path: place.appending("files.sqlite".utf8).bytes)
            return true
        } catch {
            return !error.leadsNowhere
        }
    }

    /// Returns the model that made the index of a folder; nil if there is no index, or if it was
    /// begun and holds nothing yet.
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

    /// True if a folder has an index, readable or not.
    package static func exists(in folder: FilePath) -> Bool { place(in: folder) != nil }

    /// True if a rebuild of the index of a folder was begun and has not ended.
    package static func hasUnfinishedRebuild(in folder: FilePath) -> Bool {
        let place = newPlace(in: folder)
        return !isLink(place) && hasIndex(place)
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

    /// - Throws: `FileError` if `.clip-index` is a link to a folder that is missing, which may be
    ///   on a disk that is not mounted.
    static func checkLink(in folder: FilePath) throws(FileError) {
        let (place, target) = (folder.appending(location), mainPlace(in: folder))
        guard isLink(place), (try? FileStatus(path: target.bytes)) == nil else { return }
        throw FileError(
            reason: """
                \(place) is a link to a folder that is missing: mount its disk, or remove the link
                """)
    }

    /// Makes the folder of a rebuild, unless it is there, and removes what interrupted rebuilds
    /// left of old indexes; the caller holds the lock of the index.
    ///
    /// - Throws: `FileError` too if the rebuild could not take the place of the index at its end.
    static func prepareRebuild(in folder: FilePath) throws(FileError) {
        let (place, new) = (mainPlace(in: folder), newPlace(in: folder))
        try remove(oldPlace(in: folder))
        if isLink(new) { try removeFile(new.bytes) }
        try makeFolder(new.bytes)
        guard try FileStatus(path: place.bytes).device == FileStatus(path: new.bytes).device else {
            try? removeFolder(new.bytes)
            throw FileError(
                reason: """
                    \(place) is the root of a file system and cannot be replaced: move the index \
                    into a folder of it
                    """)
        }
    }

    /// Puts a complete rebuild in the place of the index, whose lock the caller holds.
    static func replace(in folder: FilePath) throws(FileError) {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        let new = newPlace(in: folder)
        try remove(old)
        try renameFile(place.bytes, to: old.bytes)
        do throws(FileError) {
            try renameFile(new.bytes, to: place.bytes)
        } catch {
            // Else it is searched under the other name, and the next update gives it its own.
            try? renameFile(old.bytes, to: place.bytes)
            throw error
        }
        try remove(old, movingOthersTo: place)
    }

    /// Undoes or finishes a `replace` that the end of its process interrupted.
    static func recover(in folder: FilePath) throws(FileError) {
        let (place, old) = (mainPlace(in: folder), oldPlace(in: folder))
        guard hasOldIndex(old) else { return }
        // A process that is still replacing holds this lock.
        let lock = try RowWriter.lock(old)
        defer { withExtendedLifetime(lock) {} }
        if hasIndex(place) {
            try remove(old, movingOthersTo: place)
        } else {
            try renameFile(old.bytes, to: place.bytes)
        }
    }

    /// Removes an index; its files first, so that what is left after an interruption is none.
    ///
    /// Files that are not of an index are moved to `other`, and an error if that is nil. Of a link
    /// only the link itself is removed: it may lead to files of the user.
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
    /// - Parameter kept: The name of a file to keep.
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
