internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The size of a file; nil if there is none.
func fileSize(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 ? Int(status.st_size) : nil
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

/// Removes a file, if it is there.
func removeFile(_ path: String) { unlink(path) }

/// Makes a symbolic link, in the place of one that is there.
func makeLink(_ path: String, to target: String) throws(HubError) {
    let made = "\(path).\(String(UInt64.random(in: 0 ... .max), radix: 36))"
    guard symlink(target, made) == 0 else {
        throw .unwritable(path: path, reason: FileError.last().reason)
    }
    try renameFile(made, to: path)
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
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw .unwritable(path: path, reason: FileError.last().reason)
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
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0, ftruncate(descriptor, offset) == 0,
            lseek(descriptor, 0, SEEK_END) == offset
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
