#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that is written from its beginning under its own name.
///
/// An existing file is emptied; what is written through, as `isWrittenThrough` tells, gets the
/// bytes at its end. An object must not be used by several threads at once.
package final class LineFile {
    private let descriptor: Int32
    private var pending: [UInt8] = []

    /// Opens a file, or creates it.
    ///
    /// - Parameter path: The path of the file; a symbolic link is followed.
    /// - Throws: `FileError` if it may not be written.
    package init(path: [UInt8]) throws(FileError) {
        let mode = isWrittenThrough(path) ? O_APPEND : O_TRUNC
        descriptor = withPath(path) { open($0, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0o666) }
        guard descriptor >= 0 else { throw .last() }
    }

    deinit {
        try? flush()
        close(descriptor)
    }

    /// Appends a line and its line feed, which are written with the next `flush`, or before.
    package func append(_ line: [UInt8]) throws(FileError) {
        pending += line
        pending.append(UInt8(ascii: "\n"))
        if pending.count >= 1 << 12 { try flush() }
    }

    /// Writes pending lines to the system.
    package func flush() throws(FileError) {
        defer { pending.removeAll(keepingCapacity: true) }
        try write(pending, to: descriptor)
    }
}
