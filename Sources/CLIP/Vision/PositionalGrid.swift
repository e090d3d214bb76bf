internal import Images
internal import Tensors

extension Tensor {
    /// Resamples vectors on a square grid, [grid², width] -> [newGrid², width].
    ///
    /// The filter is bicubic; if the grid shrinks, its support grows in proportion (antialiasing).
    ///
    /// Source: `torch.nn.functional.interpolate` with `antialias=True`.
    func resampled(fromGrid grid: Int, toGrid newGrid: Int) -> Tensor {
        precondition(
            shape.count == 2 && shape[0] == grid * grid,
            "expected [\(grid * grid), width], found \(shape)")
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
    /// Every pair of a result position and one of its source positions, with the weight.
    fileprivate var each: [(position: Int, source: Int, weight: Double)] {
        starts.indices.flatMap { position in
            (0..<Int(counts[position])).map {
                (position, Int(starts[position]) + $0, exact[position * taps + $0])
            }
        }
    }
}
