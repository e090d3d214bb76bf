internal import CLIP
internal import ImageCodecs
internal import Tensors

/// The pixels of an image, to be compared with those of another.
///
/// EXIF's orientation is applied. Colours are those on a white ground, and the opacity is compared beside
/// them, so that white ink on a transparent ground is not the same as none. Nothing of this depends on how a
/// model sees images.
struct ComparedImage: Sendable {
    let width: Int
    let height: Int
    /// RGB.
    let colours: [UInt8]
    /// Three equal bytes for each pixel; nil if all pixels are opaque.
    let opacity: [UInt8]?
    /// True if the file has more than these pixels: samples of 16 bits, or further frames.
    let hasMore: Bool

    /// JPEG files are decoded at a fraction of their size where that leaves more than this.
    static let smallestSide = 1024

    /// - Throws: `CLIPError` if the bytes are not an image.
    init(decoding bytes: [UInt8], path: String = "") throws(CLIPError) {
        var options = RGBImage.DecodingOptions()
        options.smallestSide = Self.smallestSide
        self.init(try RGBImage(decoding: bytes, path: path, options: options), bytes)
    }

    init(_ image: RGBImage, _ file: [UInt8] = []) {
        (width, height, hasMore) = (image.width, image.height, Self.hasMore(file))
        guard let alpha = image.alpha, alpha.contains(where: { $0 < 255 }) else {
            (colours, opacity) = (image.pixels, nil)
            return
        }
        var colours = image.pixels
        var opacity = [UInt8](repeating: 255, count: colours.count)
        for (pixel, value) in alpha.enumerated() where value < 255 {
            let opaque = UInt32(value)
            for place in 3 * pixel..<3 * pixel + 3 {
                let sum = UInt32(colours[place]) * opaque + 255 * (255 - opaque)
                colours[place] = UInt8((sum + 127) / 255)
                opacity[place] = value
            }
        }
        (self.colours, self.opacity) = (colours, opacity)
    }

    /// True of PNG with 16 bits a sample, and of animated PNG and WebP.
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
        return has("WEBPVP8X", at: 8) && file.count > 20 && file[20] & 2 != 0
    }

    /// Averages of the image over the cells of a grid, each weighted by a triangle as wide as two cells.
    struct Grid: Sendable {
        let columns: Int
        let rows: Int
        let luma: [Float]
        /// Cb and Cr of each cell.
        let chroma: [Float]
        /// nil if all is opaque.
        let opacity: [UInt8]?
    }

    func grid(_ columns: Int, _ rows: Int) -> Grid {
        func cells(_ values: [UInt8]) -> [UInt8] {
            resampled(
                RGBRows(bytes: values, width: width, height: height), newWidth: columns,
                newHeight: rows,
                columns: 0..<columns, rows: 0..<rows, filter: .bilinear)
        }
        let cells = (colours: cells(colours), opacity: opacity.map(cells))
        var luma: [Float] = []
        var chroma: [Float] = []
        luma.reserveCapacity(columns * rows)
        chroma.reserveCapacity(2 * columns * rows)
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
        return Grid(columns: columns, rows: rows, luma: luma, chroma: chroma, opacity: opacity)
    }
}

/// The difference of two images, in levels of 0...255.
///
/// Tolerances are chosen so that copies by JPEG or WebP of usual qualities, and copies that were resized with a
/// smoothing filter, are within them, and a changed letter or a thin line in a page is not. In doubt, images
/// are different. `Scripts/parity/duplicates.py` measures both.
struct PixelDifference: Sendable {
    /// The largest difference of brightness of a cell, less a tenth of the contrast around it.
    var luma: Float
    /// The same of colour, in cells that are twice as large.
    var chroma: Float
    /// The largest difference of opacity.
    var opacity: Float
    /// The mean difference of brightness.
    var mean: Float
    /// The size of the smaller image relative to the larger one, 0...1.
    var scale: Double

    /// The number of cells along a side at most.
    static let mostCells = 256
    /// The least width of a cell in pixels of the smaller image: errors of JPEG and of resizing are mostly
    /// finer than this.
    static let cellWidth = 3
    /// Images with sides shorter than this are compared pixel by pixel if they are of one size.
    static let smallSide = 96
    /// Images of different sizes are different if the grid has fewer cells along its longer side.
    static let fewestCells = 24
    /// The part of the contrast around a cell that counts as an error of compression.
    static let contrastShare: Float = 0.1

    /// The tolerance for `luma`. Fine print is damaged by resizing: small steps leave errors at its edges,
    /// large ones leave little of the print itself, so that less of a change is left as well.
    static func lumaTolerance(scale: Double) -> Float {
        if scale == 1 { return 9 }
        return Float(min(13, max(6, 6 + 28 * (scale - 0.5))))
    }
    static let chromaTolerance: Float = 6
    static let opacityTolerance: Float = 12
    static let meanTolerance: Float = 3

    var isDuplicate: Bool {
        luma <= Self.lumaTolerance(scale: scale) && chroma <= Self.chromaTolerance
            && opacity <= Self.opacityTolerance && mean <= Self.meanTolerance
    }

    /// Compares two images; nil if they cannot be the same, or are too small to tell.
    init?(_ a: ComparedImage, _ b: ComparedImage) {
        guard Self.haveSameShape(a.width, a.height, b.width, b.height), !a.hasMore, !b.hasMore
        else {
            return nil
        }
        let (width, height) = (min(a.width, b.width), min(a.height, b.height))
        let isOneSize = a.width == b.width && a.height == b.height
        let cell = isOneSize && min(width, height) < Self.smallSide ? 1 : Self.cellWidth
        func grids(_ cell: Int, _ most: Int) -> (ComparedImage.Grid, ComparedImage.Grid) {
            let columns = max(1, min(most, width / cell))
            let rows = max(1, min(most, height / cell))
            return (a.grid(columns, rows), b.grid(columns, rows))
        }
        let fine = grids(cell, Self.mostCells)
        guard isOneSize || max(fine.0.columns, fine.0.rows) >= Self.fewestCells else { return nil }
        scale = Double(width) / Double(max(a.width, b.width))
        let contrast = Self.contrast(fine.0, fine.1)
        (luma, mean) = (0, 0)
        for cell in contrast.indices {
            let difference = abs(fine.0.luma[cell] - fine.1.luma[cell])
            mean += difference
            luma = max(luma, difference - Self.contrastShare * contrast[cell])
        }
        mean /= Float(max(1, contrast.count))
        opacity = Self.opacity(fine.0, fine.1)
        chroma = 0
        guard luma <= Self.lumaTolerance(scale: scale) else { return }
        let coarse = grids(2 * cell, Self.mostCells / 2)
        let share = Self.contrast(coarse.0, coarse.1)
        for place in coarse.0.chroma.indices {
            let difference = abs(coarse.0.chroma[place] - coarse.1.chroma[place])
            chroma = max(chroma, difference - Self.contrastShare * share[place / 2])
        }
    }

    /// True if one size is the other but for rounding to whole pixels.
    static func haveSameShape(_ width: Int, _ height: Int, _ width2: Int, _ height2: Int) -> Bool {
        let difference = Double(width) * Double(height2) - Double(width2) * Double(height)
        return abs(difference) <= Double(max(width, width2) + max(height, height2))
    }

    private static func opacity(_ a: ComparedImage.Grid, _ b: ComparedImage.Grid) -> Float {
        guard a.opacity != nil || b.opacity != nil else { return 0 }
        return (0..<a.luma.count).reduce(0) { most, cell in
            let (first, second) = (a.opacity?[cell] ?? 255, b.opacity?[cell] ?? 255)
            return max(most, abs(Float(first) - Float(second)))
        }
    }

    /// The range of brightness in the 3 x 3 cells around each, the smaller one of two images.
    private static func contrast(_ a: ComparedImage.Grid, _ b: ComparedImage.Grid) -> [Float] {
        zip(contrast(a), contrast(b)).map(min)
    }

    private static func contrast(_ grid: ComparedImage.Grid) -> [Float] {
        func ends(
            _ values: [Float], _ count: Int, _ step: Int, _ choose: (Float, Float) -> Float
        ) -> [Float] {
            values.indices.map { place in
                let along = place / step % count
                var value = values[place]
                if along > 0 { value = choose(value, values[place - step]) }
                if along + 1 < count { value = choose(value, values[place + step]) }
                return value
            }
        }
        let (columns, rows) = (grid.columns, grid.rows)
        let most = ends(ends(grid.luma, columns, 1, max), rows, columns, max)
        let least = ends(ends(grid.luma, columns, 1, min), rows, columns, min)
        return zip(most, least).map { $0 - $1 }
    }
}

/// A few averages of an image, by which most different images are told apart without looking at them again.
struct PixelOutline: Sendable {
    let width: Int
    let height: Int
    /// Brightness, two colours and opacity of 16 x 16 cells.
    private let cells: [UInt8]
    /// The largest difference of outlines of duplicates. Their errors are about 2.
    static let tolerance = 12

    init(_ image: ComparedImage) {
        (width, height) = (image.width, image.height)
        let grid = image.grid(16, 16)
        func byte(_ value: Float) -> UInt8 { UInt8(max(0, min(255, value.rounded()))) }
        cells =
            grid.luma.map(byte) + grid.chroma.map { byte($0 + 128) }
            + (grid.opacity ?? [UInt8](repeating: 255, count: 256))
    }

    /// The sum of the differences; nil if the images are certainly different.
    ///
    /// - Parameter limit: the sum from which on it does not matter.
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
