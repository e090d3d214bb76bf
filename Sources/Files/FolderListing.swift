#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A name in a folder, and whether it is one of a folder itself, if that is known without a look.
package struct FolderEntry {
    package let name: [UInt8]
    package let isFolder: Bool?
}

/// What a folder holds, in the order of the bytes of the names; . and .. left out.
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

/// The paths that a pattern of the shell fits, in order.
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
