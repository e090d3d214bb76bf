#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

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
