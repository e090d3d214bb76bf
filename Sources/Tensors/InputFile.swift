#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file, a pipe or standard input, read from its beginning on.
package final class InputFile {
    private let descriptor: Int32
    private let isOwn: Bool
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)
    private var unread: Range<Int> = 0..<0
    /// How many bytes have been taken.
    package private(set) var position = 0

    /// - Parameter path: any bytes but 0.
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

    /// Standard input.
    package init() {
        descriptor = 0
        isOwn = false
    }

    deinit { if isOwn { close(descriptor) } }

    /// The next bytes, fewer than `count` only where the file ends; they stay to be read.
    package func peek(_ count: Int) throws(FileError) -> ArraySlice<UInt8> {
        while unread.count < count, try fill(atLeast: count) {}
        return buffer[unread].prefix(count)
    }

    /// The next bytes, fewer than `count` only where the file ends.
    package func read(_ count: Int) throws(FileError) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(min(count, 1 << 24))
        while bytes.count < count {
            if unread.isEmpty, try !fill(atLeast: 1) { break }
            bytes += take(count - bytes.count)
        }
        return bytes
    }

    /// Passes over bytes; false if the file ends before.
    package func skip(_ count: Int) throws(FileError) -> Bool {
        var rest = count
        while rest > 0 {
            if unread.isEmpty, try !fill(atLeast: 1) { return false }
            rest -= take(rest).count
        }
        return true
    }

    /// What lies before the next `end`, which is passed over; nil where the file has ended.
    ///
    /// - Throws: `FileError` too if it is longer than `limit`.
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
                throw FileError(reason: "a line of it is longer than \(limit) bytes")
            }
        }
    }

    private func take(_ count: Int) -> ArraySlice<UInt8> {
        let part = unread.lowerBound..<min(unread.upperBound, unread.lowerBound + count)
        unread = part.upperBound..<unread.upperBound
        position += part.count
        return buffer[part]
    }

    /// Reads on; false where the file has ended.
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

/// What a file is, without its content.
package struct FileStatus: Sendable, Equatable {
    package let isFolder: Bool
    package let isRegular: Bool
    package let isLink: Bool
    package let permissions: UInt32
    package let size: Int
    /// Nanoseconds since 1970.
    package let modified: Int
    /// The time of the last change of the content or of anything else about the file, in
    /// nanoseconds since 1970.
    package let changed: Int
    package let device: UInt64
    package let inode: UInt64

    /// - Parameter followingLinks: false to get the status of a symbolic link itself.
    /// - Throws: `FileError` if there is none.
    package init(path: [UInt8], followingLinks: Bool = true) throws(FileError) {
        var status = stat()
        let found = withPath(path) { followingLinks ? stat($0, &status) : lstat($0, &status) }
        guard found == 0 else { throw .last() }
        self.init(status)
    }

    init(_ status: stat) {
        isFolder = status.st_mode & S_IFMT == S_IFDIR
        isRegular = status.st_mode & S_IFMT == S_IFREG
        isLink = status.st_mode & S_IFMT == S_IFLNK
        permissions = UInt32(status.st_mode & 0o7777)
        size = Int(status.st_size)
        #if canImport(Darwin)
            (modified, changed) = (
                Self.nanoseconds(status.st_mtimespec), Self.nanoseconds(status.st_ctimespec)
            )
        #else
            (modified, changed) = (
                Self.nanoseconds(status.st_mtim), Self.nanoseconds(status.st_ctim)
            )
        #endif
        device = UInt64(truncatingIfNeeded: status.st_dev)
        inode = UInt64(truncatingIfNeeded: status.st_ino)
    }

    private static func nanoseconds(_ time: timespec) -> Int {
        let (seconds, overflow) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : seconds &+ Int(time.tv_nsec)
    }
}

/// Whether this process may write a file, or into a folder.
package func mayWrite(_ path: [UInt8]) -> Bool { withPath(path) { access($0, W_OK) } == 0 }

/// A name in a folder, and whether it is one of a folder itself, if that is known without a look.
package struct FolderEntry {
    package let name: [UInt8]
    package let isFolder: Bool?
}

/// What a folder holds, in the order of the bytes of the names; . and .. left out.
package func folderEntries(_ path: [UInt8]) throws(FileError) -> [FolderEntry] {
    guard let folder = withPath(path, { opendir($0) }) else { throw .last() }
    defer { closedir(folder) }
    var entries: [FolderEntry] = []
    while true {
        errno = 0
        guard let entry = readdir(folder) else {
            guard errno == 0 else { throw .last() }
            break
        }
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        guard name != [UInt8(ascii: ".")], name != Array("..".utf8) else { continue }
        let kind = Int(entry.pointee.d_type)
        let isKnown = kind == Int(DT_DIR) || kind == Int(DT_REG)
        entries.append(FolderEntry(name: name, isFolder: isKnown ? kind == Int(DT_DIR) : nil))
    }
    return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
}

/// The paths that a pattern of the shell fits, in order.
package func pathsMatching(_ pattern: [UInt8]) -> [[UInt8]] {
    var found = glob_t()
    defer { globfree(&found) }
    guard withPath(pattern, { glob($0, 0, nil, &found) }) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { index in
        found.gl_pathv[index].map { path in
            Array(UnsafeRawBufferPointer(start: path, count: strlen(path)))
        }
    }
}

/// Calls with a path as C has it.
package func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let terminated = path.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
    return terminated.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { preconditionFailure("a path without its end") }
        return body(base)
    }
}
