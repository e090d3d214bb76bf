package import Files
package import CLIP
package import Tensors

/// Reads a whole file or, for nil, standard input.
///
/// - Throws: `CLIPError.unreadableFile`, also if there are more than `limit` bytes.
package func readWhole(_ path: FilePath?, limit: Int) throws(CLIPError) -> [UInt8] {
    do throws(FileError) {
        if let path { return try readFile(path: path.bytes, limit: limit) }
        let bytes = try InputFile().read(limit + 1)
        guard bytes.count <= limit else {
            throw FileError(reason: "it is larger than the \(limit) bytes that are read")
        }
        return bytes
    } catch {
        throw .unreadableFile(
            path: path?.description ?? "standard input", reason: error.reason)
    }
}

/// True if writing to a path does not replace anything there: a device, a pipe, or an open
/// descriptor such as `/dev/fd/3`.
package func isWrittenThrough(_ path: FilePath) -> Bool { Files.isWrittenThrough(path.bytes) }

/// Writes a file, all or nothing; a link is followed, a device or a pipe is written through.
///
/// - Throws: `CLIPError.unwritableFile`.
package func writeWhole(_ bytes: [UInt8], to path: FilePath) throws(CLIPError) {
    do throws(FileError) {
        try writeFile(bytes, to: path.bytes)
    } catch {
        throw .unwritableFile(path: path.description, reason: error.reason)
    }
}
