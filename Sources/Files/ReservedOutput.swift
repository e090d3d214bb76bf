#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The standard output of a process that speaks a binary protocol: only `write` reaches it.
///
/// Output that other code prints there, such as a library in C, goes to standard error.
package final class ReservedOutput: Sendable {
    private let descriptor: Int32

    /// Takes standard output for the rest of the process.
    ///
    /// - Throws: `FileError` if no descriptor is free.
    package init() throws(FileError) {
        descriptor = duplicateOfStandardOutput()
        guard descriptor >= 0 else { throw .last() }
        guard dup2(2, 1) >= 0 else {
            let error = FileError.last()
            close(descriptor)
            throw error
        }
    }

    deinit { close(descriptor) }

    /// Writes all bytes at once, without a buffer.
    package func write(_ bytes: [UInt8]) throws(FileError) {
        try Files.write(bytes, to: descriptor)
    }
}
