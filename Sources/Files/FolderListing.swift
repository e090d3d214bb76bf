#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// An entry of a folder.
package struct FolderEntry {
    package let name: [UInt8]
    /// True for a folder, false for a regular file; nil for any other or unknown type.
    package let isFolder: Bool?
}

/// Returns the entries of a folder without `.` and `..`, sorted by the bytes of their names.
package func folderEntries(_ path: [UInt8]) throws(FileError) -> [FolderEntry] {
    guard let folder = withPath(path, { opendir($0) }) else { throw .last() }
    defer { closedir(folder) }
    var entries: [FolderEntry] = []
    while true {
        errno = 0
        guard let entry = readdir(folder) else {
            guard errno == 0 else { throw .last() }
            break
        }
        let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
        guard name != [UInt8(ascii: ".")], name != Array("..".utf8) else { continue }
        let kind = Int(entry.pointee.d_type)
        let isKnown = kind == Int(DT_DIR) || kind == Int(DT_REG)
        entries.append(FolderEntry(name: name, isFolder: isKnown ? kind == Int(DT_DIR) : nil))
    }
    return entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
}

/// Returns the sorted paths that match a shell pattern, as `glob` finds them.
package func pathsMatching(_ pattern: [UInt8]) -> [[UInt8]] {
    var found = glob_t()
    defer { globfree(&found) }
    guard withPath(pattern, { glob($0, 0, nil, &found) }) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { index in
        found.gl_pathv[index].map { path in
            Array(UnsafeRawBufferPointer(start: path, count: strlen(path)))
        }
    }
}
