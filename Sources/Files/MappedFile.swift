internal import CSHA256

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The bytes of a file, mapped read-only: a page is read from the disk when it is first used.
///
/// If another process truncates the file while it is mapped, reading beyond its new end terminates
/// this process with SIGBUS. An object may also hold a copy of bytes in memory. Any number of
/// threads may use it at once.
///
/// `@unchecked Sendable`: the bytes are only read, and `deinit` unmaps them once.
package final class MappedFile: @unchecked Sendable {
    private let buffer: UnsafeRawBufferPointer
    /// True if the pages can be read again from a file.
    private let isFile: Bool

    package var count: Int { buffer.count }

    /// Maps a file.
    ///
    /// - Parameter path: The path of the file.
    /// - Throws: `FileError` if the file is missing, unreadable, or not a regular file.
    package convenience init(path: String) throws(FileError) {
        try self.init(path: Array(path.utf8))
    }

    /// Maps a file.
    ///
    /// - Parameter path: The path of the file, of any bytes but 0.
    /// - Throws: `FileError` if the file is missing, unreadable, or not a regular file.
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

    /// Copies bytes, such as those of a file that is compiled into the program.
    ///
    /// - Parameter bytes: The bytes to copy.
    /// - Throws: `FileError` if there is not enough memory.
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

    /// Returns the address of a range, which must lie within the file.
    package func address(of range: Range<Int>) -> UnsafeRawPointer {
        guard let base = buffer.baseAddress, range.lowerBound >= 0, range.upperBound <= count else {
            preconditionFailure("expected bytes within 0..<\(count), found \(range)")
        }
        return base + range.lowerBound
    }

    /// Releases the memory of the whole pages in a range; later use reads them from the disk again.
    package func forget(_ bytes: UnsafeRawBufferPointer) {
        guard isFile, let base = bytes.baseAddress else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (Int(bitPattern: base) + page - 1) / page * page
        let end = (Int(bitPattern: base) + bytes.count) / page * page
        guard start < end else { return }
        madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_DONTNEED)
    }

    /// Releases the memory of the whole pages in a range of the file, which must lie within it.
    package func forget(_ range: Range<Int>) {
        guard !range.isEmpty else { return }
        forget(UnsafeRawBufferPointer(start: address(of: range), count: range.count))
    }

    /// Returns the SHA-256 of all bytes as 64 hexadecimal digits.
    package func sha256() -> String { hexadecimal(digest(of: buffer)) }

    /// Returns the SHA-256, 32 bytes, of a range, which must lie within the file.
    package func sha256(of range: Range<Int>) -> [UInt8] {
        guard !range.isEmpty else {
            return digest(of: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        return digest(of: UnsafeRawBufferPointer(start: address(of: range), count: range.count))
    }

    /// Returns the git blob hash of the bytes (`git hash-object`), as 40 hexadecimal digits.
    package func gitBlobSHA1() -> String {
        var digest = [UInt8](repeating: 0, count: 20)
        let start = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
        clip_git_blob_sha1(start, buffer.count, &digest)
        return hexadecimal(digest)
    }

    /// Returns the unsigned little-endian number of `width` bytes at an offset; 0 if these bytes
    /// do not lie within the file.
    package func number(_ offset: Int, _ width: Int) -> UInt64 {
        guard offset >= 0, offset <= count - width else { return 0 }
        return buffer[offset..<offset + width].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    /// Returns `count` little-endian float32 numbers at an offset; all must lie within the file.
    package func floats(at offset: Int, count: Int) -> [Float] {
        let bytes = UnsafeRawBufferPointer(
            start: address(of: offset..<(offset + 4 * count)), count: 4 * count)
        return [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
            UnsafeMutableRawBufferPointer(numbers).copyMemory(from: bytes)
            initialized = count
        }
    }

    /// Returns a copy of the bytes of a range, which must lie within the file.
    package func bytes(_ range: Range<Int>) -> [UInt8] {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= count,
            "expected bytes within 0..<\(count), found \(range)")
        return Array(buffer[range])
    }
}
