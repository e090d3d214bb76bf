#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Gives a file another name, in place of whatever had it.
package func renameFile(_ path: [UInt8], to newPath: [UInt8]) throws(FileError) {
    guard withPath(path, { path in withPath(newPath) { rename(path, $0) } }) == 0 else {
        throw .last()
    }
}

/// Removes a file.
package func removeFile(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { unlink($0) }) == 0 else { throw .last() }
}

/// Makes a folder and those it lies in, if they are not there.
package func makeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { mkdir($0, 0o777) }) != 0, errno != EEXIST else { return }
    let error = FileError.last()
    guard errno == ENOENT, let slash = path.lastIndex(of: UInt8(ascii: "/")), slash > 0 else {
        throw error
    }
    try makeFolder(Array(path[..<slash]))
    guard withPath(path, { mkdir($0, 0o777) }) == 0 || errno == EEXIST else { throw .last() }
}

/// Removes an empty folder.
package func removeFolder(_ path: [UInt8]) throws(FileError) {
    guard withPath(path, { rmdir($0) }) == 0 else { throw .last() }
}
