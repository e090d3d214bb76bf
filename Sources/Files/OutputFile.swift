#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is written atomically: it gets its name when it is complete and on the disk.
///
/// Until then, and if `finish` is never called, an existing file at the path is unchanged. If the
/// path is a symbolic link, its target is replaced. A device, a pipe or an open descriptor
/// (`/dev/fd/3`) is not replaced: the bytes are written to it, or appended if it is a regular file.
/// An object must not be used by several threads at once.
package final class OutputFile {
    private let path: [UInt8]
    /// The path of the temporary file; nil if there is none, as for a device or a pipe.
    private let partialPath: [UInt8]?
    private let descriptor: Int32
    private var pending: [UInt8] = []
    private var isFinished = false

    /// Opens a temporary file beside the path; or the device, pipe or descriptor at the path.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError` if the folder is missing or may not be written, or the path is that of
    ///   a folder.
    package convenience init(path: String) throws(FileError) {
        try self.init(path: Array(path.utf8))
    }

    /// Opens a temporary file beside the path; or the device, pipe or descriptor at the path.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - replacingAnything: True to replace a symbolic link, a pipe or a device rather than
    ///     follow it or write to it. The file then has the permissions of a new file.
    /// - Throws: `FileError` if the folder is missing or may not be written, or the path is that of
    ///   a folder.
    package init(path: [UInt8], replacingAnything: Bool = false) throws(FileError) {
        let old = replacingAnything ? nil : try? FileStatus(path: path)
        if !replacingAnything, isWrittenThrough(path) {
            // The path as given: the text of a link to a descriptor is not a path.
            self.path = path
            partialPath = nil
            let flags = old?.isRegular == true ? O_WRONLY | O_APPEND : O_WRONLY
            descriptor =
                leadsToStandardOutput(path)
                ? duplicateOfStandardOutput() : withPath(path) { open($0, flags | O_CLOEXEC) }
            guard descriptor >= 0 else { throw .last() }
            return
        }
        self.path = replacingAnything ? path : try finalPath(of: path)
        guard old?.isFolder != true, self.path.last != UInt8(ascii: "/") else {
            throw FileError(reason: "it is a directory")
        }
        let number = String(UInt64.random(in: 0 ... .max), radix: 36)
        let partialPath = self.path + ".\(number).partial".utf8
        self.partialPath = partialPath
        descriptor = withPath(partialPath) {
            open($0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else { throw .last() }
        if let old { fchmod(descriptor, mode_t(old.permissions)) }  // as the replaced file
    }

    deinit {
        close(descriptor)
        if !isFinished, let partialPath { _ = withPath(partialPath) { unlink($0) } }
    }

    /// Appends bytes, which are written later, with `finish` at the latest.
    package func write(_ bytes: some Collection<UInt8>) throws(FileError) {
        pending += bytes
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Appends bytes, which are written immediately, without a copy.
    package func write(contentsOf bytes: UnsafeRawBufferPointer) throws(FileError) {
        try flush()
        try writeAll(bytes, to: descriptor)
    }

    /// Writes everything to the disk and gives the file its name.
    package func finish() throws(FileError) {
        try flush()
        if let partialPath {
            guard fsync(descriptor) == 0 else { throw .last() }
            try renameFileDurably(partialPath, to: path)
        }
        isFinished = true
    }

    private func flush() throws(FileError) {
        try Files.write(pending, to: descriptor)
        pending.removeAll(keepingCapacity: true)
    }
}

/// Writes a whole file atomically, as `OutputFile` does.
///
/// - Parameters:
///   - bytes: The content.
///   - path: The path of the file.
///   - replacingAnything: True to replace a symbolic link, a pipe or a device rather than follow it
///     or write to it.
/// - Throws: `FileError`; an existing regular file at the path is then unchanged.
package func writeFile(
    _ bytes: some Collection<UInt8>, to path: [UInt8], replacingAnything: Bool = false
) throws(FileError) {
    let file = try OutputFile(path: path, replacingAnything: replacingAnything)
    try file.write(bytes)
    try file.finish()
}

/// Returns true if the file at a path is the one that standard output is written to.
///
/// `/dev/stdout` and `/dev/fd/1` are examples, as is the file of a redirection. `/dev/null` is not:
/// what is written to it need not be kept apart.
package func leadsToStandardOutput(_ path: [UInt8]) -> Bool {
    guard let file = try? FileStatus(path: path), !file.isFolder,
        let output = try? FileStatus(descriptor: 1)
    else { return false }
    return (file.device, file.inode) == (output.device, output.inode)
        && (file.kind != .device || isatty(1) == 1)
}

/// Returns a new descriptor of standard output, or a negative number if it is closed.
///
/// Both have one position in the file. With a position of its own, each would overwrite the other.
func duplicateOfStandardOutput() -> Int32 { fcntl(1, F_DUPFD_CLOEXEC, 3) }
