internal import CKernels

/// A resampling kernel: the weight of a source pixel by its distance.
package enum ResamplingFilter: Sendable {
    /// The triangle kernel, with support 1.
    case bilinear
    /// Keys' cubic kernel with a = -0.5, with support 2.
    case bicubic

    /// The distance, in pixels at scale 1, beyond which the weight is 0.
    var support: Double { self == .bilinear ? 1 : 2 }

    /// Returns the weight at a distance from the centre.
    func weight(_ distance: Double) -> Double {
        let x = abs(distance)
        switch self {
        case .bilinear: return x < 1 ? 1 - x : 0
        case .bicubic:
            let a = -0.5
            if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
            if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
            return 0
        }
    }
}

/// The weights of the source pixels of each pixel position along a resized side.
package struct ResamplingWeights {
    /// The first source pixel of each position.
    package private(set) var starts: [Int32] = []
    /// The number of source pixels of each position, at most `taps`.
    package private(set) var counts: [Int32] = []
    /// The weights in units of 2⁻²²: `taps` for each position, padded with zeros.
    var weights: [Int32] = []
    /// The largest number of source pixels that a position may have.
    package let taps: Int

    /// The unrounded weights, in the layout of `weights`; one of the two arrays is empty.
    package private(set) var exact: [Double] = []

    /// Computes the weights for the positions `range` of a side that is resized from `size` to
    /// `newSize` pixels; unrounded weights if `exact`.
    package init(
        from size: Int, to newSize: Int, range: Range<Int>, filter: ResamplingFilter,
        exact isExact: Bool = false
    ) {
        let scale = Double(size) / Double(newSize)
        let filterScale = max(scale, 1)
        let support = filter.support * filterScale
        taps = Int(support.rounded(.up)) * 2 + 1

        for position in range {
            let center = (Double(position) + 0.5) * scale
            let first = max(0, Int(center - support + 0.5))
            let end = min(size, Int(center + support + 0.5))
            var row = (first..<end).map {
                filter.weight((Double($0) - center + 0.5) * (1 / filterScale))
            }
            let sum = row.reduce(0, +)
            if sum != 0 { row = row.map { $0 / sum } }

            starts.append(Int32(first))
            counts.append(Int32(end - first))
            if isExact {
                exact += row + [Double](repeating: 0, count: taps - row.count)
            } else {
                weights += row.map { Int32($0 * Double(1 << 22) + ($0 < 0 ? -0.5 : 0.5)) }
                weights += [Int32](repeating: 0, count: taps - row.count)
            }
        }
    }

    /// The range of the source pixels of all positions.
    var source: Range<Int> {
        let ends = zip(starts, counts).map { Int($0 + $1) }
        return Int(starts.min() ?? 0)..<(ends.max() ?? 0)
    }
}

/// The pixels to resize, independent of their layout in memory.
package protocol PixelSource {
    /// The width in pixels.
    var width: Int { get }
    /// The height in pixels.
    var height: Int { get }

    /// Writes a part of the image, three bytes of RGB per pixel, row by row, to the beginning of
    /// an array.
    func copy(rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8])

    /// Calls `body` with all bytes if they are in memory as RGB rows; otherwise returns nil, and
    /// the caller uses `copy`.
    func withRGB<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result?
}

/// Resizes an image to the same bits as Pillow, and computes only the cropped part of the result.
///
/// There are two passes, one per side. Each is a sum of 8-bit pixels times 22-bit weights, rounded
/// back to 8 bits. When the image shrinks, the filter grows with the scale, which prevents
/// aliasing. Pixels that are not in memory as RGB are converted in parts that fit into a cache.
///
/// Source: `libImaging/Resample.c` of Pillow.
///
/// - Parameters:
///   - source: The image to resize.
///   - newWidth: The width of the uncropped result, in pixels.
///   - newHeight: The height of the uncropped result, in pixels.
///   - columns: The columns of the result to compute.
///   - rows: The rows of the result to compute.
///   - filter: The resampling kernel.
/// - Returns: RGB, row by row, `3 * columns.count * rows.count` bytes.
package func resampled(
    _ source: some PixelSource, newWidth: Int, newHeight: Int, columns: Range<Int>,
    rows: Range<Int>, filter: ResamplingFilter
) -> [UInt8] {
    let (width, height) = (source.width, source.height)
    precondition(
        columns.upperBound <= newWidth && rows.upperBound <= newHeight,
        """
        expected columns up to \(newWidth) and rows up to \(newHeight), found \(columns) and \
        \(rows)
        """)
    let horizontal = ResamplingWeights(
        from: width, to: newWidth, range: columns, filter: filter)
    let vertical = ResamplingWeights(from: height, to: newHeight, range: rows, filter: filter)

    if isVerticalFirst(width: width, height: height, newWidth: newWidth, newHeight: newHeight) {
        let needed = horizontal.source
        let low = verticalPass(source, columns: needed, vertical)
        return horizontalPass(
            RGBRows(bytes: low, width: needed.count, height: rows.count), rows: 0..<rows.count,
            firstColumn: needed.lowerBound, horizontal)
    }
    let needed = vertical.source
    let narrow = horizontalPass(source, rows: needed, firstColumn: 0, horizontal)
    return verticalPass(
        RGBRows(bytes: narrow, width: columns.count, height: needed.count),
        columns: 0..<columns.count, firstRow: needed.lowerBound, vertical)
}

/// RGB pixels in row order, such as the result of the first pass.
package struct RGBRows: PixelSource {
    let bytes: [UInt8]
    /// The width in pixels.
    package let width: Int
    /// The height in pixels.
    package let height: Int

    /// Creates an image from `3 * width * height` bytes.
    package init(bytes: [UInt8], width: Int, height: Int) {
        precondition(
            bytes.count == 3 * width * height,
            "expected \(3 * width * height) bytes, found \(bytes.count)")
        (self.bytes, self.width, self.height) = (bytes, width, height)
    }

    /// Must not be called, because `withRGB` never returns nil.
    package func copy(rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8]) {
        preconditionFailure("copy must not be called: withRGB never returns nil")
    }

    /// Calls a function with all bytes.
    package func withRGB<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result? {
        bytes.withUnsafeBufferPointer(body)
    }
}

/// Returns true if the vertical pass comes first.
///
/// The order matters, because the result of the first pass is rounded. Pillow 13 begins with the
/// vertical pass if the height shrinks by more than twice as many pixels as the width; older
/// versions always begin with the horizontal pass.
func isVerticalFirst(width: Int, height: Int, newWidth: Int, newHeight: Int) -> Bool {
    newHeight < height && height - newHeight > 2 * (width - newWidth)
}

/// The number of bytes that are converted to RGB at a time, so that they stay in the L2 cache.
let copiedPart = 1 << 19

/// Resizes some rows to the width `weights.starts.count`.
///
/// - Parameters:
///   - source: The image to resize.
///   - rows: The rows of `source` to resize.
///   - firstColumn: The column, as counted by the weights, that is column 0 of `source`.
///   - weights: The weights of the columns.
/// - Returns: RGB, row by row.
private func horizontalPass(
    _ source: some PixelSource, rows: Range<Int>, firstColumn: Int, _ weights: ResamplingWeights
) -> [UInt8] {
    let rowBytes = 3 * weights.starts.count
    let kernel = clip_kernels_current().pointee.resize_horizontal
    return [UInt8](unsafeUninitializedCapacity: rows.count * rowBytes) { target, count in
        count = rows.count * rowBytes
        guard let target = target.baseAddress else { return }
        func pass(
            _ pixels: UnsafePointer<UInt8>, width: Int, left: Int, rows: Range<Int>, at y: Int
        ) {
            kernel(
                pixels, 3 * width, rows.count, weights.starts.map { $0 - Int32(left) },
                weights.counts, weights.weights, weights.taps, weights.starts.count,
                target + y * rowBytes)
        }
        let isDone: Void? = source.withRGB { pixels in
            guard let pixels = pixels.baseAddress else { return }
            pass(
                pixels + 3 * rows.lowerBound * source.width, width: source.width,
                left: firstColumn, rows: rows, at: 0)
        }
        guard isDone == nil else { return }
        let columns = weights.source
        let height = max(1, copiedPart / (3 * columns.count))
        var part = [UInt8](repeating: 0, count: 3 * columns.count * min(height, rows.count))
        for y in stride(from: rows.lowerBound, to: rows.upperBound, by: height) {
            let some = y..<min(y + height, rows.upperBound)
            source.copy(rows: some, columns: columns, into: &part)
            part.withUnsafeBufferPointer { part in
                guard let part = part.baseAddress else { return }
                pass(
                    part, width: columns.count, left: columns.lowerBound, rows: some,
                    at: y - rows.lowerBound)
            }
        }
    }
}

/// Resizes some columns to the height `weights.starts.count`.
///
/// - Parameters:
///   - source: The image to resize.
///   - columns: The columns of `source` to resize.
///   - firstRow: The row, as counted by the weights, that is row 0 of `source`.
///   - weights: The weights of the rows.
/// - Returns: RGB, row by row.
private func verticalPass(
    _ source: some PixelSource, columns: Range<Int>, firstRow: Int = 0,
    _ weights: ResamplingWeights
) -> [UInt8] {
    let rowBytes = 3 * columns.count
    let height = weights.starts.count
    let kernel = clip_kernels_current().pointee.resize_vertical
    return [UInt8](unsafeUninitializedCapacity: height * rowBytes) { target, count in
        count = height * rowBytes
        guard let target = target.baseAddress else { return }
        func pass(_ pixels: UnsafePointer<UInt8>, width: Int, top: Int, count: Int, at x: Int) {
            weights.weights.withUnsafeBufferPointer { taps in
                guard let taps = taps.baseAddress else { return }
                for y in 0..<height {
                    let first = Int(weights.starts[y]) - top
                    kernel(
                        pixels + 3 * first * width, 3 * width, taps + y * weights.taps,
                        Int(weights.counts[y]), 3 * count, target + y * rowBytes + 3 * x)
                }
            }
        }
        let isDone: Void? = source.withRGB { pixels in
            guard let pixels = pixels.baseAddress else { return }
            pass(
                pixels + 3 * columns.lowerBound, width: source.width, top: firstRow,
                count: columns.count, at: 0)
        }
        guard isDone == nil else { return }
        let rows = weights.source
        let width = max(1, copiedPart / (3 * rows.count))
        var part = [UInt8](repeating: 0, count: 3 * rows.count * min(width, columns.count))
        for x in stride(from: columns.lowerBound, to: columns.upperBound, by: width) {
            let some = x..<min(x + width, columns.upperBound)
            source.copy(rows: rows, columns: some, into: &part)
            part.withUnsafeBufferPointer { part in
                guard let part = part.baseAddress else { return }
                pass(
                    part, width: some.count, top: rows.lowerBound, count: some.count,
                    at: x - columns.lowerBound)
            }
        }
    }
}
