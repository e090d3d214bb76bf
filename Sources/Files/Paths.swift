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
        guard let base = buffer.baseAddress else { preconditionFailure("a path without its end") }
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

/// Returns the reason why this process may not write a file, or into a folder; nil if it may.
package func errorAgainstWriting(_ path: [UInt8]) -> FileError? {
    withPath(path) { access($0, W_OK) } == 0 ? nil : .last()
}

/// Returns the path that symbolic links lead to, whether a file exists there or not.
///
/// - Parameter path: The path; one that is not that of a link is returned unchanged.
/// - Returns: The path of something other than a link.
/// - Throws: `FileError` if the links form a circle.
package func finalPath(of path: [UInt8]) throws(FileError) -> [UInt8] {
    var path = path
    for _ in 0..<40 {
        guard let target = linkTarget(of: path) else { return path }
        path = target
    }
    throw FileError(reason: "its links lead in a circle")
}

/// Returns true if a path is written through rather than replaced by a new file.
///
/// That is so for a device, a pipe, and an open descriptor of a process (`/dev/fd/3`,
/// `/dev/stdout`, `/proc/self/fd/3`), which may be that of a regular file.
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

/// Returns true if the entries of a folder are the open descriptors of a process.
private func holdsDescriptors(_ folder: [UInt8]) -> Bool {
    let parts = folder.split(separator: UInt8(ascii: "/")).map {
        String(decoding: $0, as: UTF8.self)
    }
    return parts == ["dev", "fd"]
        || (parts.count > 2 && parts.first == "proc" && parts.last == "fd")
}

/// Returns the path that a symbolic link leads to; nil if the path is not that of a link.
///
/// If it is relative, it is relative to the same folder as `path`.
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

/// Returns the path that a symbolic link holds, unchanged.
package func linkTarget(_ path: [UInt8]) throws(FileError) -> [UInt8] {
    var target = [CChar](repeating: 0, count: 4096)
    let count = withPath(path) { readlink($0, &target, target.count) }
    guard count >= 0 else { throw .last() }
    guard count < target.count else { throw FileError(reason: "its target is too long") }
    return target[..<count].map { UInt8(bitPattern: $0) }
}
