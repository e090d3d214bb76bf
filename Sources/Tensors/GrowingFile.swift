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
        descriptor = withPath(partialPath) { open($0, O_RDWR | O_CREAT | O_CLOEXEC, 0o666) }
        count = 0
        guard descriptor >= 0 else { throw .last() }
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

    deinit { close(descriptor) }

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
        guard !pending.isEmpty, lseek(descriptor, 0, SEEK_END) >= 0 else { return }
        try write(pending)
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
        var status = stat()
        if withPath(path, { stat($0, &status) }) == 0 {
            fchmod(descriptor, status.st_mode & 0o7777)  // as what it replaces
        }
        guard fsync(descriptor) == 0 else { throw .last() }
        try renameFile(partialPath, to: path)
    }
}

/// Gives a file another name, in place of whatever had it.
package func renameFile(_ path: [UInt8], to newPath: [UInt8]) throws(FileError) {
    guard withPath(path, { path in withPath(newPath) { rename(path, $0) } }) == 0 else {
        throw .last()
    }
}

/// Removes a file.
package func removeFile(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { unlink($0) }) == 0 else { throw .last() }
}

/// Makes a folder and those it lies in, if they are not there.
package func makeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { mkdir($0, 0o777) }) != 0, errno != EEXIST else { return }
    let error = FileError.last()
    guard errno == ENOENT, let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else {
        throw error
    }
    try makeFolder(Array(path[..<slash]))
    guard withPath(path, { mkdir($0, 0o777) }) == 0 || errno == EEXIST else { throw .last() }
}

/// Removes an empty folder.
package func removeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { rmdir($0) }) == 0 else { throw .last() }
}
