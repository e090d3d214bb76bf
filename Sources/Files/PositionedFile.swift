#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A regular file that is read at any offset.
///
/// Unlike with `MappedFile`, another process may truncate the file meanwhile: fewer bytes are read
/// then. Any number of threads may use an object at once.
package final class PositionedFile: Sendable {
    private let descriptor: Int32
    /// The size in bytes when the file was opened.
    package let count: Int

    /// Opens a file.
    ///
    /// - Parameter path: The path of the file, of any bytes but 0.
    /// - Throws: `FileError` if the file is missing, unreadable, or not a regular file.
    package init(path: [UInt8]) throws(FileError) {
        // Without O_NONBLOCK, opening a pipe would wait for a writer.
        let descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw .last() }
        do throws(FileError) {
            let status = try FileStatus(descriptor: descriptor)
            guard status.isRegular else { throw FileError(reason: "it is not a regular file") }
            count = status.size
        } catch {
            close(descriptor)
            throw error
        }
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    /// Reads bytes at an offset: `count` of them, or fewer at the end of the file.
    package func read(_ count: Int, at offset: Int) throws(FileError) -> [UInt8] {
        try readBytes(count, of: descriptor, at: offset)
    }

    /// Reads `count` little-endian float32 numbers at an offset.
    ///
    /// - Throws: `FileError`, also if the file has become too short.
    package func floats(at offset: Int, count: Int) throws(FileError) -> [Float] {
        var failure: FileError?
        let numbers = [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
            do throws(FileError) {
                let space = UnsafeMutableRawBufferPointer(numbers)
                initialized =
                    try fill(
                        UnsafeMutableRawBufferPointer(rebasing: space[..<(4 * count)]),
                        of: descriptor, at: offset) / 4
                convertFromLittleEndian(numbers, initialized)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        guard numbers.count == count else {
            throw FileError(reason: "it has become shorter while it was read")
        }
        return numbers
    }

    /// Reads `count` little-endian float16 numbers at an offset.
    ///
    /// - Throws: `FileError`, also if the file has become too short.
    package func halves(at offset: Int, count: Int) throws(FileError) -> [Float] {
        let bytes = try read(2 * count, at: offset)
        guard bytes.count == 2 * count else {
            throw FileError(reason: "it has become shorter while it was read")
        }
        return Files.floats(ofHalfPrecision: bytes)
    }
}

/// Reads bytes of a file at an offset until a buffer is full or the file ends.
///
/// - Returns: The number of bytes.
/// - Throws: `FileError`.
private func fill(
    _ buffer: UnsafeMutableRawBufferPointer, of descriptor: Int32, at offset: Int
) throws(FileError) -> Int {
    var filled = 0
    while filled < buffer.count {
        let got = pread(
            descriptor, buffer.baseAddress.map { $0 + filled }, buffer.count - filled,
            off_t(offset + filled))
        if got < 0 && errno == EINTR { continue }
        guard got >= 0 else { throw .last() }
        if got == 0 { break }
        filled += got
    }
    return filled
}

/// Reads bytes of a file at an offset: `count` of them, or fewer at the end of the file.
func readBytes(
    _ count: Int, of descriptor: Int32, at offset: Int
) throws(FileError) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let filled = try bytes.withUnsafeMutableBufferPointer { (buffer) throws(FileError) in
        try fill(UnsafeMutableRawBufferPointer(buffer), of: descriptor, at: offset)
    }
    bytes.removeLast(count - filled)
    return bytes
}
