internal import Files

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Returns the size of a regular file; nil if the file does not exist or is inaccessible.
///
/// - Parameters:
///   - path: The path of the file.
///   - followsLinks: True to follow a symbolic link; false to treat one as an error.
/// - Returns: The size in bytes.
/// - Throws: `HubError.unwritable` if something other than a regular file is at the path.
func regularFileSize(_ path: String, followsLinks: Bool) throws(HubError) -> Int? {
    guard let status = try? FileStatus(path: Array(path.utf8), followingLinks: followsLinks) else {
        return nil
    }
    if let reason = status.reasonAgainstWriting() { throw .unwritable(path: path, reason: reason) }
    return status.size
}

/// Returns the size of a partial file; nil if the file does not exist or is inaccessible.
///
/// A file with several hard links is removed from this path, because the other links may be in use,
/// and the result is nil.
///
/// - Throws: `HubError.unwritable` if something other than a regular file is at the path.
func partialFileSize(_ path: String) throws(HubError) -> Int? {
    guard let size = try regularFileSize(path, followsLinks: false) else { return nil }
    let status = try? FileStatus(path: Array(path.utf8), followingLinks: false)
    guard let status, status.nameCount > 1 else { return size }
    removeFile(path)
    return nil
}

/// Runs an operation on a path, and rethrows its `FileError` as `HubError.unwritable`.
private func changing<Result>(
    _ path: String, _ body: ([UInt8]) throws(FileError) -> Result
) throws(HubError) -> Result {
    do throws(FileError) {
        return try body(Array(path.utf8))
    } catch {
        throw .unwritable(path: path, reason: error.reason)
    }
}

/// Makes a folder and the missing folders above it.
func makeFolder(_ path: String) throws(HubError) {
    var made = path.hasPrefix("/") ? "" : "."
    for part in path.split(separator: "/") {
        made += "/" + part
        try changing(made, makeOneFolder)
    }
}

/// Renames a file so that the new name survives a power failure.
func renameFile(_ path: String, to name: String) throws(HubError) {
    try changing(name) { name throws(FileError) in
        try renameFileDurably(Array(path.utf8), to: name)
    }
}

/// Writes a small file atomically.
///
/// A link, pipe or device at the path is replaced, not written to.
func writeFile(_ bytes: [UInt8], to path: String) throws(HubError) {
    try changing(path) { path throws(FileError) in
        try writeFile(bytes, to: path, replacingAnything: true)
    }
}

/// Removes a file if it exists; errors are ignored.
func removeFile(_ path: String) { try? removeFile(Array(path.utf8)) }

/// Makes a symbolic link, replacing a link or a file that is at the path.
func makeLink(_ path: String, to target: String) throws(HubError) {
    try changing(path) { path throws(FileError) in
        try makeLink(path, to: Array(target.utf8))
    }
}

/// Returns the target of a symbolic link; nil if no link is at the path, or it is inaccessible.
func linkTarget(_ path: String) -> String? {
    (try? linkTarget(Array(path.utf8))).map { String(decoding: $0, as: UTF8.self) }
}

/// Waits a number of seconds, and checks for cancellation every tenth of a second.
///
/// Throws `HubError.cancelled` once `isCancelled` returns true.
func pause(_ seconds: Double, isCancelled: () -> Bool) throws(HubError) {
    var left = seconds
    while left > 0 {
        if isCancelled() { throw .cancelled }
        usleep(useconds_t(min(left, 0.1) * 1_000_000))
        left -= 0.1
    }
}
