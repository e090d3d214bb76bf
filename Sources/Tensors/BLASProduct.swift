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
            && max(rowsTogether, Int(CLIP_BLAS_ROWS)) >= leastRows(outputs: outputs)
    }

    /// The number of multiplications up to which a BLAS may take its kernels for small matrices.
    private static let smallProduct = 1_000_000

    /// The least rows, a multiple of what is multiplied at once, with which a product is not small.
    private func leastRows(outputs: Int) -> Int {
        ProductEngine.filledUp(Self.smallProduct / (outputs * inputs) + 1)
    }

    /// The most rows that are multiplied at once: the library packs all weights again each time, and its
    /// results should stay in the cache until they are finished.
    private static let mostRows = 384

    /// The product of plain rows of float32, in parts of rows or outputs on all threads; no part is small.
    func multiplyByBLAS(
        _ x: Rows, into y: Matrix, at place: Place, adding: Bool, _ activation: Nonlinearity
    ) {
        guard let weight = weights.source else {
            preconditionFailure("weights packed for the native engine are multiplied by a BLAS")
        }
        let workspace = x.matrix.workspace
        let most =
            workspace.engine == .fastBLAS
            ? Self.mostRows : min(Self.mostRows, clip_blas_reproducible_rows())
        let leastRows = min(leastRows(outputs: outputs), most)
        let leastOutputs = Self.smallProduct / (Int(CLIP_BLAS_ROWS) * inputs) + 1
        let isByRows = x.count > outputs
        let parts =
            isByRows
            ? x.count / (leastRows + Int(CLIP_BLAS_ROWS))
            : outputs / (leastOutputs + Panels.width)
        let height = min(ProductEngine.filledUp(x.count), max(most, 2 * leastRows))
        let scratch = workspace.compactMatrix(
            rows: workspace.team.count, columns: height * outputs)
        workspace.team.split(
            isByRows ? x.count : outputs, unit: isByRows ? Int(CLIP_BLAS_ROWS) : Panels.width,
            atMost: max(1, parts)
        ) { part, range in
            let rows = isByRows ? range : 0..<x.count
            let outputs = isByRows ? 0..<outputs : range
            let sums = scratch.row(part)
            for block in Self.blocks(of: rows, most: most, least: leastRows) {
                let start = x.start + block.lowerBound * x.stride
                // Rows beyond the last one are undefined.
                var product = clip_blas_product(
                    x: UnsafePointer(start.assumingMemoryBound(to: Float.self)),
                    rows: ProductEngine.filledUp(block.count), inputs: inputs,
                    x_stride: x.stride / 4, w: weight.elements + outputs.lowerBound * inputs,
                    outputs: outputs.count, w_stride: inputs, is_transposed: 1, y: sums,
                    y_stride: outputs.count)
                clip_blas_multiply(&product)
                finish(block, outputs, of: sums, into: y, at: place, adding: adding, activation)
            }
        }
    }

    /// Rows in blocks of nearly one size, each a multiple of what is multiplied at once but the last. Each has
    /// at most `most` rows, unless that would leave less than `least`.
    static func blocks(of rows: Range<Int>, most: Int, least: Int) -> [Range<Int>] {
        let unit = Int(CLIP_BLAS_ROWS)
        let units = ProductEngine.filledUp(rows.count) / unit
        var count = (units * unit + most - 1) / most
        while count > 1 && units / count * unit < least { count -= 1 }
        return (0..<count).map { block in
            let lower = rows.lowerBound + units * block / count * unit
            let upper = rows.lowerBound + units * (block + 1) / count * unit
            return lower..<min(upper, rows.upperBound)
        }
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
