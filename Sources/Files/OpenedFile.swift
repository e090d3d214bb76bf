#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An open regular file in an `OpenFolder`.
package final class OpenedFile {
    package let parent: OpenFolder
    package let name: [UInt8]
    private let descriptor: Int32
    private let opened: stat

    init(descriptor: Int32, name: [UInt8], parent: OpenFolder) throws(FileError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            let error = FileError.last()
            close(descriptor)
            throw error
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            throw FileError(reason: "it is not a regular file")
        }
        (self.descriptor, self.name, self.parent, opened) = (descriptor, name, parent, status)
    }

    deinit { close(descriptor) }

    /// The size in bytes when the file was opened.
    package var size: Int { Int(opened.st_size) }

    /// Returns true if both are the same file on the disk.
    package func isSame(as other: OpenedFile) -> Bool {
        (opened.st_dev, opened.st_ino) == (other.opened.st_dev, other.opened.st_ino)
    }

    /// Reads the whole content.
    ///
    /// - Parameter limit: The largest number of bytes.
    /// - Returns: The content, at most `size` bytes.
    /// - Throws: `FileError`, also if the file has more bytes than `limit`, if it has grown since
    ///   it was opened, or if there is not enough memory.
    package func contents(limit: Int) throws(FileError) -> [UInt8] {
        guard size <= limit else {
            throw FileError(reason: "it is larger than the \(limit) bytes that are read")
        }
        guard lseek(descriptor, 0, SEEK_SET) == 0 else { throw .last() }
        try checkMemory(size + 1)
        var bytes = [UInt8](repeating: 0, count: size + 1)
        var filled = 0
        while filled < bytes.count {
            let count = try readSome(of: descriptor, into: &bytes, from: filled)
            if count == 0 { break }
            filled += count
        }
        guard filled <= size else { throw Self.hasChanged }
        bytes.removeLast(bytes.count - filled)
        return bytes
    }

    static let hasChanged = FileError(reason: "a file was changed or replaced meanwhile")

    /// Checks that the name still refers to this file, and that the file has not changed since it
    /// was opened.
    package func checkIsUnchanged() throws(FileError) {
        var now = stat()
        guard fstat(descriptor, &now) == 0 else { throw .last() }
        guard let named = parent.status(of: name), Self.isUnchanged(named, since: opened),
            Self.isUnchanged(now, since: opened)
        else { throw Self.hasChanged }
    }

    /// Returns true if both statuses are of the same file, with the same size and modification
    /// time.
    static func isUnchanged(_ now: stat, since before: stat) -> Bool {
        (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)
            && now.st_size == before.st_size && modified(now) == modified(before)
    }

    private static func modified(_ status: stat) -> [Int] { times(of: status)[1] }

    /// Returns the times of the last access and modification, each as seconds and nanoseconds.
    private static func times(of status: stat) -> [[Int]] {
        #if canImport(Darwin)
            let times = [status.st_atimespec, status.st_mtimespec]
        #else
            let times = [status.st_atim, status.st_mtim]
        #endif
        return times.map { [Int($0.tv_sec), Int($0.tv_nsec)] }
    }

    /// Removes the file; throws an error if another file has taken its name, or if the file has
    /// changed since it was opened.
    package func remove() throws(FileError) {
        try checkIsUnchanged()
        try parent.remove(name, opened)
        parent.synchronize()
    }

    /// Moves the file to a new name, on the same disk or on another.
    ///
    /// - Parameters:
    ///   - folder: The new parent.
    ///   - newName: The name in `folder`, which must not exist yet.
    ///   - contents: The content that was read from the file, for a copy to another disk.
    /// - Throws: `FileError`; unless its reason says otherwise, the file then keeps its name, and
    ///   nothing is added to `folder`.
    package func move(
        to folder: OpenFolder, _ newName: [UInt8], contents: [UInt8]
    ) throws(FileError) {
        try checkIsUnchanged()
        if try !parent.rename(name, opened, to: folder, newName) {
            try copy(to: folder, newName, contents: contents)
            do throws(FileError) {
                try remove()
            } catch {
                // The original is kept, so the copy is removed.
                _ = withPath(newName) { unlinkat(folder.descriptor, $0, 0) }
                throw error
            }
        }
        folder.synchronize()
        parent.synchronize()
    }

    /// Copies the file with its permissions and times.
    ///
    /// The copy gets its name only after it was written to the disk, read back and compared.
    func copy(
        to folder: OpenFolder, _ newName: [UInt8], contents: [UInt8]
    ) throws(FileError) {
        let random = String(UInt64.random(in: 0 ... .max), radix: 36)
        let partial = Array(".clip-\(random).partial".utf8)
        let copy = withPath(partial) {
            openat(folder.descriptor, $0, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard copy >= 0 else { throw .last() }
        defer { close(copy) }
        do throws(FileError) {
            try write(contents, to: copy)
            _ = fchown(copy, opened.st_uid, opened.st_gid)  // if this user may
            guard fchmod(copy, opened.st_mode & 0o7777) == 0 else { throw .last() }
            var times = Self.times(of: opened).map { time in
                var result = timespec()
                (result.tv_sec, result.tv_nsec) = (.init(time[0]), .init(time[1]))
                return result
            }
            guard futimens(copy, &times) == 0, fsync(copy) == 0, lseek(copy, 0, SEEK_SET) == 0
            else {
                throw .last()
            }
            try checkMemory(contents.count + 1)
            var written = [UInt8](repeating: 0, count: contents.count + 1)
            var filled = 0
            while filled < written.count {
                let count = try readSome(of: copy, into: &written, from: filled)
                if count == 0 { break }
                filled += count
            }
            written.removeLast(written.count - filled)
            guard filled == contents.count, sha256(written) == sha256(contents) else {
                throw FileError(reason: "its copy on the other disk differs from it")
            }
            guard let status = folder.status(of: partial),
                try folder.rename(partial, status, to: folder, newName)
            else { throw .last() }
        } catch {
            _ = withPath(partial) { unlinkat(folder.descriptor, $0, 0) }
            throw error
        }
    }
}
