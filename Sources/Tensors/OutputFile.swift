#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A file that gets its name when it is whole and on the disk; until then, and if it never is, nothing
/// stands there that did not stand there before.
///
/// A symbolic link stays: the file that it leads to is replaced. A device or a pipe cannot be
/// replaced by a file, and is written through; so is an open descriptor (`/dev/fd/3`), whose file
/// gets the bytes at its end.
package final class OutputFile {
    private let path: [UInt8]
    /// The file that grows; nil where the output is written through.
    private let partialPath: [UInt8]?
    private let descriptor: Int32
    private var pending: [UInt8] = []
    private var isFinished = false

    /// - Throws: `FileError` if the folder is missing or may not be written, or the path is that of
    ///   a folder.
    package convenience init(path: String) throws(FileError) {
        try self.init(path: Array(path.utf8))
    }

    /// The same for a path of any bytes.
    package init(path: [UInt8]) throws(FileError) {
        let old = try? FileStatus(path: path)
        if isWrittenThrough(path) {
            // The path as given: the text of such a link is no path.
            self.path = path
            partialPath = nil
            let flags = old?.isRegular == true ? O_WRONLY | O_APPEND : O_WRONLY
            descriptor = withPath(path) { open($0, flags | O_CLOEXEC) }
            guard descriptor >= 0 else { throw .last() }
            return
        }
        self.path = try finalPath(of: path)
        guard old?.isFolder != true, self.path.last != UInt8(ascii: "/") else {
            throw FileError(reason: "it is a directory")
        }
        let number = String(UInt64.random(in: 0 ... .max), radix: 36)
        let partialPath = self.path + ".\(number).partial".utf8
        self.partialPath = partialPath
        descriptor = withPath(partialPath) {
            open($0, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o666)
        }
        guard descriptor >= 0 else { throw .last() }
        if let old { fchmod(descriptor, mode_t(old.permissions)) }  // as what it replaces
    }

    deinit {
        close(descriptor)
        if !isFinished, let partialPath { _ = withPath(partialPath) { unlink($0) } }
    }

    /// Appends bytes.
    package func write(_ bytes: some Collection<UInt8>) throws(FileError) {
        pending += bytes
        if pending.count >= 1 << 20 { try flush() }
    }

    /// Appends a tensor's numbers in some format, rounded to nearest even.
    ///
    /// - Returns: the first number that the format cannot hold, after which nothing is to be written.
    package func write(_ tensor: Tensor, as type: StoredType) throws(FileError) -> Float? {
        for start in stride(from: 0, to: tensor.count, by: 1 << 16) {
            let end = min(start + 1 << 16, tensor.count)
            var encoded: [UInt8] = []
            encoded.reserveCapacity((end - start) * type.byteWidth)
            for index in start..<end {
                let number = tensor.elements[index]
                let bits = type.bits(of: number)
                if type.isInfinite(bits) && number.isFinite { return number }
                for byte in 0..<type.byteWidth {
                    encoded.append(UInt8(truncatingIfNeeded: bits >> (8 * UInt32(byte))))
                }
            }
            try write(encoded)
        }
        return withExtendedLifetime(tensor) { nil }
    }

    /// Appends the bytes of a stored tensor in row-major order as they are.
    package func writeBytes(of tensor: StoredTensor) throws(FileError) {
        try flush()
        try tensor.withBytes { bytes throws(FileError) in try writeAll(bytes, to: descriptor) }
    }

    /// Puts everything on the disk and gives the file its name.
    package func finish() throws(FileError) {
        try flush()
        if let partialPath {
            guard fsync(descriptor) == 0 else { throw .last() }
            try renameFile(partialPath, to: path)
            synchronizeFolder(of: path)
        }
        isFinished = true
    }

    private func flush() throws(FileError) {
        try pending.withUnsafeBufferPointer { bytes throws(FileError) in
            try writeAll(UnsafeRawBufferPointer(bytes), to: descriptor)
        }
        pending.removeAll(keepingCapacity: true)
    }
}

/// The path that symbolic links lead to, whether a file is there or not; any other path as it is.
///
/// - Throws: `FileError` if the links lead in a circle.
package func finalPath(of path: [UInt8]) throws(FileError) -> [UInt8] {
    var path = path
    for _ in 0..<40 {
        guard let target = linkTarget(of: path) else { return path }
        path = target
    }
    throw FileError(reason: "its links lead in a circle")
}

/// True if writing to a path does not replace anything there: a device, a pipe, or an open
/// descriptor of a process (`/dev/fd/3`, `/dev/stdout`, `/proc/self/fd/3`), which may be that of a
/// regular file.
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

/// True if a folder's entries are the open descriptors of a process.
private func holdsDescriptors(_ folder: [UInt8]) -> Bool {
    let parts = folder.split(separator: UInt8(ascii: "/")).map {
        String(decoding: $0, as: UTF8.self)
    }
    return parts == ["dev", "fd"]
        || (parts.count > 2 && parts.first == "proc" && parts.last == "fd")
}

/// The path that a symbolic link contains, relative to the folder that this path is relative to;
/// nil if the path is not that of a link.
private func linkTarget(of path: [UInt8]) -> [UInt8]? {
    guard let link = try? linkTarget(path) else { return nil }
    let isAbsolute = link.first == UInt8(ascii: "/")
    let folder = path.lastIndex(of: UInt8(ascii: "/")).map { path[...$0] } ?? []
    return isAbsolute ? link : Array(folder) + link
}

/// Writes a file, all or nothing, as `OutputFile` does.
package func writeFile(_ bytes: some Collection<UInt8>, to path: [UInt8]) throws(FileError) {
    let file = try OutputFile(path: path)
    try file.write(bytes)
    try file.finish()
}

extension StoredType {
    /// The bits of a number in this format, rounded to nearest even.
    package func bits(of number: Float) -> UInt32 {
        let bits = number.bitPattern
        switch self {
        case .float32: return bits
        case .bfloat16:
            guard !number.isNaN else { return bits >> 16 | 0x40 }
            return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        case .float16:
            let sign = bits >> 16 & 0x8000
            guard !number.isNaN else { return sign | 0x7E00 }
            // Scaled so that the format's smallest step is 1, its subnormal numbers are whole.
            let size = number.magnitude
            if size < 0x1p-14 { return sign | UInt32((size * 0x1p24).rounded(.toNearestOrEven)) }
            guard size < 65520 else { return sign | 0x7C00 }
            let magnitude = size.bitPattern
            let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
            return sign | ((rounded >> 13) - (112 << 10))
        }
    }

    fileprivate func isInfinite(_ bits: UInt32) -> Bool {
        switch self {
        case .float32: bits & 0x7FFF_FFFF == 0x7F80_0000
        case .float16: bits & 0x7FFF == 0x7C00
        case .bfloat16: bits & 0x7FFF == 0x7F80
        }
    }
}
