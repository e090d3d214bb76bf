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
