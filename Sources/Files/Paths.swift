#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Calls a function with a path as a C string.
package func withPath<Result>(_ path: [UInt8], _ body: (UnsafePointer<CChar>) -> Result) -> Result {
    let terminated = path.prefix { $0 != 0 }.map { CChar(bitPattern: $0) } + [0]
    return terminated.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else {
            preconditionFailure("expected a terminated path, found an empty array")
        }
        return body(base)
    }
}

/// Returns the part of a path before its last component, with the slash; empty if there is none.
package func folder(of path: String) -> String {
    String(path.dropLast(path.split(separator: "/").last?.count ?? 0))
}

/// Returns true if something other than a folder exists at a path.
package func fileExists(_ path: String) -> Bool {
    fileMode(path).map { $0 & S_IFMT != S_IFDIR } ?? false
}

/// Returns true if a folder exists at a path.
package func isDirectory(_ path: String) -> Bool {
    fileMode(path).map { $0 & S_IFMT == S_IFDIR } ?? false
}

private func fileMode(_ path: String) -> mode_t? {
    var status = stat()
    return stat(path, &status) == 0 ? status.st_mode : nil
}

/// Returns an error if this process may not write to a file or folder; nil if it may.
package func errorAgainstWriting(_ path: [UInt8]) -> FileError? {
    withPath(path) { access($0, W_OK) } == 0 ? nil : .last()
}

/// Returns the final target of a symbolic link, whether a file exists there or not.
///
/// - Parameter path: The path; if it is not a symbolic link, it is returned unchanged.
/// - Returns: A path that is not a symbolic link.
/// - Throws: `FileError` if the links form a loop.
package func finalPath(of path: [UInt8]) throws(FileError) -> [UInt8] {
    var path = path
    for _ in 0..<40 {
        guard let target = linkTarget(of: path) else { return path }
        path = target
    }
    throw FileError(reason: "its symbolic links form a loop")
}

/// Returns true if output must be written to what is at a path, rather than to a new file there.
///
/// This holds for a device, a pipe, and an open descriptor of a process (`/dev/fd/3`,
/// `/dev/stdout`, `/proc/self/fd/3`), even one of a regular file.
package func isWrittenThrough(_ path: [UInt8]) -> Bool {
    if let status = try? FileStatus(path: path), !status.isRegular { return !status.isFolder }
    var path = path
    for _ in 0..<40 {
        let slash = path.lastIndex(of: UInt8(ascii: "/"))
        let folder = slash.map { Array(path[...$0]) } ?? [UInt8(ascii: ".")]
        if let folder = try? realPath(folder), holdsDescriptors(folder) { return true }
        guard let target = linkTarget(of: path) else { return false }
        path = target
    }
    return false
}

/// Returns true for folders such as `/dev/fd`, whose entries are open descriptors of a process.
private func holdsDescriptors(_ folder: [UInt8]) -> Bool {
    let parts = folder.split(separator: UInt8(ascii: "/")).map {
        String(decoding: $0, as: UTF8.self)
    }
    return parts == ["dev", "fd"]
        || (parts.count > 2 && parts.first == "proc" && parts.last == "fd")
}

/// Returns the path of a symbolic link's target; nil if the path is not that of a link.
///
/// The result is absolute, or relative to the folder that `path` is relative to.
private func linkTarget(of path: [UInt8]) -> [UInt8]? {
    guard let link = try? linkTarget(path) else { return nil }
    let isAbsolute = link.first == UInt8(ascii: "/")
    let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? []
    return isAbsolute ? link : Array(folder) + link
}

/// Returns the absolute path of a file or folder, with all symbolic links resolved.
package func realPath(_ path: [UInt8]) throws(FileError) -> [UInt8] {
    guard let found = withPath(path, { realpath($0, nil) }) else { throw .last() }
    defer { free(found) }
    return Array(UnsafeRawBufferPointer(start: found, count: strlen(found)))
}

/// Returns the target of a symbolic link as it is stored, perhaps relative to the link's folder.
package func linkTarget(_ path: [UInt8]) throws(FileError) -> [UInt8] {
    var target = [CChar](repeating: 0, count: 4096)
    let count = withPath(path) { readlink($0, &target, target.count) }
    guard count >= 0 else { throw .last() }
    guard count < target.count else { throw FileError(reason: "its link target is too long") }
    return target[..<count].map { UInt8(bitPattern: $0) }
}
