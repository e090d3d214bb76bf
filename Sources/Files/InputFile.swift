#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A buffered reader of a file, a pipe or standard input.
///
/// An object must not be used by several threads at once.
package final class InputFile {
    private let descriptor: Int32
    private let isOwn: Bool
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)
    private var unread: Range<Int> = 0..<0
    /// The number of bytes read or skipped.
    package private(set) var position = 0

    /// Opens a file or a pipe.
    ///
    /// - Parameter path: The path, of any bytes but 0.
    /// - Throws: `FileError` if it is missing, unreadable or a folder.
    package init(path: [UInt8]) throws(FileError) {
        descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC) }
        isOwn = true
        guard descriptor >= 0 else { throw .last() }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        guard status.st_mode & S_IFMT != S_IFDIR else {
            throw FileError(reason: "it is a directory")
        }
    }

    /// Creates a reader of standard input.
    package init() {
        descriptor = 0
        isOwn = false
    }

    deinit { if isOwn { close(descriptor) } }

    /// Returns the next `count` bytes without consuming them; fewer only at the end of the file.
    package func peek(_ count: Int) throws(FileError) -> ArraySlice<UInt8> {
        while unread.count < count, try fill(atLeast: count) {}
        return buffer[unread].prefix(count)
    }

    /// Reads the next `count` bytes; fewer only at the end of the file.
    package func read(_ count: Int) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(count, 1 << 24))
        while bytes.count < count {
            if unread.isEmpty, try !fill(atLeast: 1) { break }
            bytes += take(count - bytes.count)
        }
        return bytes
    }

    /// Reads the bytes that have arrived, and waits only if there are none; empty at the end of the
    /// file.
    package func readAvailable() throws(FileError) -> ArraySlice<UInt8> {
        if unread.isEmpty, try !fill(atLeast: 1) { return [] }
        return take(unread.count)
    }

    /// Skips `count` bytes; returns false if the file has fewer left.
    package func skip(_ count: Int) throws(FileError) -> Bool {
        var rest = count
        while rest > 0 {
            if unread.isEmpty, try !fill(atLeast: 1) { return false }
            rest -= take(rest).count
        }
        return true
    }

    /// Reads the bytes up to the next `end`, which is skipped.
    ///
    /// - Parameters:
    ///   - end: The byte that ends a record, such as a line feed.
    ///   - limit: The largest number of bytes before `end`. It is checked only where the buffer
    ///     ends before `end`, so a record that is longer by less than a buffer (256 KiB) may pass.
    /// - Returns: The bytes without `end`; nil at the end of the file.
    /// - Throws: `FileError`, also if the record is longer than `limit` where that is checked.
    package func read(upTo end: UInt8, limit: Int = 1 << 24) throws(FileError) -> [UInt8]? {
        var bytes: [UInt8] = []
        while true {
            if unread.isEmpty, try !fill(atLeast: 1) { return bytes.isEmpty ? nil : bytes }
            if let index = buffer[unread].firstIndex(of: end) {
                bytes += take(index - unread.lowerBound)
                _ = take(1)
                return bytes
            }
            bytes += take(unread.count)
            guard bytes.count <= limit else {
                throw FileError(reason: "it has a line longer than \(limit) bytes")
            }
        }
    }

    private func take(_ count: Int) -> ArraySlice<UInt8> {
        let part = unread.lowerBound..<min(unread.upperBound, unread.lowerBound + count)
        unread = part.upperBound..<unread.upperBound
        position += part.count
        return buffer[part]
    }

    /// Reads more bytes into the buffer; returns false at the end of the file.
    private func fill(atLeast count: Int) throws(FileError) -> Bool {
        if unread.lowerBound > 0 {
            buffer.replaceSubrange(0..<unread.count, with: Array(buffer[unread]))
            unread = 0..<unread.count
        }
        if buffer.count < count { buffer += [UInt8](repeating: 0, count: count - buffer.count) }
        guard unread.count < buffer.count else { return true }
        let got = try readSome(of: descriptor, into: &buffer, from: unread.upperBound)
        unread = unread.lowerBound..<(unread.upperBound + got)
        return got > 0
    }
}
