internal import Files
internal import Files

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The size of a regular file; nil if nothing stands there.
///
/// - Parameter followsLinks: whether a symbolic link stands for the file that it leads to; else it
///   is an error.
/// - Throws: `HubError.unwritable` if something else than a regular file stands there.
func regularFileSize(_ path: String, followsLinks: Bool) throws(HubError) -> Int? {
    var status = stat()
    guard (followsLinks ? stat(path, &status) : lstat(path, &status)) == 0 else { return nil }
    if let reason = reasonAgainst(status) { throw .unwritable(path: path, reason: reason) }
    return Int(status.st_size)
}

/// The size of a partial file; nil if there is none.
///
/// A file with further hard links is unlinked here, because others may use it.
///
/// - Throws: `HubError.unwritable` if something else than a regular file stands there.
func partialFileSize(_ path: String) throws(HubError) -> Int? {
    guard let size = try regularFileSize(path, followsLinks: false) else { return nil }
    var status = stat()
    guard lstat(path, &status) == 0, status.st_nlink > 1 else { return size }
    removeFile(path)
    return nil
}

/// The reason why something is not written to: that it is no regular file; nil for one.
private func reasonAgainst(_ status: stat) -> String? {
    let kind: String
    switch status.st_mode & S_IFMT {
    case S_IFREG: return nil
    case S_IFLNK: kind = "a symbolic link"
    case S_IFIFO: kind = "a named pipe"
    case S_IFDIR: kind = "a directory"
    case S_IFSOCK: kind = "a socket"
    default: kind = "a device"
    }
    return "it is \(kind), not a regular file; remove it and try again"
}

/// Opens a regular file for writing, or creates it.
///
/// It never follows a symbolic link, waits for the other end of a pipe, or touches a device.
private func openRegularFile(_ path: String, _ access: Int32) throws(FileError) -> Int32 {
    let flags = access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    for _ in 0..<10 {
        var status = stat()
        if lstat(path, &status) == 0 {
            if let reason = reasonAgainst(status) { throw FileError(reason: reason) }
            let descriptor = open(path, flags)
            if descriptor < 0, errno == ENOENT { continue }  // removed meanwhile
            guard descriptor >= 0 else { throw .last() }
            guard fstat(descriptor, &status) == 0 else {
                let error = FileError.last()
                close(descriptor)
                throw error
            }
            if let reason = reasonAgainst(status) {
                close(descriptor)
                throw FileError(reason: reason)
            }
            return descriptor
        }
        guard errno == ENOENT else { throw .last() }
        let descriptor = open(path, flags | O_CREAT | O_EXCL, 0o666)
        if descriptor >= 0 { return descriptor }
        guard errno == EEXIST else { throw .last() }  // made meanwhile
    }
    throw FileError(reason: "other processes create and remove it all the time")
}

/// Makes a folder and those above it.
func makeFolder(_ path: String) throws(HubError) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
        made += "/" + part
        guard mkdir(made, 0o777) != 0 else { continue }
        let error = FileError.last()
        guard isDirectory(made) else { throw .unwritable(path: made, reason: error.reason) }
    }
}

/// How many bytes may be written in a folder; nil if the system does not say.
func freeBytes(in folder: String) -> Int? {
    var status = statvfs()
    guard statvfs(folder, &status) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
        by: UInt64(status.f_frsize))
    return overflow ? .max : Int(clamping: bytes)
}

/// Gives a file another name, and makes that outlast a loss of power.
func renameFile(_ path: String, to name: String) throws(HubError) {
    guard rename(path, name) == 0 else {
        throw .unwritable(path: name, reason: FileError.last().reason)
    }
    let descriptor = open(folder(of: name), O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
}

/// Writes a small file, which gets its name when it is whole.
///
/// A link, pipe or device of that name is replaced, and never written through.
func writeFile(_ bytes: [UInt8], to path: String) throws(HubError) {
    let made = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36)).partial"
    do throws(FileError) {
        let file = try PartialFile(made, from: 0)
        try file.append(bytes[...])
        try file.sync()
    } catch {
        removeFile(made)
        throw .unwritable(path: path, reason: error.reason)
    }
    do throws(HubError) {
        try renameFile(made, to: path)
    } catch {
        removeFile(made)
        throw error
    }
}

/// Removes a file, if it is there.
func removeFile(_ path: String) { unlink(path) }

/// Makes a symbolic link, in the place of one that is there.
func makeLink(_ path: String, to target: String) throws(HubError) {
    let made = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36))"
    guard symlink(target, made) == 0 else {
        throw .unwritable(path: path, reason: FileError.last().reason)
    }
    do throws(HubError) {
        try renameFile(made, to: path)
    } catch {
        removeFile(made)
        throw error
    }
}

/// The path that a symbolic link holds; nil if it is none.
func linkTarget(_ path: String) -> String? {
    var bytes = [CChar](repeating: 0, count: 4096)
    let count = readlink(path, &bytes, bytes.count)
    guard count > 0, count < bytes.count else { return nil }
    return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Waits, and looks every tenth of a second whether to go on waiting.
func pause(_ seconds: Double, isCancelled: () -> Bool) throws(HubError) {
    var left = seconds
    while left > 0 {
        if isCancelled() { throw .cancelled }
        usleep(useconds_t(min(left, 0.1) * 1_000_000))
        left -= 0.1
    }
}

/// A file that only one process holds at a time, and that goes free with it.
final class FileLock {
    private let path: String
    private let descriptor: Int32

    init(_ path: String) throws(HubError) {
        self.path = path
        do {
            descriptor = try openRegularFile(path, O_RDWR)
        } catch {
            throw .unwritable(path: path, reason: error.reason)
        }
    }

    deinit { close(descriptor) }

    /// Whether it is held now; false if another holds it.
    func acquire() throws(HubError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK || errno == EINTR else {
            throw .unwritable(path: path, reason: "no lock: \(FileError.last().reason)")
        }
        return false
    }
}

/// A file that grows at its end.
final class PartialFile {
    private let descriptor: Int32

    /// - Parameter offset: what lies beyond it is dropped.
    init(_ path: String, from offset: Int) throws(FileError) {
        descriptor = try openRegularFile(path, O_WRONLY)
        guard ftruncate(descriptor, offset) == 0, lseek(descriptor, 0, SEEK_END) == offset
        else { throw .last() }
    }

    deinit { close(descriptor) }

    func append(_ bytes: ArraySlice<UInt8>) throws(FileError) {
        try bytes.withUnsafeBufferPointer { bytes throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
        }
    }

    func sync() throws(FileError) {
        guard fsync(descriptor) == 0 else { throw .last() }
    }
}
