internal import CImageCodecs

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A JPEG file of an image.
///
/// - Parameters:
///   - pixels: RGB, row by row: `3 * width * height` bytes; no side is longer than 65500.
///   - quality: 1...100.
/// - Returns: nil if there is no memory for it.
package func jpegFile(pixels: [UInt8], width: Int, height: Int, quality: Int) -> [UInt8]? {
    precondition(
        pixels.count == 3 * width * height && (1...65500).contains(max(width, height)),
        "\(pixels.count) bytes of \(width) x \(height) pixels")
    var count = 0
    guard
        let file = clip_encode_jpeg(
            pixels, UInt32(width), UInt32(height), Int32(quality), &count)
    else { return nil }
    defer { free(file) }
    return Array(UnsafeBufferPointer(start: file, count: count))
}
