#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The metadata of a file: its kind, size, times and identity.
package struct FileStatus: Sendable, Equatable {
    /// The kind of a file.
    package enum Kind: Sendable {
        case regular, folder, link, pipe, socket, device
    }

    package let kind: Kind
    /// The permission bits, with set-user-ID, set-group-ID and sticky bits.
    package let permissions: UInt32
    /// The size in bytes.
    package let size: Int
    /// The time of the last change of the content, in nanoseconds since 1970.
    package let modified: Int
    /// The time of the last change of the content or the metadata, in nanoseconds since 1970.
    package let changed: Int
    /// The number of the device; with `inode`, it identifies the file.
    package let device: UInt64
    package let inode: UInt64
    /// The number of names (hard links) of the file.
    package let nameCount: Int

    package var isFolder: Bool { kind == .folder }
    package var isRegular: Bool { kind == .regular }
    /// True if this is the status of a symbolic link itself, not of its target.
    package var isLink: Bool { kind == .link }

    /// Returns the reason to refuse writing to the file; nil if it is a regular file.
    ///
    /// - Parameter subject: The subject of the clause that is returned.
    /// - Returns: A clause such as "it is a socket, not a regular file; remove it and try again".
    package func reasonAgainstWriting(_ subject: String = "it") -> String? {
        let name =
            switch kind {
            case .regular: ""
            case .folder: "a directory"
            case .link: "a symbolic link"
            case .pipe: "a named pipe"
            case .socket: "a socket"
            case .device: "a device"
            }
        return isRegular
            ? nil : "\(subject) is \(name), not a regular file; remove it and try again"
    }

    /// Reads the status of a file.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - followingLinks: False to get the status of a symbolic link itself.
    /// - Throws: `FileError` if nothing is at the path, or a folder in it may not be searched.
    package init(path: [UInt8], followingLinks: Bool = true) throws(FileError) {
        var status = stat()
        let found = withPath(path) { followingLinks ? stat($0, &status) : lstat($0, &status) }
        guard found == 0 else { throw .last() }
        self.init(status)
    }

    /// Reads the status of an open file.
    init(descriptor: Int32) throws(FileError) {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .last() }
        self.init(status)
    }

    init(_ status: stat) {
        kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .folder
            case S_IFLNK: .link
            case S_IFIFO: .pipe
            case S_IFSOCK: .socket
            default: .device
            }
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
        nameCount = Int(status.st_nlink)
    }

    private static func nanoseconds(_ time: timespec) -> Int {
        let (seconds, overflow) = Int(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : seconds &+ Int(time.tv_nsec)
    }
}
