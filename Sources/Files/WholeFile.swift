#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Reads a whole file, or a pipe up to its end.
///
/// - Parameters:
///   - path: The path of the file.
///   - limit: The largest number of bytes.
/// - Returns: The content.
/// - Throws: `FileError`; its code is `EFBIG` if there are more than `limit` bytes, and `ENOMEM` if
///   there is not enough memory.
package func readFile(path: String, limit: Int) throws(FileError) -> [UInt8] {
    try readFile(path: Array(path.utf8), limit: limit)
}

/// Reads a whole file, or a pipe up to its end.
///
/// - Parameters:
///   - path: The path of the file, of any bytes but 0.
///   - limit: The largest number of bytes.
/// - Returns: The content.
/// - Throws: `FileError`; its code is `EFBIG` if there are more than `limit` bytes, and `ENOMEM` if
///   there is not enough memory.
package func readFile(path: [UInt8], limit: Int) throws(FileError) -> [UInt8] {
    try readFile(path: path, limit: limit) { _ in true } ?? []
}

/// Reads a whole file if `isWanted` accepts its first bytes.
///
/// - Parameters:
///   - path: The path of the file, of any bytes but 0.
///   - limit: The largest number of bytes.
///   - isWanted: Called with the first 16 bytes, or fewer if the file is shorter.
/// - Returns: The content; nil if `isWanted` returns false, after which nothing more is read.
/// - Throws: `FileError`; its code is `EFBIG` if there are more than `limit` bytes, and `ENOMEM` if
///   there is not enough memory.
package func readFile(
    path: [UInt8], limit: Int, isWanted: (ArraySlice<UInt8>) -> Bool
) throws(FileError) -> [UInt8]? {
    let descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC) }
    guard descriptor >= 0 else { throw .last() }
    defer { close(descriptor) }

    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw .last() }
    guard status.st_mode & S_IFMT != S_IFDIR else { throw FileError(reason: "it is a directory") }

    let tooLarge = FileError(
        reason: "it is larger than the \(limit) bytes that are read", code: EFBIG)
    var bytes = [UInt8](repeating: 0, count: 16)
    var filled = 0
    while filled < bytes.count {
        let n = try readSome(of: descriptor, into: &bytes, from: filled)
        if n == 0 { break }
        filled += n
    }
    guard isWanted(bytes[..<filled]) else { return nil }
    guard status.st_size <= limit else { throw tooLarge }
    let beginning = bytes[..<filled]
    let count = max(Int(status.st_size) + 1, 1 << 16)
    try checkMemory(count)
    bytes = [UInt8](repeating: 0, count: count)
    bytes.replaceSubrange(..<filled, with: beginning)
    while true {
        // Both the zeros to append and the new array of double size.
        if filled == bytes.count { try checkMemory(3 * bytes.count) }
        if filled == bytes.count { bytes += [UInt8](repeating: 0, count: bytes.count) }
        let n = try readSome(of: descriptor, into: &bytes, from: filled)
        if n == 0 { break }
        filled += n
        guard filled <= limit else { throw tooLarge }
    }
    bytes.removeLast(bytes.count - filled)
    return bytes
}

/// Checks that there is enough memory for an array of `count` bytes; arrays under 1 MiB are not
/// checked.
///
/// Without the check, a failed allocation would end the process. The memory is released at once, so
/// another thread may take it before the array is allocated.
func checkMemory(_ count: Int) throws(FileError) {
    guard count >= 1 << 20 else { return }
    // mmap, because the compiler may remove a malloc together with its free.
    let access = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    guard let address = mmap(nil, count, access.0, access.1, -1, 0), address != MAP_FAILED
    else { throw .last() }
    munmap(address, count)
}

/// Reads from a file, with one system call, into `bytes` from the index `start` on.
///
/// - Returns: The number of bytes read, 0 at the end of the file.
func readSome(
    of descriptor: Int32, into bytes: inout [UInt8], from start: Int
) throws(FileError) -> Int {
    while true {
        let count = bytes.withUnsafeMutableBytes { buffer in
            read(descriptor, buffer.baseAddress.map { $0 + start }, buffer.count - start)
        }
        if count >= 0 { return count }
        guard errno == EINTR else { throw .last() }
    }
}

/// Writes all bytes to an open file.
package func writeAll(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32
) throws(FileError) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let part = UnsafeRawBufferPointer(rebasing: rest)
        let count = write(descriptor, part.baseAddress, part.count)
        if count < 0 {
            if errno == EINTR { continue }
            throw .last()
        }
        rest = rest.dropFirst(count)
    }
}

/// Writes all bytes to an open file.
func write(_ bytes: [UInt8], to descriptor: Int32) throws(FileError) {
    try bytes.withUnsafeBufferPointer { bytes throws(FileError) in
        try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
    }
}
