internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// What the system says of a file that cannot be used.
struct SystemError: Error {
    let code: Int32

    static func last() -> SystemError { SystemError(code: errno) }

    var isOutOfSpace: Bool { code == ENOSPC || code == EDQUOT }
    var reason: String { String(cString: strerror(code)) }
}

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
        guard mkdir(made, 0o777) == 0 || errno == EEXIST || isDirectory(made) else {
            throw .unwritable(path: made, reason: SystemError.last().reason)
        }
    }
}

/// Makes what happened to names in a folder outlast a loss of power.
func syncFolder(of path: String) {
    let folder = String(path.dropLast(path.split(separator: "/").last?.count ?? 0))
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return }
    fsync(descriptor)
    close(descriptor)
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
    private let descriptor: Int32

    init(_ path: String) throws(HubError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else {
            throw .unwritable(path: path, reason: SystemError.last().reason)
        }
    }

    deinit { close(descriptor) }

    /// Whether it is held now.
    func acquire() throws(HubError) -> Bool { flock(descriptor, LOCK_EX | LOCK_NB) == 0 }
}

/// A file that grows at its end.
final class PartialFile {
    private let descriptor: Int32

    /// - Parameter offset: what lies beyond it is dropped.
    init(_ path: String, from offset: Int) throws(HubError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0, ftruncate(descriptor, offset) == 0,
            lseek(descriptor, 0, SEEK_END) == offset
        else { throw .unwritable(path: path, reason: SystemError.last().reason) }
    }

    deinit { close(descriptor) }

    func append(_ bytes: ArraySlice<UInt8>) throws(SystemError) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                throw .last()
            }
            rest = rest.dropFirst(count)
        }
    }

    func sync() throws(HubError) {
        guard fsync(descriptor) == 0 else {
            throw .unwritable(path: "the partial file", reason: SystemError.last().reason)
        }
    }
}
