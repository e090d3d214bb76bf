internal import CImageCodecs

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// Encodes an image as a JPEG file.
///
/// - Parameters:
///   - pixels: RGB, row by row: `3 * width * height` bytes.
///   - width: The width in pixels, at most 65500.
///   - height: The height in pixels, at most 65500.
///   - quality: The quality of libjpeg, 1...100.
/// - Returns: The bytes of the file; nil if memory runs out.
package func jpegFile(pixels: [UInt8], width: Int, height: Int, quality: Int) -> [UInt8]? {
    precondition(
        pixels.count == 3 * width * height && (1...65500).contains(max(width, height)),
        """
        expected \(3 * width * height) bytes and a longer side of 1 to 65500 pixels, found \
        \(pixels.count) bytes for \(width) x \(height) pixels
        """)
    var count = 0
    guard
        let file = clip_encode_jpeg(
            pixels, UInt32(width), UInt32(height), Int32(quality), &count)
    else { return nil }
    defer { free(file) }
    return Array(UnsafeBufferPointer(start: file, count: count))
}
