/// Resizes a picture by taking the nearest pixel, as Pillow does with palettes and black and white.
///
/// - Parameters: as of `resampled`.
///
/// Source: `ImagingScaleAffine` in `libImaging/Geometry.c` of Pillow.
package func nearest(
    _ pixels: [UInt8], width: Int, height: Int, newWidth: Int, newHeight: Int,
    columns: Range<Int>, rows: Range<Int>
) -> [UInt8] {
    // Pillow adds the step up, with the rounding errors that this brings; it makes no picture that is
    // longer than this.
    func sources(_ size: Int, _ newSize: Int, _ range: Range<Int>) -> [Int] {
        let step = Double(size) / Double(newSize)
        guard newSize <= 1 << 24 else {
            return range.map { min(Int((Double($0) + 0.5) * step), size - 1) }
        }
        var position = step * 0.5
        var found: [Int] = []
        for target in 0..<range.upperBound {
            if target >= range.lowerBound { found.append(min(Int(position), size - 1)) }
            position += step
        }
        return found
    }
    let lefts = sources(width, newWidth, columns).map { 3 * $0 }
    var result: [UInt8] = []
    result.reserveCapacity(3 * columns.count * rows.count)
    for y in sources(height, newHeight, rows) {
        for left in lefts { result += pixels[(3 * y * width + left)...].prefix(3) }
    }
    return result
}

/// Resizes grey of 16 bits as Pillow does: in double precision, rounded after each pass.
///
/// - Parameters: as of the other `resampled`, with one number a pixel.
///
/// Source: `ImagingResampleHorizontal_16bpc` in `libImaging/Resample.c` of Pillow.
package func resampled(
    _ values: [UInt16], width: Int, height: Int, newWidth: Int, newHeight: Int,
    columns: Range<Int>, rows: Range<Int>, filter: ResamplingFilter
) -> [UInt16] {
    if width == newWidth && height == newHeight {
        return rows.flatMap { y in columns.map { x in values[y * width + x] } }
    }
    let horizontal = ResamplingWeights(
        from: width, to: newWidth, range: columns, filter: filter, exact: true)
    let vertical = ResamplingWeights(
        from: height, to: newHeight, range: rows, filter: filter, exact: true)
    if isVerticalFirst(width: width, height: height, newWidth: newWidth, newHeight: newHeight) {
        // What of the columns is needed, made as high as the result; then each row of it.
        let needed = horizontal.source
        let low = needed.map { x in vertical.sums { values[$0 * width + x] } }
        return rows.indices.flatMap { y in
            horizontal.sums { low[$0 - needed.lowerBound][y - rows.lowerBound] }
        }
    }
    let needed = vertical.source
    let narrow = needed.map { y in horizontal.sums { values[y * width + $0] } }
    let high = columns.indices.map { x in
        vertical.sums { narrow[$0 - needed.lowerBound][x - columns.lowerBound] }
    }
    return rows.indices.flatMap { y in high.map { $0[y - rows.lowerBound] } }
}

extension ResamplingWeights {
    /// The weighed sum at each position, of the values along a side.
    fileprivate func sums(_ value: (Int) -> UInt16) -> [UInt16] {
        starts.indices.map { position in
            var sum = 0.0
            for i in 0..<Int(counts[position]) {
                let number = value(Int(starts[position]) + i)
                let weight = exact[position * taps + i]
                // Pillow adds the two bytes one after the other.
                sum += Double(number & 0xFF00) * weight
                sum += Double(number & 0xFF) * weight
            }
            return UInt16(min(65535, max(0, (sum + 0.5).rounded(.down))))
        }
    }
}

extension Tensor {
    /// Vectors at the places of a square grid, [grid², width], for a grid of another size: bicubic, with a
    /// filter that grows where the grid shrinks.
    ///
    /// Source: `torch.nn.functional.interpolate` with `antialias=True`.
    package func resampled(fromGrid grid: Int, toGrid newGrid: Int) -> Tensor {
        precondition(shape.count == 2 && shape[0] == grid * grid, "\(shape) is no grid of \(grid)")
        let width = shape[1]
        let weights = ResamplingWeights(
            from: grid, to: newGrid, range: 0..<newGrid, filter: .bicubic, exact: true)
        let source = values
        var narrow = [Double](repeating: 0, count: grid * newGrid * width)
        for y in 0..<grid {
            for (x, start, weight) in weights.each {
                for i in 0..<width {
                    narrow[(y * newGrid + x) * width + i] +=
                        weight * Double(source[(y * grid + start) * width + i])
                }
            }
        }
        var result = [Double](repeating: 0, count: newGrid * newGrid * width)
        for (y, start, weight) in weights.each {
            for i in 0..<(newGrid * width) {
                result[y * newGrid * width + i] += weight * narrow[start * newGrid * width + i]
            }
        }
        return Tensor(result.map { Float($0) }, shape: [newGrid * newGrid, width])
    }
}

extension ResamplingWeights {
    /// Every position of the result with each of its sources and its weight.
    fileprivate var each: [(position: Int, source: Int, weight: Double)] {
        starts.indices.flatMap { position in
            (0..<Int(counts[position])).map {
                (position, Int(starts[position]) + $0, exact[position * taps + $0])
            }
        }
    }
}
