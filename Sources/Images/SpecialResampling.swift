/// Resizes an image by nearest neighbour, as Pillow does with palettes and black-and-white images.
///
/// The parameters and the result are those of `resampled`.
///
/// Source: `ImagingScaleAffine` in `libImaging/Geometry.c` of Pillow.
package func nearest(
    _ source: some PixelSource, newWidth: Int, newHeight: Int, columns: Range<Int>,
    rows: Range<Int>
) -> [UInt8] {
    // Pillow accumulates the step, rounding errors included. A side of more than 2²⁴ pixels, which
    // Pillow cannot make, is computed by the direct formula.
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
    let lefts = sources(source.width, newWidth, columns)
    guard let first = lefts.first, let last = lefts.last else { return [] }
    var row = [UInt8](repeating: 0, count: 3 * (last + 1 - first))
    var result: [UInt8] = []
    result.reserveCapacity(3 * columns.count * rows.count)
    for y in sources(source.height, newHeight, rows) {
        source.copy(rows: y..<(y + 1), columns: first..<(last + 1), into: &row)
        for left in lefts {
            for i in 0..<3 { result.append(row[3 * (left - first) + i]) }
        }
    }
    return result
}

/// Resizes 16-bit grey as Pillow does: in double precision, rounded to 16 bits after each pass.
///
/// Source: `ImagingResampleHorizontal_16bpc` in `libImaging/Resample.c` of Pillow.
///
/// - Parameters:
///   - width: The width of the source, in pixels.
///   - height: The height of the source, in pixels.
///   - newWidth: The width of the uncropped result, in pixels.
///   - newHeight: The height of the uncropped result, in pixels.
///   - columns: The columns of the result to compute.
///   - rows: The rows of the result to compute.
///   - filter: The resampling kernel.
///   - copy: Writes the samples of some rows and columns, row by row, to the beginning of an array.
/// - Returns: The samples, row by row, `columns.count * rows.count` of them.
package func resampled(
    width: Int, height: Int, newWidth: Int, newHeight: Int, columns: Range<Int>,
    rows: Range<Int>, filter: ResamplingFilter,
    copy: (_ rows: Range<Int>, _ columns: Range<Int>, _ target: inout [UInt16]) -> Void
) -> [UInt16] {
    if width == newWidth && height == newHeight {
        var result = [UInt16](repeating: 0, count: rows.count * columns.count)
        copy(rows, columns, &result)
        return result
    }
    let horizontal = ResamplingWeights(
        from: width, to: newWidth, range: columns, filter: filter, exact: true)
    let vertical = ResamplingWeights(
        from: height, to: newHeight, range: rows, filter: filter, exact: true)
    let (across, down) = (horizontal.source, vertical.source)
    var result = [UInt16](repeating: 0, count: rows.count * columns.count)
    if isVerticalFirst(width: width, height: height, newWidth: newWidth, newHeight: newHeight) {
        // First resize the columns that are needed to the height of the result, then each row.
        var low = [UInt16](repeating: 0, count: rows.count * across.count)
        let step = max(1, copiedPart / (2 * down.count))
        var part = [UInt16](repeating: 0, count: down.count * min(step, across.count))
        for x in stride(from: across.lowerBound, to: across.upperBound, by: step) {
            let some = x..<min(x + step, across.upperBound)
            copy(down, some, &part)
            for i in some {
                vertical.addUp(
                    part, from: i - x, step: some.count, first: down.lowerBound, into: &low,
                    at: i - across.lowerBound, step: across.count)
            }
        }
        for y in 0..<rows.count {
            horizontal.addUp(
                low, from: y * across.count, step: 1, first: across.lowerBound, into: &result,
                at: y * columns.count, step: 1)
        }
        return result
    }
    var narrow = [UInt16](repeating: 0, count: columns.count * down.count)
    var row = [UInt16](repeating: 0, count: across.count)
    for y in down {
        copy(y..<(y + 1), across, &row)
        horizontal.addUp(
            row, from: 0, step: 1, first: across.lowerBound, into: &narrow,
            at: (y - down.lowerBound) * columns.count, step: 1)
    }
    for x in 0..<columns.count {
        vertical.addUp(
            narrow, from: x, step: columns.count, first: down.lowerBound, into: &result, at: x,
            step: columns.count)
    }
    return result
}

extension ResamplingWeights {
    /// Resizes one row or column of 16-bit samples, with a weighted sum for each new sample.
    ///
    /// - Parameters:
    ///   - values: The source samples.
    ///   - start: The index in `values` of the sample `first` of the row or column.
    ///   - step: The stride from one sample to the next.
    ///   - first: The position, along the row or column, of the sample at `start`.
    ///   - sums: The target samples.
    ///   - place: The index in `sums` of the first sum.
    ///   - newStep: The stride from one sum to the next.
    fileprivate func addUp(
        _ values: [UInt16], from start: Int, step: Int, first: Int, into sums: inout [UInt16],
        at place: Int, step newStep: Int
    ) {
        for position in starts.indices {
            var sum = 0.0
            var index = start + (Int(starts[position]) - first) * step
            for tap in (position * taps)..<(position * taps + Int(counts[position])) {
                let number = values[index]
                let weight = exact[tap]
                // Pillow adds the two bytes separately, which rounds differently.
                sum += Double(number & 0xFF00) * weight
                sum += Double(number & 0xFF) * weight
                index += step
            }
            sums[place + position * newStep] = UInt16(
                min(65535, max(0, (sum + 0.5).rounded(.down))))
        }
    }
}
