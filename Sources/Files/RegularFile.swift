#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Opens a regular file for writing, or creates it.
///
/// Anything else at the path is an error: a symbolic link is not followed, and a pipe or a device
/// is not opened, which could block.
///
/// - Parameters:
///   - path: The path of the file.
///   - access: `O_WRONLY` or `O_RDWR`.
///   - subject: The subject of an error's reason, such as the name of the file.
/// - Returns: A file descriptor, which the caller closes.
/// - Throws: `FileError`; its code is `ELOOP` if a symbolic link is at the path.
func openRegularFile(
    _ path: [UInt8], _ access: Int32, subject: String = "it"
) throws(FileError) -> Int32 {
    let flags = access | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
    func check(_ status: FileStatus) throws(FileError) {
        guard let reason = status.reasonAgainstWriting(subject) else { return }
        throw FileError(reason: reason, code: status.isLink ? ELOOP : 0)
    }
    for _ in 0..<10 {
        let old: FileStatus?
        do throws(FileError) {
            old = try FileStatus(path: path, followingLinks: false)
        } catch {
            guard error.code == ENOENT else { throw error }
            old = nil
        }
        guard let old else {
            let descriptor = withPath(path) { open($0, flags | O_CREAT | O_EXCL, 0o666) }
            if descriptor >= 0 { return descriptor }
            // Another process made it meanwhile.
            if errno == EEXIST { continue }
            throw .last()
        }
        try check(old)
        let descriptor = withPath(path) { open($0, flags) }
        guard descriptor >= 0 else {
            // Another process removed it meanwhile.
            if errno == ENOENT { continue }
            throw .last()
        }
        do throws(FileError) {
            try check(FileStatus(descriptor: descriptor))
        } catch {
            close(descriptor)
            throw error
        }
        return descriptor
    }
    throw FileError(reason: "other processes keep creating and removing it")
}

/// A lock between processes: `flock` on a file, which is created if missing.
///
/// The lock is released when the object is deallocated or the process ends.
package final class FileLock {
    private let descriptor: Int32

    /// Opens the lock file without acquiring the lock.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError`, also if something other than a regular file is at the path.
    package init(path: [UInt8]) throws(FileError) { descriptor = try openRegularFile(path, O_RDWR) }

    deinit { close(descriptor) }

    /// Acquires the lock if no other `FileLock` holds it, without waiting.
    ///
    /// - Returns: True if this object holds the lock now.
    /// - Throws: `FileError` if the file system has no locks.
    package func acquire() throws(FileError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK || errno == EINTR else { throw .last() }
        return false
    }
}

/// Returns the number of free bytes on the file system of a folder; nil if it cannot be
/// determined.
package func freeBytes(in folder: [UInt8]) -> Int? {
    var status = statvfs()
    guard withPath(folder, { statvfs($0, &status) }) == 0 else { return nil }
    let (bytes, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(
        by: UInt64(status.f_frsize))
    return overflow ? .max : Int(clamping: bytes)
}
