#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Renames a file, replacing any file at the new path.
package func renameFile(_ path: [UInt8], to newPath: [UInt8]) throws(FileError) {
    guard withPath(path, { path in withPath(newPath) { rename(path, $0) } }) == 0 else {
        throw .last()
    }
}

/// Renames a file, replacing any file at the new path, so that the new name survives a power
/// failure.
package func renameFileDurably(_ path: [UInt8], to newPath: [UInt8]) throws(FileError) {
    try renameFile(path, to: newPath)
    synchronizeFolder(of: newPath)
}

/// Removes a file, or a symbolic link itself.
package func removeFile(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { unlink($0) }) == 0 else { throw .last() }
}

/// Makes a symbolic link, replacing any file at its path.
///
/// - Parameters:
///   - path: The path of the link.
///   - target: The path that the link points to; if relative, it starts at the folder of the link.
/// - Throws: `FileError`; the path is then unchanged.
package func makeLink(_ path: [UInt8], to target: [UInt8]) throws(FileError) {
    let made = path + ".\(String(UInt64.random(in: 0 ... .max), radix: 36))".utf8
    guard withPath(target, { target in withPath(made) { symlink(target, $0) } }) == 0 else {
        throw .last()
    }
    do throws(FileError) {
        try renameFileDurably(made, to: path)
    } catch {
        try? removeFile(made)
        throw error
    }
}

/// Makes a folder and the missing folders above it; does nothing if something is at the path.
package func makeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { mkdir($0, 0o777) }) != 0, errno != EEXIST else { return }
    let error = FileError.last()
    guard error.code == ENOENT, let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else {
        throw error
    }
    try makeFolder(Array(path[..<slash]))
    guard withPath(path, { mkdir($0, 0o777) }) == 0 || errno == EEXIST else { throw .last() }
}

/// Makes a folder, whose parent must exist, unless the folder itself exists.
///
/// - Parameter path: The path of the folder.
/// - Throws: `FileError`, also if something other than a folder is at the path.
package func makeOneFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { mkdir($0, 0o777) }) != 0 else { return }
    let error = FileError.last()
    guard (try? FileStatus(path: path))?.isFolder == true else { throw error }
}

/// Removes an empty folder.
package func removeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { rmdir($0) }) == 0 else { throw .last() }
}
