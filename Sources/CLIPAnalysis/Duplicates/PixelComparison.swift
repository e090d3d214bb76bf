internal import CLIP
internal import Tensors

/// The difference of two images, measured in levels of 0...255.
///
/// The larger image is reduced to the size of the smaller one, and both are averaged over the cells
/// of a grid.
///
/// The tolerances admit copies in JPEG or WebP of usual qualities, and copies that were resized
/// with a smoothing filter, but no changed letter or thin line in a page of text. In doubt, images
/// count as different. `Scripts/parity/duplicates.py` tests both on rendered images.
struct PixelDifference: Sendable {
    /// The largest luma difference of a cell.
    private(set) var peak: Float = 0
    /// The largest luma difference of a cell, minus `contrastShare` of the contrast around the
    /// cell.
    private(set) var luma: Float = 0
    /// The largest chroma difference of a cell of `colourCellWidth`, minus `colourContrastShare` of
    /// the contrast around the cell.
    private(set) var chroma: Float = 0
    /// The largest opacity difference of a cell.
    private(set) var opacity: Float = 0
    /// The mean luma difference of all cells.
    private(set) var mean: Float = 0
    /// The typical luma difference of cells with contrast: the root mean square of all differences
    /// but the largest 1 %; 0 for 100 cells or fewer.
    private(set) var noise: Float = 0
    /// The width of the smaller image divided by that of the larger one, 0...1.
    let scale: Double

    /// The width of a cell in pixels of the smaller image.
    ///
    /// JPEG errors are mostly finer than this. The width is the same for images of all sizes,
    /// because a changed dot disappears in wider cells.
    static let cellWidth = 2
    /// The width of a cell for chroma, which JPEG stores at half the resolution.
    static let colourCellWidth = 6
    /// The approximate number of cells to compare at once; the whole grid of a large image would
    /// take much memory.
    static let cellsOfABand = 1 << 18
    /// The smallest length, in pixels, of the longer side of a reduced copy; smaller ones are not
    /// compared.
    static let smallestCopy = 60
    /// The fraction of the contrast around a luma cell that is attributed to compression errors.
    static let contrastShare: Float = 0.05
    /// The fraction of the contrast around a chroma cell that is attributed to compression errors.
    static let colourContrastShare: Float = 0.1
    /// The smallest contrast of the cells that contribute to `noise`.
    static let leastContrast: Float = 32

    /// Returns the tolerance for `luma`.
    ///
    /// JPEG copies of quality 60, resized by a factor of 0.6 or more, have a `luma` of up to 18; a
    /// changed letter causes 42 or more. Smaller copies have a `luma` of up to 10, but a change has
    /// less effect in them as well.
    static func lumaTolerance(scale: Double) -> Float {
        scale >= 0.6 ? 24 : Float(10.5 * min(1, scale / 0.3))
    }
    /// The luma tolerance of `mayAgree`; differences of copies are less than half of it.
    static let quickTolerance: Float = 30
    static let chromaTolerance: Float = 6
    static let opacityTolerance: Float = 16
    static let meanTolerance: Float = 3
    /// The largest ratio of `peak` to `noise` in duplicates: the errors of a copy are spread over
    /// the image, with a ratio of up to 10, while a change is local.
    static let peakTolerance: Float = 12

    var isDuplicate: Bool {
        luma <= Self.lumaTolerance(scale: scale) && chroma <= Self.chromaTolerance
            && opacity <= Self.opacityTolerance && mean <= Self.meanTolerance
            && peak <= Self.peakTolerance * max(1, noise)
    }

    /// Compares two images; nil if they are certainly different, too small to decide, or if a file
    /// contains more than its pixels (`hasMore`).
    init?(_ a: ComparedImage, _ b: ComparedImage) {
        guard Self.haveSameShape(a.width, a.height, b.width, b.height), !a.hasMore, !b.hasMore
        else {
            return nil
        }
        let isFirstSmaller = a.width * a.height <= b.width * b.height
        let (small, large) = isFirstSmaller ? (a, b) : (b, a)
        let isOneSize = a.width == b.width && a.height == b.height
        guard isOneSize || max(small.width, small.height) >= Self.smallestCopy else { return nil }
        scale = isOneSize ? 1 : Double(small.width) / Double(large.width)
        guard Self.mayAgree(small, large) else { return nil }
        let reduced = isOneSize ? large : large.reduced(as: small)
        var errors = LumaErrors()
        Self.forEachBand(of: small, reduced, cell: Self.cellWidth) { a, b, cells in
            compareLuma(a, b, cells, &errors)
            opacity = max(opacity, Self.opacity(a, b))
        }
        (mean, noise) = (errors.mean, errors.noise)
        guard luma <= Self.lumaTolerance(scale: scale) else { return }
        Self.forEachBand(of: small, reduced, cell: Self.colourCellWidth) { a, b, cells in
            let contrast = Self.contrast(a, b)
            for place in 2 * cells.lowerBound..<2 * cells.upperBound {
                let difference = abs(a.chroma[place] - b.chroma[place])
                chroma = max(chroma, difference - Self.colourContrastShare * contrast[place / 2])
            }
        }
    }

    /// Calls a closure with the grids of two images of one size, a band of rows at a time.
    ///
    /// - Parameters:
    ///   - a: The first image.
    ///   - b: The second image.
    ///   - cell: The width of a cell in pixels.
    ///   - body: A function that receives the two grids of a band, including the row above and
    ///     the row below if there are any, and the range of cells to compare.
    private static func forEachBand(
        of a: ComparedImage, _ b: ComparedImage, cell: Int,
        _ body: (_ a: ComparedImage.Grid, _ b: ComparedImage.Grid, _ cells: Range<Int>) -> Void
    ) {
        let (columns, rows) = (max(1, a.width / cell), max(1, a.height / cell))
        let count = max(16, cellsOfABand / columns)
        for start in stride(from: 0, to: rows, by: count) {
            let end = min(rows, start + count)
            let part = max(0, start - 1)..<min(rows, end + 1)
            let first = (start - part.lowerBound) * columns
            body(
                a.grid(columns, rows, part: part), b.grid(columns, rows, part: part),
                first..<first + (end - start) * columns)
        }
    }

    /// Returns false for most pairs of different images, by comparing 64 × 64 cells.
    private static func mayAgree(_ a: ComparedImage, _ b: ComparedImage) -> Bool {
        let side = 64
        guard min(a.width, a.height, b.width, b.height) >= 2 * side else { return true }
        return zip(a.grid(side, side).luma, b.grid(side, side).luma).allSatisfy {
            abs($0 - $1) <= quickTolerance
        }
    }

    private mutating func compareLuma(
        _ a: ComparedImage.Grid, _ b: ComparedImage.Grid, _ cells: Range<Int>,
        _ errors: inout LumaErrors
    ) {
        let contrast = Self.contrast(a, b)
        for cell in cells {
            let difference = abs(a.luma[cell] - b.luma[cell])
            peak = max(peak, difference)
            luma = max(luma, difference - Self.contrastShare * contrast[cell])
            errors.add(difference, hasContrast: contrast[cell] >= Self.leastContrast)
        }
    }

    /// The statistics of the luma differences of all cells.
    private struct LumaErrors {
        private var (count, sum) = (0, 0.0)
        /// A histogram of the differences of cells with contrast, in steps of 1/16 level.
        private var counts = [Int](repeating: 0, count: 256 * 16)
        /// The sum of the squared differences in each step of the histogram.
        private var squares = [Double](repeating: 0, count: 256 * 16)

        mutating func add(_ error: Float, hasContrast: Bool) {
            count += 1
            sum += Double(error)
            guard hasContrast else { return }
            let step = min(counts.count - 1, Int(16 * error))
            counts[step] += 1
            squares[step] += Double(error * error)
        }

        var mean: Float { Float(sum / Double(max(1, count))) }

        var noise: Float {
            let errors = counts.reduce(0, +)
            guard errors > 100 else { return 0 }
            let usual = errors * 99 / 100
            var (rest, sum) = (usual, 0.0)
            for (count, square) in zip(counts, squares) where count > 0 && rest > 0 {
                let taken = min(rest, count)
                sum += square * Double(taken) / Double(count)
                rest -= taken
            }
            return Float((sum / Double(usual)).squareRoot())
        }
    }

    /// Returns true if the aspect ratios are equal, apart from rounding to whole pixels.
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

    /// Returns, for each cell, the smaller of the contrasts around it in the two images: the range
    /// of luma in 3 × 3 cells.
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

extension ComparedImage {
    /// Reduces the image to the size of a copy with the filter that the copy was most likely made
    /// with.
    ///
    /// Programs reduce images with filters of different sharpness. A weighted sum of three filters
    /// (bicubic, bilinear, area average) approximates each of them. The weights are fitted to the
    /// copy by least squares.
    func reduced(as copy: ComparedImage) -> ComparedImage {
        func versions(_ values: [UInt8]) -> [[UInt8]] {
            let smooth = [ImagePreprocessor.Interpolation.bicubic, .bilinear].map {
                $0.resampled(
                    values, width: width, height: height, newWidth: copy.width,
                    newHeight: copy.height)
            }
            return smooth + [areaAverages(of: values, copy.width, copy.height)]
        }
        let colours = versions(colours)
        let opacity = opacity.map(versions)
        // Least squares of c + u (l - c) + v (a - c) for cubic c, linear l and area a, with a
        // little regularisation towards u = v = 0.
        var (ll, la, aa, lr, ar) = (0.0, 0.0, 0.0, 0.0, 0.0)
        func add(_ versions: [[UInt8]], _ wanted: [UInt8]) {
            for (place, value) in wanted.enumerated() {
                let base = Double(versions[0][place])
                let (l, a) = (Double(versions[1][place]) - base, Double(versions[2][place]) - base)
                let rest = Double(value) - base
                ll += l * l
                la += l * a
                aa += a * a
                lr += l * rest
                ar += a * rest
            }
        }
        add(colours, copy.colours)
        if let opacity, let wanted = copy.opacity { add(opacity, wanted) }
        ll += 0.01 * Double(copy.colours.count)
        aa += 0.01 * Double(copy.colours.count)
        let determinant = ll * aa - la * la
        func bounded(_ weight: Double) -> Float { Float(max(-2, min(2, weight))) }
        let weights = (
            bounded((lr * aa - ar * la) / determinant), bounded((ar * ll - lr * la) / determinant)
        )
        func sum(_ versions: [[UInt8]]) -> [UInt8] {
            versions[0].indices.map { place in
                let base = Float(versions[0][place])
                let value =
                    base + weights.0 * (Float(versions[1][place]) - base)
                    + weights.1 * (Float(versions[2][place]) - base)
                return UInt8(max(0, min(255, value.rounded())))
            }
        }
        return ComparedImage(
            width: copy.width, height: copy.height, colours: sum(colours),
            opacity: opacity.map(sum), hasMore: hasMore)
    }

    /// Reduces an image by area averages; a pixel on the edge of a cell is weighted by the fraction
    /// that lies inside.
    private func areaAverages(of values: [UInt8], _ columns: Int, _ rows: Int) -> [UInt8] {
        /// Returns the indices of the pixels of each cell along one axis, with their weights.
        func parts(_ count: Int, _ size: Int) -> [[(index: Int, weight: Float)]] {
            let step = Double(size) / Double(count)
            return (0..<count).map { part in
                let (start, end) = (Double(part) * step, Double(part + 1) * step)
                return (Int(start)..<max(Int(start) + 1, min(size, Int(end.rounded(.up))))).map {
                    let share = min(end, Double($0 + 1)) - max(start, Double($0))
                    return ($0, Float(max(0, share) / step))
                }
            }
        }
        let across = parts(columns, width)
        var result: [UInt8] = []
        result.reserveCapacity(3 * columns * rows)
        var sums = [Float](repeating: 0, count: 3 * width)
        for row in parts(rows, height) {
            for place in sums.indices { sums[place] = 0 }
            for (y, weight) in row {
                let start = 3 * width * y
                for place in sums.indices { sums[place] += weight * Float(values[start + place]) }
            }
            for column in across {
                for channel in 0..<3 {
                    var sum: Float = 0
                    for (x, weight) in column { sum += weight * sums[3 * x + channel] }
                    result.append(UInt8(max(0, min(255, sum.rounded()))))
                }
            }
        }
        return result
    }
}
