internal import CKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Why a file could not be read or written: the text of `errno`.
package struct FileError: Error, Equatable {
    package let reason: String
    /// Whether the disk, or this user's share of it, is full.
    package var isOutOfSpace = false
    /// Whether another process has the file.
    package var isBusy = false
    /// True if the content of the file breaks its format.
    package var isDamage = false
    /// The `errno` of the call that failed; 0 if no call of the system failed.
    package let code: Int32

    /// True if nothing is at the path.
    package var isMissing: Bool { code == ENOENT || code == ENOTDIR }
    /// True if the file has more bytes than the caller takes.
    package var isTooLarge: Bool { code == EFBIG }
    /// True if nothing is at the path, or links that lead in a circle.
    package var leadsNowhere: Bool { isMissing || code == ELOOP }

    package init(
        reason: String, isOutOfSpace: Bool = false, isBusy: Bool = false, isDamage: Bool = false,
        code: Int32 = 0
    ) {
        self.isDamage = isDamage
        self.reason = reason
        self.isOutOfSpace = isOutOfSpace
        self.isBusy = isBusy
        self.code = code
    }

    package static func last() -> FileError {
        let code = errno
        return FileError(
            reason: String(cString: strerror(code)),
            isOutOfSpace: code == ENOSPC || code == EDQUOT, code: code)
    }
}

/// A file's bytes, mapped read-only: a page is read from disk when it is first touched.
///
/// A file that another process cuts shorter while it is mapped ends this one with SIGBUS. A file may
/// also be a copy of bytes that were in memory already.
package final class MappedFile: @unchecked Sendable {
    private let buffer: UnsafeRawBufferPointer
    /// Whether the pages can be read again from a file.
    private let isFile: Bool

    package var count: Int { buffer.count }

    /// - Throws: `FileError` if the file is missing, unreadable, or not a regular file.
    package convenience init(path: String) throws(FileError) {
        try self.init(path: Array(path.utf8))
    }

    /// The same of a path of any bytes.
    package init(path: [UInt8]) throws(FileError) {
        // Without O_NONBLOCK, opening a pipe would wait for a writer.
        let descriptor = withPath(path) { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
        guard descriptor >= 0 else { throw .last() }
        defer { close(descriptor) }

        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileError(
                reason: status.st_mode & S_IFMT == S_IFDIR
                    ? "it is a directory" : "it is not a regular file")
        }
        let count = Int(status.st_size)
        guard count > 0 else {
            buffer = UnsafeRawBufferPointer(start: nil, count: 0)
            isFile = false
            return
        }
        guard let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0),
            address != MAP_FAILED
        else { throw .last() }
        buffer = UnsafeRawBufferPointer(start: address, count: count)
        isFile = true
    }

    /// A copy of bytes that did not come from a file of their own.
    ///
    /// - Throws: `FileError` if there is no memory for it.
    package init(copying bytes: some Collection<UInt8>) throws(FileError) {
        let count = bytes.count
        isFile = false
        guard count > 0 else {
            buffer = UnsafeRawBufferPointer(start: nil, count: 0)
            return
        }
        let access = (PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
        guard let address = mmap(nil, count, access.0, access.1, -1, 0), address != MAP_FAILED
        else { throw .last() }
        let memory = UnsafeMutableRawBufferPointer(start: address, count: count)
        memory.copyBytes(from: bytes)
        mprotect(address, count, PROT_READ)
        buffer = UnsafeRawBufferPointer(memory)
    }

    deinit {
        if let base = buffer.baseAddress {
            munmap(UnsafeMutableRawPointer(mutating: base), buffer.count)
        }
    }

    /// Where a range that lies within the file starts in memory.
    func address(of range: Range<Int>) -> UnsafeRawPointer {
        guard let base = buffer.baseAddress, range.lowerBound >= 0, range.upperBound <= count else {
            preconditionFailure("bytes \(range) of \(count)")
        }
        return base + range.lowerBound
    }

    /// Gives back the memory of whole pages; they are read again when they are touched.
    func forget(_ bytes: UnsafeRawBufferPointer) {
        guard isFile, let base = bytes.baseAddress else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (Int(bitPattern: base) + page - 1) / page * page
        let end = (Int(bitPattern: base) + bytes.count) / page * page
        guard start < end else { return }
        madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_DONTNEED)
    }

    /// The SHA-256 of all bytes, as 64 hexadecimal digits.
    package func sha256() -> String { hexadecimal(digest(of: buffer)) }

    /// The SHA-256 of the bytes in a range that lies within the file: 32 bytes.
    package func sha256(of range: Range<Int>) -> [UInt8] {
        digest(of: UnsafeRawBufferPointer(start: address(of: range), count: range.count))
    }

    /// The SHA-1 by which git names the file (`git hash-object`), as 40 hexadecimal digits.
    package func gitBlobSHA1() -> String {
        var digest = [UInt8](repeating: 0, count: 20)
        let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        clip_git_blob_sha1(start, buffer.count, &digest)
        return hexadecimal(digest)
    }

    /// The unsigned number of `width` bytes, little end first, at an offset; 0 where the file has ended.
    package func number(_ offset: Int, _ width: Int) -> UInt64 {
        guard offset >= 0, offset <= count - width else { return 0 }
        return buffer[offset..<offset + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// The float32 numbers, little end first, from an offset on; there must be so many.
    package func floats(at offset: Int, count: Int) -> [Float] {
        let bytes = UnsafeRawBufferPointer(
            start: address(of: offset..<(offset + 4 * count)), count: 4 * count)
        return [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
            UnsafeMutableRawBufferPointer(numbers).copyMemory(from: bytes)
            initialized = count
        }
    }

    /// A copy of the bytes in a range that lies within the file.
    package func bytes(_ range: Range<Int>) -> [UInt8] {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count)")
        return Array(buffer[range])
    }
}

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

/// The folder that a path leads to, with its slash; empty if it names none.
package func folder(of path: String) -> String {
    String(path.dropLast(path.split(separator: "/").last?.count ?? 0))
}

/// Whether there is a file, or something else that is not a directory, at a path.
package func fileExists(_ path: String) -> Bool {
    fileMode(path).map { $0 & S_IFMT != S_IFDIR } ?? false
}

/// Whether there is a directory at a path.
package func isDirectory(_ path: String) -> Bool {
    fileMode(path).map { $0 & S_IFMT == S_IFDIR } ?? false
}

private func fileMode(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode : nil
}

/// Memory that starts at a cache line; of large blocks, in large pages where the system has them.
func allocateAligned(byteCount: Int) -> UnsafeMutableRawPointer {
    #if os(Linux)
        let large = 2 << 20
        if byteCount >= large {
            let start = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: large)
            madvise(start, byteCount / large * large, MADV_HUGEPAGE)
            return start
        }
    #endif
    return .allocate(byteCount: byteCount, alignment: 64)
}

/// The SHA-256 of bytes: 32 bytes.
package func sha256(_ bytes: [UInt8]) -> [UInt8] { bytes.withUnsafeBytes(digest) }

/// Two digits a byte.
package func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
}

private func digest(of bytes: UnsafeRawBufferPointer) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    let portably: Int32 = Kernels.instructionSet == "scalar" ? 1 : 0
    clip_sha256(
        bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), bytes.count, portably, &digest)
    return digest
}

/// Numbers as files have them, the lowest bytes first.
package func littleEndianBytes(of numbers: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * numbers.count)
    for number in numbers {
        withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes += $0 }
    }
    return bytes
}

/// The numbers that `littleEndianBytes` made bytes of.
package func floats(ofLittleEndian bytes: [UInt8]) -> [Float] {
    bytes.withUnsafeBytes { buffer in
        (0..<(bytes.count / 4)).map { index in
            let bits = buffer.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
            return Float(bitPattern: UInt32(littleEndian: bits))
        }
    }
}
