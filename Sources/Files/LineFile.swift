#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file of lines that is written in place, without a temporary file.
///
/// An existing file is truncated first. If `isWrittenThrough` is true for the path, lines are
/// appended instead. An object must not be used by several threads at once.
package final class LineFile {
    private let descriptor: Int32
    private var pending: [UInt8] = []

    /// Opens a file, or creates it.
    ///
    /// - Parameter path: The path of the file; a symbolic link is followed.
    /// - Throws: `FileError` if it may not be written.
    package init(path: [UInt8]) throws(FileError) {
        let mode = isWrittenThrough(path) ? O_APPEND : O_TRUNC
        descriptor =
            leadsToStandardOutput(path)
            ? duplicateOfStandardOutput()
            : withPath(path) { open($0, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0o666) }
        guard descriptor >= 0 else { throw .last() }
    }

    deinit {
        try? flush()
        close(descriptor)
    }

    /// Appends a line and a line feed to a buffer, which is written by the next `flush` or once it
    /// reaches 4 KB.
    package func append(_ line: [UInt8]) throws(FileError) {
        pending += line
        pending.append(UInt8(ascii: "\n"))
        if pending.count >= 1 << 12 { try flush() }
    }

    /// Writes the buffered lines to the file.
    package func flush() throws(FileError) {
        defer { pending.removeAll(keepingCapacity: true) }
        try write(pending, to: descriptor)
    }
}
