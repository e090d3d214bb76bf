internal import CBLAS

extension ProductWeights {
    /// Returns true if products with these weights are computed by a BLAS.
    ///
    /// BLAS libraries have special kernels for small products, of up to 10⁶ multiplications, which
    /// round differently. So a BLAS is used only for weights whose products are larger for every
    /// batch size.
    ///
    /// - Parameters:
    ///   - workspace: The workspace whose engine computes the products.
    ///   - rowsTogether: The least number of rows of x in a product, such as the tokens of an
    ///     image; 1 if that is unknown.
    /// - Returns: True if the engine is a BLAS and no product with these weights is small.
    func usesBLAS(_ workspace: Workspace, rowsTogether: Int) -> Bool {
        workspace.engine != .native && format == .float32
            && max(rowsTogether, Int(CLIP_BLAS_ROWS)) >= leastRows(outputs: outputs)
    }

    /// The number of multiplications up to which a BLAS may use its kernels for small products.
    private static let smallProduct = 1_000_000

    /// The least number of rows, a multiple of `CLIP_BLAS_ROWS`, that makes a product not small.
    private func leastRows(outputs: Int) -> Int {
        ProductEngine.filledUp(Self.smallProduct / (outputs * inputs) + 1)
    }

    /// The largest number of rows of x in one call of the BLAS, unless more are needed to avoid a
    /// small product.
    ///
    /// More rows are faster, because the library packs all weights again for each product. Fewer
    /// rows stay in the cache until bias and activation are applied.
    private static let mostRows = 384

    /// The largest number of outputs in one call, a multiple of `Panels.width`, if the library
    /// rounds rows differently at different places.
    ///
    /// Such a library rounds differently beyond its first block of outputs too, which has at least
    /// 384. Without this limit, the ranges of the threads would decide which outputs lie there.
    private static let mostOutputs = 256

    /// Computes a product with the BLAS on all threads; `x.isPlain` must be true.
    ///
    /// Each thread computes a range of the rows or of the outputs. The ranges are chosen so that
    /// each has more than `smallProduct` multiplications, below which a BLAS rounds differently;
    /// unless the library rounds reproducibly only in products of `CLIP_BLAS_ROWS` rows.
    func multiplyByBLAS(
        _ x: Rows, into y: Matrix, at place: Place, adding: Bool, _ activation: Nonlinearity
    ) {
        guard let weight = weights.source else {
            preconditionFailure(
                "expected weights for a BLAS, found weights that are packed for the native engine")
        }
        let workspace = x.matrix.workspace
        let most =
            workspace.engine == .fastBLAS
            ? Self.mostRows : min(Self.mostRows, clip_blas_reproducible_rows())
        let isPlaceExact = workspace.engine == .fastBLAS || most > Int(CLIP_BLAS_ROWS)
        let mostOutputs = isPlaceExact ? outputs : min(outputs, Self.mostOutputs)
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
                for first in stride(from: 0, to: outputs.count, by: mostOutputs) {
                    // The rows after the last one are read, but their results are dropped.
                    var product = clip_blas_product(
                        x: UnsafePointer(start.assumingMemoryBound(to: Float.self)),
                        rows: ProductEngine.filledUp(block.count), inputs: inputs,
                        x_stride: x.stride / 4,
                        w: weight.elements + (outputs.lowerBound + first) * inputs,
                        outputs: min(mostOutputs, outputs.count - first), w_stride: inputs,
                        is_transposed: 1, y: sums + first, y_stride: outputs.count)
                    clip_blas_multiply(&product)
                }
                finish(block, outputs, of: sums, into: y, at: place, adding: adding, activation)
            }
        }
    }

    /// Splits rows into blocks of nearly equal size.
    ///
    /// The sizes of all blocks but the last are multiples of `CLIP_BLAS_ROWS`. A block has at most
    /// `most` rows, unless blocks would then have fewer than `least`.
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

    /// Sets y to activation(sums + b), or to activation(y + sums + b) if `adding`.
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
