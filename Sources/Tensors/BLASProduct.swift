internal import CBLAS

extension ProductWeights {
    /// Whether a BLAS multiplies these weights.
    ///
    /// BLAS libraries have other kernels for small matrices, of up to 10⁶ multiplications, which round
    /// differently. So a product that would be small in some batch is never theirs.
    ///
    /// - Parameter rowsTogether: the number of rows of one input, if they are never multiplied apart; 1 if
    ///   nothing is known.
    func usesBLAS(_ workspace: Workspace, rowsTogether: Int) -> Bool {
        workspace.engine != .native && format == .float32
            && max(rowsTogether, Int(CLIP_BLAS_ROWS)) * outputs * inputs > 1_000_000
    }

    /// The most rows that are multiplied at once: the library packs all weights again each time, and its
    /// results should stay in the cache until they are finished.
    private static let mostRows = 384

    /// The product of plain rows of float32, in parts of rows or outputs on all threads.
    func multiplyByBLAS(
        _ x: Rows, into y: Matrix, at place: Place, adding: Bool, _ activation: Nonlinearity
    ) {
        guard let weight = weights.source else {
            preconditionFailure("weights packed for the native engine are multiplied by a BLAS")
        }
        let workspace = x.matrix.workspace
        let isByRows = x.count > outputs
        let most =
            workspace.engine == .fastBLAS
            ? Self.mostRows : min(Self.mostRows, clip_blas_reproducible_rows())
        let scratch = workspace.compactMatrix(
            rows: workspace.team.count,
            columns: min(most, ProductEngine.filledUp(x.count)) * outputs)
        let whole = (rows: 0..<x.count, outputs: 0..<outputs)
        workspace.inParallelParts(
            isByRows ? x.count : outputs, unit: isByRows ? Int(CLIP_BLAS_ROWS) : Panels.width
        ) { part, range in
            let (rows, outputs) = isByRows ? (range, whole.outputs) : (whole.rows, range)
            let blocks = (rows.count + most - 1) / most
            let height = ProductEngine.filledUp((rows.count + blocks - 1) / blocks)
            for start in stride(from: rows.lowerBound, to: rows.upperBound, by: height) {
                let block = start..<min(start + height, rows.upperBound)
                let sums = scratch.row(part)
                multiply(x, block, by: weight, outputs, into: sums)
                finish(block, outputs, of: sums, into: y, at: place, adding: adding, activation)
            }
        }
    }

    /// Some sums of products, one row after the other; rows beyond the last one are undefined.
    private func multiply(
        _ x: Rows, _ rows: Range<Int>, by weight: Tensor, _ outputs: Range<Int>,
        into sums: UnsafeMutablePointer<Float>
    ) {
        let start = x.start + rows.lowerBound * x.stride
        var product = clip_blas_product(
            x: UnsafePointer(start.assumingMemoryBound(to: Float.self)),
            rows: ProductEngine.filledUp(rows.count), inputs: inputs, x_stride: x.stride / 4,
            w: weight.elements + outputs.lowerBound * inputs, outputs: outputs.count,
            w_stride: inputs, is_transposed: 1, y: sums, y_stride: outputs.count)
        clip_blas_multiply(&product)
    }

    /// y = activation(y + sums + b), or without y.
    private func finish(
        _ rows: Range<Int>, _ outputs: Range<Int>, of sums: UnsafeMutablePointer<Float>,
        into y: Matrix, at place: Place, adding: Bool, _ activation: Nonlinearity
    ) {
        let kernels = Kernels.current
        for (index, row) in rows.enumerated() {
            let found = sums + index * outputs.count
            let target = y.row(place.row + row * place.step) + place.column + outputs.lowerBound
            if adding { kernels.add(found, target, outputs.count) }
            kernels.bias_activation(
                found, bias.map { $0.elements + outputs.lowerBound }, outputs.count,
                activation.code)
            target.update(from: found, count: outputs.count)
        }
    }
}
