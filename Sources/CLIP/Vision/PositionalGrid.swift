internal import Images
internal import Tensors

extension Tensor {
    /// Resamples vectors on a square grid, [grid², width] -> [rows * columns, width].
    ///
    /// If the grid shrinks, the support of the filter grows in proportion (antialiasing).
    ///
    /// Source: `torch.nn.functional.interpolate` with `antialias=True`.
    func resampled(
        fromGrid grid: Int, to new: Grid, filter: ResamplingFilter
    ) -> Tensor {
        precondition(
            shape.count == 2 && shape[0] == grid * grid,
            "expected [\(grid * grid), width], found \(shape)")
        let width = shape[1]
        func weights(_ count: Int) -> [(position: Int, source: Int, weight: Double)] {
            ResamplingWeights(
                from: grid, to: count, range: 0..<count, filter: filter, exact: true
            ).each
        }
        let columns = weights(new.columns)
        let source = values
        var narrow = [Double](repeating: 0, count: grid * new.columns * width)
        for y in 0..<grid {
            for (x, start, weight) in columns {
                for i in 0..<width {
                    narrow[(y * new.columns + x) * width + i] +=
                        weight * Double(source[(y * grid + start) * width + i])
                }
            }
        }
        let line = new.columns * width
        var result = [Double](repeating: 0, count: new.rows * line)
        for (y, start, weight) in weights(new.rows) {
            for i in 0..<line { result[y * line + i] += weight * narrow[start * line + i] }
        }
        return Tensor(result.map { Float($0) }, shape: [new.area, width])
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
