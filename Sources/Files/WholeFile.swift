#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The whole of a file as bytes.
///
/// Reads whatever can be read, pipes too.
///
/// - Throws: `FileError`; its code is `EFBIG` if there are more than `limit` bytes, and `ENOMEM` if
///   there is no memory for them.
package func readFile(path: String, limit: Int) throws(FileError) -> [UInt8] {
    try readFile(path: Array(path.utf8), limit: limit)
}

/// The same of a path of any bytes.
package func readFile(path: [UInt8], limit: Int) throws(FileError) -> [UInt8] {
    try readFile(path: path, limit: limit) { _ in true } ?? []
}

/// The same if its beginning is one that the caller wants; else nil, and nothing more is read.
///
/// - Parameter isWanted: called with the first 16 bytes, fewer if the file is shorter.
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
        // The zeros to append, and the new array of both.
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

/// Checks that there is memory for an array, which would end the process if there is none.
///
/// The memory is given back at once, so that another thread may take it before the array does.
///
/// - Throws: `FileError` of code `ENOMEM`.
func checkMemory(_ count: Int) throws(FileError) {
    guard count >= 1 << 20 else { return }
    // Not malloc, which the compiler may remove together with free.
    let access = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
    guard let address = mmap(nil, count, access.0, access.1, -1, 0), address != MAP_FAILED
    else { throw .last() }
    munmap(address, count)
}

/// Reads as much as there is at once into bytes from a place on; 0 where the file has ended.
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

/// Writes all of some bytes to an open file.
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

/// Writes all of some bytes to an open file.
func write(_ bytes: [UInt8], to descriptor: Int32) throws(FileError) {
    try bytes.withUnsafeBufferPointer { bytes throws(FileError) in
        try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
    }
}
