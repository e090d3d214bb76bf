import CLIPSearch

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// Recognises, by their first bytes, files that are not weights.
enum ForeignFile {
    /// Returns the kind of a file, such as "a JPEG image"; nil if the file may be weights.
    static func kind(of path: String) -> String? {
        let bytes = firstBytes(of: path, count: 24)
        func starts(_ prefix: [UInt8]) -> Bool { bytes.starts(with: prefix) }
        func starts(_ prefix: String) -> Bool { bytes.starts(with: prefix.utf8) }
        if starts([0xFF, 0xD8, 0xFF]) { return "a JPEG image" }
        if starts([0x89, 0x50, 0x4E, 0x47]) { return "a PNG image" }
        if starts("RIFF"), bytes.dropFirst(8).starts(with: "WEBP".utf8) { return "a WebP image" }
        if starts("GIF8") { return "a GIF image" }
        if starts("%PDF") { return "a PDF document" }
        if starts([0x93] + Array("NUMPY".utf8)) { return "a .npy array" }
        if starts("PAR1") { return "a Parquet file; clip search and clip export read its vectors" }
        if starts([0x1F, 0x8B]) { return "a gzip archive; unpack it first" }
        if starts("<!DOCTYPE") || starts("<!doctype") || starts("<html") {
            return "an HTML page; download the weights themselves"
        }
        if starts("version https://git-lfs") {
            return "a Git LFS pointer; run git lfs pull to download the weights"
        }
        return nil
    }

    private static func firstBytes(of path: String, count: Int) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: count)
        let read = fread(&bytes, 1, count, file)
        return Array(bytes.prefix(read))
    }
}
