internal import CLIP
internal import Tensors

/// The pixels of an image, for comparison with those of another image.
///
/// The EXIF orientation is applied. Colours are blended with a white background, and the opacity is
/// compared as well, so that a white drawing on a transparent background differs from an empty
/// image. The model's preprocessing is not applied.
struct ComparedImage: Sendable {
    let width: Int
    let height: Int
    /// The pixels, three bytes each: red, green, blue.
    let colours: [UInt8]
    /// The alpha of each pixel, as three equal bytes; nil if all pixels are opaque.
    let opacity: [UInt8]?
    /// True if the file contains more than these pixels: 16-bit samples, further images, or a
    /// video.
    ///
    /// Such a file is a duplicate only of a file with the same bytes.
    let hasMore: Bool

    /// The shortest side, in pixels, to which a JPEG may be reduced while it is decoded.
    static let smallestSide = 1024

    /// Decodes an image file for a comparison.
    ///
    /// - Throws: `CLIPError` if the image cannot be decoded.
    init(decoding bytes: [UInt8], path: String = "") throws(CLIPError) {
        var options = RGBImage.DecodingOptions()
        options.smallestSide = Self.smallestSide
        self.init(try RGBImage(decoding: bytes, path: path, options: options), bytes)
    }

    init(width: Int, height: Int, colours: [UInt8], opacity: [UInt8]?, hasMore: Bool) {
        (self.width, self.height, self.hasMore) = (width, height, hasMore)
        (self.colours, self.opacity) = (colours, opacity)
    }

    init(_ image: RGBImage, _ file: [UInt8] = []) {
        (width, height, hasMore) = (image.width, image.height, Self.hasMore(file))
        var colours = image.pixels
        var opacity: [UInt8]?
        image.forEachRowOfAlpha { row, alpha in
            guard alpha.contains(where: { $0 < 255 }) else { return }
            if opacity == nil { opacity = [UInt8](repeating: 255, count: colours.count) }
            for (place, value) in alpha.enumerated() where value < 255 {
                let opaque = UInt32(value)
                let sum = UInt32(colours[row * alpha.count + place]) * opaque + 255 * (255 - opaque)
                colours[row * alpha.count + place] = UInt8((sum + 127) / 255)
                opacity?[row * alpha.count + place] = value
            }
        }
        (self.colours, self.opacity) = (colours, opacity)
    }

    /// Returns true for a PNG with 16-bit samples, an animated PNG, WebP or GIF, a RAW, TIFF,
    /// HEIF, AVIF or JPEG XL file, and a JPEG that has an index of further images or more than
    /// `unusedBytes` bytes after its end marker.
    private static func hasMore(_ file: [UInt8]) -> Bool {
        func has(_ text: String, at offset: Int) -> Bool {
            file.dropFirst(offset).starts(with: text.utf8)
        }
        if has("PNG", at: 1), file.count > 33 {
            if file[24] == 16 { return true }
            // Chunks before the pixels: a length, a name, the data, a checksum.
            var offset = 8
            while offset + 8 <= file.count, !has("IDAT", at: offset + 4) {
                if has("acTL", at: offset + 4) { return true }
                let length = file[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
                offset += 12 + length
            }
        }
        if isOfRicherFormat(file) || isAnimated(gif: file) { return true }
        if file.starts(with: [0xFF, 0xD8]) { return hasMoreThanAnImage(jpeg: file) }
        return has("WEBPVP8X", at: 8) && file.count > 20 && file[20] & 2 != 0
    }

    /// The largest number of bytes after the end marker of a JPEG that are ignored.
    private static let unusedBytes = 64

    /// Returns true for a JPEG with an `MPF` segment (stereo images, gain maps, previews) or with
    /// data after its end marker (videos of motion photos).
    ///
    /// The file is read from marker to marker. A thumbnail within a segment is skipped with the
    /// segment. In the data of a scan, 0xFF is followed by 0 or begins a restart marker.
    private static func hasMoreThanAnImage(jpeg file: [UInt8]) -> Bool {
        var offset = 2
        while offset + 1 < file.count {
            guard file[offset] == 0xFF else {
                offset += 1
                continue
            }
            let marker = file[offset + 1]
            switch marker {
            case 0xFF: offset += 1  // padding before a marker
            case 0, 0x01, 0xD0...0xD8: offset += 2  // without a length
            case 0xD9:
                let last = file.lastIndex { $0 != 0 } ?? 0
                return last - (offset + 1) > unusedBytes
            default:
                guard offset + 3 < file.count else { return false }
                let length = Int(file[offset + 2]) << 8 | Int(file[offset + 3])
                let data = file[min(offset + 4, file.count)...]
                if marker == 0xE2, data.starts(with: Array("MPF\0".utf8)) { return true }
                offset += 2 + max(2, length)
            }
        }
        return false
    }

    /// The means of an image over the cells of a grid, weighted by a triangular kernel that is two
    /// cells wide.
    struct Grid: Sendable {
        let columns: Int
        let rows: Int
        let luma: [Float]
        /// The Cb and Cr of each cell, interleaved.
        let chroma: [Float]
        /// The opacity of each cell; nil if all pixels are opaque.
        let opacity: [UInt8]?
    }

    /// Returns the means of the image over the cells of a grid.
    ///
    /// - Parameters:
    ///   - columns: The number of columns of the grid.
    ///   - rows: The number of rows of the grid.
    ///   - part: The rows of the grid to compute; all if nil.
    /// - Returns: The cells of these rows.
    func grid(_ columns: Int, _ rows: Int, part: Range<Int>? = nil) -> Grid {
        let part = part ?? 0..<rows
        func cells(_ values: [UInt8]) -> [UInt8] {
            ImagePreprocessor.Interpolation.bilinear.resampled(
                values, width: width, height: height, newWidth: columns, newHeight: rows,
                rows: part)
        }
        let cells = (colours: cells(colours), opacity: opacity.map(cells))
        var luma: [Float] = []
        var chroma: [Float] = []
        luma.reserveCapacity(columns * part.count)
        chroma.reserveCapacity(2 * columns * part.count)
        for place in stride(from: 0, to: cells.colours.count, by: 3) {
            let (red, green, blue) = (
                Float(cells.colours[place]), Float(cells.colours[place + 1]),
                Float(cells.colours[place + 2])
            )
            let light = 0.299 * red + 0.587 * green + 0.114 * blue
            luma.append(light)
            chroma.append(0.564 * (blue - light))
            chroma.append(0.713 * (red - light))
        }
        let opacity = cells.opacity.map { cells in
            stride(from: 0, to: cells.count, by: 3).map { cells[$0] }
        }
        return Grid(
            columns: columns, rows: part.count, luma: luma, chroma: chroma, opacity: opacity)
    }
}

/// A 16 × 16 thumbnail of an image; comparing thumbnails rules out most pairs of different images
/// without decoding them again.
struct PixelOutline: Sendable {
    let width: Int
    let height: Int
    /// The luma of all 16 × 16 cells, then their Cb and Cr, then their opacity.
    private let cells: [UInt8]
    /// The largest difference, in levels of 0...255, that a cell may have in the outlines of two
    /// duplicates.
    ///
    /// The cells of duplicates differ by about 2.
    static let tolerance = 12

    init(_ image: ComparedImage) {
        (width, height) = (image.width, image.height)
        let grid = image.grid(16, 16)
        func byte(_ value: Float) -> UInt8 { UInt8(max(0, min(255, value.rounded()))) }
        cells =
            grid.luma.map(byte) + grid.chroma.map { byte($0 + 128) }
            + (grid.opacity ?? [UInt8](repeating: 255, count: 256))
    }

    /// Returns the sum of the absolute differences of all cells; nil if the images are certainly
    /// different.
    ///
    /// - Parameters:
    ///   - other: The outline of the other image.
    ///   - limit: The sum at which to stop.
    /// - Returns: The sum; nil also if it reaches `limit`.
    func distance(to other: PixelOutline, below limit: Int = .max) -> Int? {
        guard PixelDifference.haveSameShape(width, height, other.width, other.height) else {
            return nil
        }
        var sum = 0
        for place in cells.indices {
            let difference = abs(Int(cells[place]) - Int(other.cells[place]))
            sum += difference
            guard difference <= Self.tolerance, sum < limit else { return nil }
        }
        return sum
    }
}
