internal import Files

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Returns the size of a regular file; nil if there is none.
///
/// - Parameters:
///   - path: The path of the file.
///   - followsLinks: True if a symbolic link stands for the file that it leads to; else it is an
///     error.
/// - Returns: The size in bytes.
/// - Throws: `HubError.unwritable` if something other than a regular file is at the path.
func regularFileSize(_ path: String, followsLinks: Bool) throws(HubError) -> Int? {
    guard let status = try? FileStatus(path: Array(path.utf8), followingLinks: followsLinks) else {
        return nil
    }
    if let reason = status.reasonAgainstWriting() { throw .unwritable(path: path, reason: reason) }
    return status.size
}

/// Returns the size of a partial file; nil if there is none.
///
/// A file with further hard links is unlinked here, because others may use it.
///
/// - Throws: `HubError.unwritable` if something other than a regular file is at the path.
func partialFileSize(_ path: String) throws(HubError) -> Int? {
    guard let size = try regularFileSize(path, followsLinks: false) else { return nil }
    let status = try? FileStatus(path: Array(path.utf8), followingLinks: false)
    guard let status, status.nameCount > 1 else { return size }
    removeFile(path)
    return nil
}

/// Runs an operation on a file of the cache, and translates its error.
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

/// Writes a small file, all or nothing.
///
/// A link, pipe or device of that name is replaced, and never written through.
func writeFile(_ bytes: [UInt8], to path: String) throws(HubError) {
    try changing(path) { path throws(FileError) in
        try writeFile(bytes, to: path, replacingAnything: true)
    }
}

/// Removes a file if it exists.
func removeFile(_ path: String) { try? removeFile(Array(path.utf8)) }

/// Makes a symbolic link, replacing one that is at the path.
func makeLink(_ path: String, to target: String) throws(HubError) {
    try changing(path) { path throws(FileError) in
        try makeLink(path, to: Array(target.utf8))
    }
}

/// Returns the path that a symbolic link holds; nil if it is not one.
func linkTarget(_ path: String) -> String? {
    (try? linkTarget(Array(path.utf8))).map { String(decoding: $0, as: UTF8.self) }
}

/// Waits a number of seconds, and checks for cancellation every tenth of a second.
func pause(_ seconds: Double, isCancelled: () -> Bool) throws(HubError) {
    var left = seconds
    while left > 0 {
        if isCancelled() { throw .cancelled }
        usleep(useconds_t(min(left, 0.1) * 1_000_000))
        left -= 0.1
    }
}
