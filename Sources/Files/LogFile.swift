#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An append-only file of lines; `append` returns once its line is on the disk.
package final class LogFile {
    package let path: [UInt8]
    private let descriptor: Int32

    /// Opens a file, or creates it.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - isNew: True if the file must not exist yet.
    /// - Throws: `FileError`, also if something other than a regular file is at the path, such as a
    ///   symbolic link.
    package init(path: [UInt8], isNew: Bool) throws(FileError) {
        self.path = path
        let flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC
        descriptor = withPath(path) { open($0, isNew ? flags | O_EXCL : flags, 0o666) }
        guard descriptor >= 0 else { throw .last() }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(reason: "it is not a regular file")
        }
        // If the process ended within a line, the next one must not be appended to it.
        var last: UInt8 = 0
        if status.st_size > 0, pread(descriptor, &last, 1, status.st_size - 1) == 1,
            last != UInt8(ascii: "\n")
        {
            try append([])
        }
        synchronizeFolder(of: path)
    }

    deinit { close(descriptor) }

    /// Appends a line and a line feed.
    package func append(_ line: [UInt8]) throws(FileError) {
        // One write, so that a process that ends meanwhile leaves no part of a line.
        let bytes = line + [UInt8(ascii: "\n")]
        try write(bytes, to: descriptor)
        guard fsync(descriptor) == 0 else { throw .last() }
    }
}

/// Writes the folder of a file to the disk, so that the name of the file survives a power failure.
///
/// Does nothing if the folder cannot be opened.
func synchronizeFolder(of path: [UInt8]) {
    let slash = path.lastIndex(of: UInt8(ascii: "/"))
    let folder = slash.map { Array(path[...$0]) } ?? [UInt8(ascii: ".")]
    if let folder = try? OpenFolder(path: folder) { folder.synchronize() }
}

/// Returns the current date and time in UTC, for names of files: "20260131T235959Z".
package func currentTime() -> String {
    var (now, parts) = (time(nil), tm())
    gmtime_r(&now, &parts)
    func digits(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
    return """
        \(parts.tm_year + 1900)\(digits(parts.tm_mon + 1))\(digits(parts.tm_mday))T\
        \(digits(parts.tm_hour))\(digits(parts.tm_min))\(digits(parts.tm_sec))Z
        """
}
