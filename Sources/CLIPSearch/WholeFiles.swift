package import Files
package import CLIP
internal import Tensors

/// Reads a whole file, or standard input if the path is nil.
///
/// - Parameters:
///   - path: The path of the file; standard input if nil.
///   - limit: The largest number of bytes to read.
/// - Returns: The content of the file.
/// - Throws: `CLIPError.unreadableFile`, also if there are more than `limit` bytes.
package func readWhole(_ path: FilePath?, limit: Int) throws(CLIPError) -> [UInt8] {
    do throws(FileError) {
        if let path { return try readFile(path: path.bytes, limit: limit) }
        let bytes = try InputFile().read(limit + 1)
        guard bytes.count <= limit else {
            throw FileError(reason: "it is too large (limit \(limit) bytes)")
        }
        return bytes
    } catch {
        throw .unreadableFile(
            path: path?.description ?? "standard input", reason: error.reason)
    }
}

/// Returns true if writing to a path does not replace the file there: a device, a pipe, or an open
/// descriptor such as `/dev/fd/3`.
package func isWrittenThrough(_ path: FilePath) -> Bool { Files.isWrittenThrough(path.bytes) }

/// Writes a file atomically.
///
/// Links are followed. A device or a pipe is written in place.
///
/// - Parameters:
///   - bytes: The content of the file.
///   - path: The path of the file.
/// - Throws: `CLIPError.unwritableFile`.
package func writeWhole(_ bytes: [UInt8], to path: FilePath) throws(CLIPError) {
    do throws(FileError) {
        try writeFile(bytes, to: path.bytes)
    } catch {
        throw .unwritableFile(path: path.description, reason: error.reason)
    }
}
