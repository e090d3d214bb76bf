#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An error of a file operation; `reason` is usually the system's text for `errno`.
package struct FileError: Error, Equatable {
    package let reason: String
    /// True if the disk is full or the user's quota is exhausted.
    package var isOutOfSpace = false
    /// True if another process is writing the file.
    package var isBusy = false
    /// True if the content of the file violates its format.
    package var isDamage = false
    /// The `errno` of the system call that failed, or the one that describes the error, such as
    /// `EFBIG`; 0 if there is none.
    package let code: Int32

    /// True if nothing exists at the path.
    package var isMissing: Bool { code == ENOENT || code == ENOTDIR }
    /// True if the file has more bytes than `readFile` may read, or than the system permits.
    package var isTooLarge: Bool { code == EFBIG }
    /// True if nothing exists at the path, or if its symbolic links form a loop.
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

    /// Returns the error of the last failed system call of this thread, from `errno`.
    package static func last() -> FileError { of(code: errno) }

    /// Returns the error of a system call that failed with an `errno`.
    package static func of(code: Int32) -> FileError {
        FileError(
            reason: String(cString: strerror(code)),
            isOutOfSpace: code == ENOSPC || code == EDQUOT, code: code)
    }
}
