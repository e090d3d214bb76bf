internal import CFiles

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension OpenFolder {
    /// Renames a file without replacing anything.
    ///
    /// - Parameters:
    ///   - name: The name in this folder.
    ///   - file: The status of the file when it was checked. Another file that has taken the name
    ///     since then keeps it.
    ///   - folder: The new folder.
    ///   - newName: The name in `folder`, which must not exist yet.
    /// - Returns: False if the folders are on different disks.
    /// - Throws: `FileError`; the file then has its old name, unless the reason says otherwise.
    func rename(
        _ name: [UInt8], _ file: stat, to folder: OpenFolder, _ newName: [UInt8]
    ) throws(FileError) -> Bool {
        let result = withPath(name) { name in
            withPath(newName) {
                clip_rename_exclusively(descriptor, name, folder.descriptor, $0)
            }
        }
        switch result {
        case 0:
            try check(name, file, isAt: newName, in: folder)
            return true
        case EEXIST: throw Self.isTaken
        case EXDEV: return false
        case ENOSYS, EINVAL, ENOTSUP, EOPNOTSUPP: break
        default: throw FileError(reason: String(cString: strerror(result)), code: result)
        }
        // Unlike `rename`, `link` never replaces anything.
        let isLinked = withPath(name) { name in
            withPath(newName) { linkat(descriptor, name, folder.descriptor, $0, 0) } == 0
        }
        if isLinked {
            guard let linked = folder.status(of: newName), Self.isSame(linked, file) else {
                _ = withPath(newName) { unlinkat(folder.descriptor, $0, 0) }
                throw OpenedFile.hasChanged
            }
            do throws(FileError) {
                try remove(name, file)
            } catch {
                _ = withPath(newName) { unlinkat(folder.descriptor, $0, 0) }
                throw error
            }
            return true
        }
        if errno == EEXIST { throw Self.isTaken }
        if errno == EXDEV { return false }
        guard [EPERM, ENOTSUP, EOPNOTSUPP, ENOSYS, EMLINK, EACCES].contains(errno) else {
            throw .last()
        }
        // The disk has no hard links, or not for this user: an empty file reserves the new name.
        let place = withPath(newName) {
            openat(
                folder.descriptor, $0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard place >= 0 else { throw errno == EEXIST ? Self.isTaken : .last() }
        close(place)
        let isRenamed = withPath(name) { name in
            withPath(newName) { renameat(descriptor, name, folder.descriptor, $0) } == 0
        }
        if isRenamed {
            try check(name, file, isAt: newName, in: folder)
            return true
        }
        let (code, error) = (errno, FileError.last())
        _ = withPath(newName) { unlinkat(folder.descriptor, $0, 0) }
        if code == EXDEV { return false }
        throw error
    }

    /// Removes a file; throws an error if it has changed, or if another file has taken its name.
    ///
    /// - Parameters:
    ///   - name: The name in this folder.
    ///   - file: The status of the file when it was checked.
    /// - Throws: `FileError`; the file then keeps its name, unless the reason says otherwise.
    func remove(_ name: [UInt8], _ file: stat) throws(FileError) {
        // Under a name that no other process knows, the file checked is the file removed.
        let random = String(UInt64.random(in: 0 ... .max), radix: 36)
        let hidden = Array(".clip-\(random).removed".utf8)
        let isHidden = withPath(name) { name in
            withPath(hidden) { renameat(descriptor, name, descriptor, $0) } == 0
        }
        guard isHidden else { throw .last() }
        guard let found = status(of: hidden), OpenedFile.isUnchanged(found, since: file) else {
            try putBack(name, from: hidden, in: self)
            throw OpenedFile.hasChanged
        }
        guard withPath(hidden, { unlinkat(descriptor, $0, 0) }) == 0 else {
            let error = FileError.last()
            try putBack(name, from: hidden, in: self)
            throw error
        }
    }

    /// Checks that the right file was renamed; if not, restores the other file's name and throws.
    private func check(
        _ name: [UInt8], _ file: stat, isAt newName: [UInt8], in folder: OpenFolder
    ) throws(FileError) {
        if let found = folder.status(of: newName), Self.isSame(found, file) { return }
        try putBack(name, from: newName, in: folder)
        throw OpenedFile.hasChanged
    }

    /// Restores the old name of a file; throws an error if that name is in use again.
    private func putBack(
        _ name: [UInt8], from newName: [UInt8], in folder: OpenFolder
    ) throws(FileError) {
        let isBack = withPath(newName) { newName in
            withPath(name) { name in
                let code = clip_rename_exclusively(folder.descriptor, newName, descriptor, name)
                guard [ENOSYS, EINVAL, ENOTSUP, EOPNOTSUPP].contains(code) else { return code == 0 }
                return faccessat(descriptor, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0
                    && renameat(folder.descriptor, newName, descriptor, name) == 0
            }
        }
        guard isBack else {
            let place = String(decoding: newName, as: UTF8.self)
            throw FileError(reason: "it was renamed to \(place), and could not be renamed back")
        }
    }

    private static func isSame(_ one: stat, _ other: stat) -> Bool {
        (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
    }
}
