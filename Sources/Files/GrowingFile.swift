internal import CFiles

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is written over a long time, under a temporary name until it is finished.
///
/// Flushed bytes survive the end of the process, and a later process can continue the file. A lock
/// ensures that only one process writes it. An object must not be used by several threads at once.
package final class GrowingFile {
    /// The final path.
    package let path: [UInt8]
    /// The path until the file is finished: `path` with the suffix `.partial`, or `path` itself if
    /// the file is always whole.
    package let partialPath: [UInt8]
    /// The size in bytes, including bytes that are not flushed yet.
    package private(set) var count: Int
    private let descriptor: Int32
    private var pending: [UInt8] = []
    /// The number of bytes from the start of the file whose transfer to the disk has begun.
    private var transferred = 0

    /// Opens the partial file, or creates an empty one, and locks it.
    ///
    /// - Parameters:
    ///   - path: The final path.
    ///   - isAlwaysWhole: True if the file is valid at any time, and so has its final name from the
    ///     beginning.
    /// - Throws: `FileError` if the folder may not be written, another process writes the file, or
    ///   something other than a regular file is at `path` or at the path of the partial file.
    package init(path: [UInt8], isAlwaysWhole: Bool = false) throws(FileError) {
        self.path = path
        partialPath = isAlwaysWhole ? path : path + ".partial".utf8
        if !isAlwaysWhole, let old = try? FileStatus(path: path, followingLinks: false),
            !old.isRegular
        {
            let kind =
                old.isLink
                ? "a symbolic link" : old.isFolder ? "a folder" : "a device, pipe or socket"
            throw FileError(reason: "\(kind) is at this path; remove it and try again")
        }
        count = 0
        descriptor = try openRegularFile(
            partialPath, O_RDWR, subject: String(decoding: partialPath, as: UTF8.self))
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
        let status = try FileStatus(descriptor: descriptor)
        // While this process waited, another may have put a new file in the place of this one.
        guard let named = try? FileStatus(path: partialPath), named.inode == status.inode,
            named.device == status.device
        else { throw FileError(reason: "another process is writing it", isBusy: true) }
        count = status.size
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Reads bytes at an offset: `count` of them, or fewer at the end of the file.
    package func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        try flush()
        return try readBytes(count, of: descriptor, at: offset)
    }

    /// Flushes the file and returns its status.
    package func status() throws(FileError) -> FileStatus {
        try flush()
        return try FileStatus(descriptor: descriptor)
    }

    /// Returns true if the partial file of `path` exists.
    package static func isBegun(path: [UInt8]) -> Bool {
        withPath(path + ".partial".utf8) { access($0, F_OK) } == 0
    }

    /// Sets the size of the file: removes the bytes beyond it, or appends zeros.
    package func truncate(to newCount: Int) throws(FileError) {
        try flush()
        guard ftruncate(descriptor, off_t(newCount)) == 0 else { throw .last() }
        count = newCount
        transferred = min(transferred, newCount)
    }

    /// Appends bytes to a buffer, which is written by the next `flush` or once it reaches 1 MB.
    package func append(_ bytes: some Collection<UInt8>) throws(FileError) {
        pending += bytes
        count += bytes.count
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Writes the buffer to the file, so that its bytes survive the end of this process.
    package func flush() throws(FileError) {
        guard !pending.isEmpty else { return }
        guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw .last() }
        do throws(FileError) {
            try write(pending, to: descriptor)
        } catch {
            // The next try writes all pending bytes again, so those already written are removed.
            ftruncate(descriptor, off_t(count - pending.count))
            throw error
        }
        pending.removeAll(keepingCapacity: true)
        beginTransfer()
    }

    /// Lets the kernel begin to write large parts to the disk, so that `finish` waits less.
    private func beginTransfer() {
        let size = count - pending.count - transferred
        guard size >= 1 << 23 else { return }
        clip_begin_transfer(descriptor, Int64(transferred), Int64(size))
        transferred += size
    }

    /// Appends bytes, which are written immediately, without a copy.
    func append(contentsOf bytes: UnsafeRawBufferPointer) throws(FileError) {
        try flush()
        guard lseek(descriptor, 0, SEEK_END) >= 0 else { throw .last() }
        do throws(FileError) {
            try writeAll(bytes, to: descriptor)
        } catch {
            ftruncate(descriptor, off_t(count))
            throw error
        }
        count += bytes.count
        beginTransfer()
    }

    /// Overwrites bytes at an offset; the range must lie within the file.
    package func overwrite(_ bytes: [UInt8], at offset: Int = 0) throws(FileError) {
        precondition(
            offset + bytes.count <= count,
            "expected bytes within 0..<\(count), found \(bytes.count) at \(offset)")
        try flush()
        guard lseek(descriptor, off_t(offset), SEEK_SET) == offset else { throw .last() }
        try write(bytes, to: descriptor)
    }

    /// Writes everything to the disk.
    package func synchronize() throws(FileError) {
        try flush()
        guard fsync(descriptor) == 0 else { throw .last() }
    }

    /// Writes everything to the disk and gives the file its final name.
    package func finish() throws(FileError) {
        try flush()
        if let old = try? FileStatus(path: path) {
            fchmod(descriptor, mode_t(old.permissions))  // as the file that it replaces
        }
        guard fsync(descriptor) == 0 else { throw .last() }
        try renameFileDurably(partialPath, to: path)
    }
}

/// Returns true if a process, this one included, has the file open as a `GrowingFile`.
package func isBeingWritten(_ path: [UInt8]) -> Bool {
    let descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    return flock(descriptor, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK
}
