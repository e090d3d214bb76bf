#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is written over hours, under a name of its own until it is whole; what it holds survives
/// the end of the process, and the next one may go on with it.
package final class GrowingFile {
    package let path: [UInt8]
    /// Where it grows.
    package let partialPath: [UInt8]
    /// How many bytes it has.
    package private(set) var count: Int
    private let descriptor: Int32
    private var pending: [UInt8] = []

    /// Opens what is there of a file, or an empty one.
    ///
    /// - Parameter isAlwaysWhole: whether it has its own name from the beginning.
    /// - Throws: `FileError` if the folder may not be written, or another process writes the file.
    package init(path: [UInt8], isAlwaysWhole: Bool = false) throws(FileError) {
        self.path = path
        partialPath = isAlwaysWhole ? path : path + ".partial".utf8
        if !isAlwaysWhole, let old = try? FileStatus(path: path, followingLinks: false),
            !old.isRegular
        {
            throw FileError(reason: "\(Self.kind(old)) is in its place, which is not replaced")
        }
        // Neither a link that somebody else made is followed, nor a pipe waited for.
        descriptor = withPath(partialPath) {
            open($0, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o666)
        }
        count = 0
        guard descriptor >= 0 else {
            let error = FileError.last()
            let name = String(decoding: partialPath, as: UTF8.self)
            throw error.code == ELOOP
                ? FileError(
                    reason: "\(name) is a symbolic link, which is not followed", code: ELOOP)
                : error
        }
        var opened = stat()
        guard fstat(descriptor, &opened) == 0 else { throw .last() }
        guard FileStatus(opened).isRegular else {
            let name = String(decoding: partialPath, as: UTF8.self)
            throw FileError(reason: "\(name) is not a regular file")
        }
        // A process that is just being started holds its parent's locks for a moment.
        var isLocked = flock(descriptor, LOCK_EX | LOCK_NB) == 0
        for _ in 0..<20 where !isLocked && errno == EWOULDBLOCK {
            usleep(25_000)
            isLocked = flock(descriptor, LOCK_EX | LOCK_NB) == 0
        }
        guard isLocked else {
            throw errno == EWOULDBLOCK
                ? FileError(reason: "another process is writing it", isBusy: true) : .last()
        }
        var (status, named) = (stat(), stat())
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        // While this process waited, another may have put a new file in the place of this one.
        guard withPath(partialPath, { stat($0, &named) }) == 0, named.st_ino == status.st_ino,
            named.st_dev == status.st_dev
        else { throw FileError(reason: "another process is writing it", isBusy: true) }
        count = Int(status.st_size)
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    private static func kind(_ status: FileStatus) -> String {
        status.isLink ? "a symbolic link" : status.isFolder ? "a folder" : "a device or a pipe"
    }

    /// Reads some of the bytes, fewer only where the file ends.
    package func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        try flush()
        var bytes = [UInt8](repeating: 0, count: count)
        var filled = 0
        while filled < count {
            let got = bytes.withUnsafeMutableBytes { buffer in
                pread(
                    descriptor, buffer.baseAddress.map { $0 + filled }, count - filled,
                    off_t(offset + filled))
            }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw .last() }
            if got == 0 { break }
            filled += got
        }
        bytes.removeLast(count - filled)
        return bytes
    }

    /// The status of the open file.
    package func status() throws(FileError) -> FileStatus {
        try flush()
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        return FileStatus(status)
    }

    /// Whether something is there of a file that is not whole.
    package static func isBegun(path: [UInt8]) -> Bool {
        withPath(path + ".partial".utf8) { access($0, F_OK) } == 0
    }

    /// Drops what lies behind the first bytes.
    package func truncate(to newCount: Int) throws(FileError) {
        try flush()
        guard ftruncate(descriptor, off_t(newCount)) == 0 else { throw .last() }
        count = newCount
    }

    /// Appends bytes, which reach the system at the latest with `flush`.
    package func append(_ bytes: some Collection<UInt8>) throws(FileError) {
        pending += bytes
        count += bytes.count
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Hands everything to the system, which keeps it should this process end.
    package func flush() throws(FileError) {
        guard !pending.isEmpty else { return }
        guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw .last() }
        do throws(FileError) {
            try write(pending)
        } catch {
            // The next try writes all of it, which must not stand behind a part.
            ftruncate(descriptor, off_t(count - pending.count))
            throw error
        }
        pending.removeAll(keepingCapacity: true)
    }

    /// Writes over what stands at a place.
    package func overwrite(_ bytes: [UInt8], at offset: Int = 0) throws(FileError) {
        precondition(offset + bytes.count <= count, "\(bytes.count) at \(offset) of \(count)")
        try flush()
        guard lseek(descriptor, off_t(offset), SEEK_SET) == offset else { throw .last() }
        try write(bytes)
    }

    private func write(_ bytes: [UInt8]) throws(FileError) {
        try bytes.withUnsafeBufferPointer { bytes throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
        }
    }

    /// Puts everything on the disk.
    package func synchronize() throws(FileError) {
        try flush()
        guard fsync(descriptor) == 0 else { throw .last() }
    }

    /// Puts everything on the disk and gives the file its name.
    package func finish() throws(FileError) {
        try flush()
        if let old = try? FileStatus(path: path) {
            fchmod(descriptor, mode_t(old.permissions))  // as what it replaces
        }
        guard fsync(descriptor) == 0 else { throw .last() }
        try renameFile(partialPath, to: path)
        synchronizeFolder(of: path)
    }
}

/// True if a process, this one included, has a file open as a `GrowingFile`.
package func isBeingWritten(_ path: [UInt8]) -> Bool {
    let descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
}
