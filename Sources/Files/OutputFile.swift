#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that gets its name when it is whole and on the disk; until then, and if it never is, nothing
/// stands there that did not stand there before.
///
/// A symbolic link stays: the file that it leads to is replaced. A device or a pipe cannot be
/// replaced by a file, and is written through; so is an open descriptor (`/dev/fd/3`), whose file
/// gets the bytes at its end.
package final class OutputFile {
    private let path: [UInt8]
    /// The file that grows; nil where the output is written through.
    private let partialPath: [UInt8]?
    private let descriptor: Int32
    private var pending: [UInt8] = []
    private var isFinished = false

    /// - Throws: `FileError` if the folder is missing or may not be written, or the path is that of
    ///   a folder.
    package convenience init(path: String) throws(FileError) {
        try self.init(path: Array(path.utf8))
    }

    /// The same for a path of any bytes.
    package init(path: [UInt8]) throws(FileError) {
        let old = try? FileStatus(path: path)
        if isWrittenThrough(path) {
            // The path as given: the text of such a link is no path.
            self.path = path
            partialPath = nil
            let flags = old?.isRegular == true ? O_WRONLY | O_APPEND : O_WRONLY
            descriptor = withPath(path) { open($0, flags | O_CLOEXEC) }
            guard descriptor >= 0 else { throw .last() }
            return
        }
        self.path = try finalPath(of: path)
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
        if let old { fchmod(descriptor, mode_t(old.permissions)) }  // as what it replaces
    }

    deinit {
        close(descriptor)
        if !isFinished, let partialPath { _ = withPath(partialPath) { unlink($0) } }
    }

    /// Appends bytes.
    package func write(_ bytes: some Collection<UInt8>) throws(FileError) {
        pending += bytes
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Appends bytes that are written at once, without a copy.
    package func write(contentsOf bytes: UnsafeRawBufferPointer) throws(FileError) {
        try flush()
        try writeAll(bytes, to: descriptor)
    }

    /// Puts everything on the disk and gives the file its name.
    package func finish() throws(FileError) {
        try flush()
        if let partialPath {
            guard fsync(descriptor) == 0 else { throw .last() }
            try renameFile(partialPath, to: path)
            synchronizeFolder(of: path)
        }
        isFinished = true
    }

    private func flush() throws(FileError) {
        try pending.withUnsafeBufferPointer { bytes throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
        }
        pending.removeAll(keepingCapacity: true)
    }
}

/// Writes a file, all or nothing, as `OutputFile` does.
package func writeFile(_ bytes: some Collection<UInt8>, to path: [UInt8]) throws(FileError) {
    let file = try OutputFile(path: path)
    try file.write(bytes)
    try file.finish()
}
