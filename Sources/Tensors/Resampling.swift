internal import CKernels

/// How a pixel of the result weighs those of the source around it.
package enum ResamplingFilter: Sendable {
    /// Linear between neighbours, support 1.
    case bilinear
    /// Keys' cubic with a = -0.5, support 2.
    case bicubic

    var support: Double { self == .bilinear ? 1 : 2 }

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

/// The pixels that each position of the result is made of, along one side, with their weights.
struct ResamplingWeights {
    var starts: [Int32] = []
    var counts: [Int32] = []
    /// `taps` weights a position, of which `counts` are used.
    var weights: [Int32] = []
    let taps: Int

    /// Instead of them, where asked for, what they are before they are rounded to 22 bits.
    private(set) var exact: [Double] = []

    /// For the positions `range` of a side resized from `size` to `newSize`.
    init(
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

    /// The pixels that any of the positions needs.
    var source: Range<Int> {
        let ends = zip(starts, counts).map { Int($0 + $1) }
        return Int(starts.min() ?? 0)..<(ends.max() ?? 0)
    }
}

/// Resizes a picture as Pillow does, to the bit, and crops the result, computing nothing outside the
/// crop.
///
/// Two passes, one a side, each a sum of 8-bit pixels by 22-bit weights that is rounded back to
/// 8 bits. When the picture shrinks, the filter grows with the scale, which is what keeps fine detail
/// from aliasing.
///
/// - Parameters:
///   - pixels: RGB, `3 * width * height` bytes.
///   - newWidth, newHeight: the size of the whole result.
///   - columns, rows: the part of the result that is kept.
/// - Returns: RGB, `3 * columns.count * rows.count` bytes.
///
/// Source: `libImaging/Resample.c` of Pillow.
package func resampled(
    _ pixels: [UInt8], width: Int, height: Int, newWidth: Int, newHeight: Int,
    columns: Range<Int>, rows: Range<Int>, filter: ResamplingFilter
) -> [UInt8] {
    precondition(
        pixels.count == 3 * width * height && columns.upperBound <= newWidth
            && rows.upperBound <= newHeight,
        "\(pixels.count) bytes for \(width) x \(height), to \(columns) x \(rows)")
    let horizontal = ResamplingWeights(
        from: width, to: newWidth, range: columns, filter: filter)
    let vertical = ResamplingWeights(from: height, to: newHeight, range: rows, filter: filter)

    if isVerticalFirst(width: width, height: height, newWidth: newWidth, newHeight: newHeight) {
        let needed = horizontal.source
        let low = verticalPass(pixels, width: width, columns: needed, firstRow: 0, vertical)
        return horizontalPass(
            low, width: needed.count, rows: 0..<rows.count, firstColumn: needed.lowerBound,
            horizontal)
    }
    let needed = vertical.source
    let narrow = horizontalPass(pixels, width: width, rows: needed, firstColumn: 0, horizontal)
    return verticalPass(
        narrow, width: columns.count, columns: 0..<columns.count, firstRow: needed.lowerBound,
        vertical)
}

/// Whether the columns are resized before the rows: the pass that comes first decides what is rounded.
///
/// Pillow 13 does so where the height shrinks by more than twice as many pixels as the width; before,
/// the rows came first.
func isVerticalFirst(width: Int, height: Int, newWidth: Int, newHeight: Int) -> Bool {
    newHeight < height && height - newHeight > 2 * (width - newWidth)
}

/// Some rows of a picture, made as wide as there are weights.
///
/// - Parameter firstColumn: which of the whole picture's columns is the first in `pixels`.
private func horizontalPass(
    _ pixels: [UInt8], width: Int, rows: Range<Int>, firstColumn: Int, _ weights: ResamplingWeights
) -> [UInt8] {
    let starts = weights.starts.map { $0 - Int32(firstColumn) }
    let rowBytes = 3 * starts.count
    let kernel = Kernels.current.resize_horizontal
    return [UInt8](unsafeUninitializedCapacity: rows.count * rowBytes) { target, count in
        count = rows.count * rowBytes
        pixels.withUnsafeBufferPointer { source in
            guard let source = source.baseAddress, let target = target.baseAddress else { return }
            kernel(
                source + 3 * rows.lowerBound * width, 3 * width, rows.count, starts,
                weights.counts, weights.weights, weights.taps, starts.count, target)
        }
    }
}

/// Some columns of a picture, made as high as there are weights.
///
/// - Parameter firstRow: which of the whole picture's rows is the first in `pixels`.
private func verticalPass(
    _ pixels: [UInt8], width: Int, columns: Range<Int>, firstRow: Int, _ weights: ResamplingWeights
) -> [UInt8] {
    let rowBytes = 3 * columns.count
    let height = weights.starts.count
    let kernel = Kernels.current.resize_vertical
    return [UInt8](unsafeUninitializedCapacity: height * rowBytes) { target, count in
        count = height * rowBytes
        pixels.withUnsafeBufferPointer { source in
            weights.weights.withUnsafeBufferPointer { taps in
                guard let source = source.baseAddress, let target = target.baseAddress,
                    let taps = taps.baseAddress
                else { return }
                for y in 0..<height {
                    let first = Int(weights.starts[y]) - firstRow
                    kernel(
                        source + 3 * (first * width + columns.lowerBound), 3 * width,
                        taps + y * weights.taps, Int(weights.counts[y]), rowBytes,
                        target + y * rowBytes)
                }
            }
        }
    }
}
