internal import CFiles

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension OpenFolder {
    /// Gives a file another name, which nothing may have yet.
    ///
    /// - Parameter file: the state of the file; another one that took its name meanwhile is left
    ///   alone.
    /// - Returns: false if the folders are on different disks.
    /// - Throws: `FileError`; then the file has its old name.
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
        // A link is never made over something else, which `rename` would replace.
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
        // The disk has no hard links, or not for this user: an empty file of our own keeps the
        // place.
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

    /// Removes a file's name. Another file that took it meanwhile, or one that was written to, is
    /// kept.
    ///
    /// - Throws: `FileError`; then the file has its name.
    func remove(_ name: [UInt8], _ file: stat) throws(FileError) {
        // Under a name that nobody else knows, the file that is checked is the one that is removed.
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

    /// Checks that a file is what was given a new name, and gives another one its name back.
    private func check(
        _ name: [UInt8], _ file: stat, isAt newName: [UInt8], in folder: OpenFolder
    ) throws(FileError) {
        if let found = folder.status(of: newName), Self.isSame(found, file) { return }
        try putBack(name, from: newName, in: folder)
        throw OpenedFile.hasChanged
    }

    /// Gives a file its name back, unless another has it by now.
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
            throw FileError(reason: "a file was changed meanwhile, and is now called \(place)")
        }
    }

    private static func isSame(_ one: stat, _ other: stat) -> Bool {
        (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
    }
}
