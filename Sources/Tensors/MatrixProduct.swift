internal import CKernels
internal import COpenBLAS

/// What follows a matrix product.
package enum Nonlinearity: Sendable {
    case identity, relu, quickGELU, gelu

    var code: clip_activation {
        switch self {
        case .identity: CLIP_IDENTITY
        case .relu: CLIP_RELU
        case .quickGELU: CLIP_QUICK_GELU
        case .gelu: CLIP_GELU
        }
    }
}

/// The weights of y = activation(x Wᵀ + b): the one front of every matrix product with weights.
///
/// W is [outputs, inputs], b is [outputs].
package struct ProductWeights: Sendable {
    package let weight: Tensor
    package let bias: Tensor?

    package var outputs: Int { weight.shape[0] }
    package var inputs: Int { weight.shape[1] }

    package init(weight: Tensor, bias: Tensor? = nil) {
        precondition(
            weight.shape.count == 2 && bias.map { $0.shape == [weight.shape[0]] } ?? true,
            "weight \(weight.shape), bias \(bias.map(\.shape) ?? [])")
        self.weight = weight
        self.bias = bias
    }

    /// activation(x Wᵀ + b): [rows, inputs] -> [rows, outputs].
    package func apply(_ x: Matrix, activation: Nonlinearity = .identity) -> Matrix {
        let y = x.workspace.matrix(rows: x.rows, columns: outputs)
        apply(x, into: y, activation: activation)
        return y
    }

    /// The same, into rows `first`... of a matrix that is there already.
    package func apply(
        _ x: Matrix, into y: Matrix, fromRow first: Int = 0, activation: Nonlinearity = .identity
    ) {
        multiply(x, into: y, fromRow: first, adding: false, activation: activation)
    }

    /// y = activation(y + x Wᵀ + b).
    package func apply(_ x: Matrix, addedTo y: Matrix, activation: Nonlinearity = .identity) {
        precondition(x.rows == y.rows, "\(x.rows) rows added to \(y.rows)")
        multiply(x, into: y, fromRow: 0, adding: true, activation: activation)
    }

    private func multiply(
        _ x: Matrix, into y: Matrix, fromRow first: Int, adding: Bool, activation: Nonlinearity
    ) {
        precondition(
            x.columns == inputs && y.columns == outputs && first + x.rows <= y.rows,
            "\(x.rows) x \(x.columns) by \(weight.shape) into \(y.rows) x \(y.columns)")
        let target = y.elements + first * outputs
        var fewest = BLAS.fewestRows(columns: outputs, depth: inputs)
        // Some more, where two threads can then share what one would do.
        if x.rows >= fewest && x.workspace.team.count > 1 { fewest *= 2 }
        guard x.rows < fewest else {
            return inParts(x) { rows, columns in
                multiply(x, rows: rows, columns: columns, into: target, adding)
                finish(target, rows: rows, columns: columns, activation)
            }
        }
        // Rows of zeros below, so that few rows are not summed in another order than many.
        let padded = x.workspace.matrix(rows: fewest, columns: inputs)
        padded.clear()
        padded.setRows(from: 0, to: 0..<x.rows, of: x)
        let result = x.workspace.matrix(rows: fewest, columns: outputs)
        if adding {
            result.clear()
            result.setRows(from: 0, to: first..<(first + x.rows), of: y)
        }
        inParts(padded) { rows, columns in
            multiply(padded, rows: rows, columns: columns, into: result.elements, adding)
        }
        y.setRows(from: first, to: 0..<x.rows, of: result)
        finish(target, rows: 0..<x.rows, columns: 0..<outputs, activation)
    }

    /// Each thread takes the same part of the weights or of the rows, whichever is longer, so that the
    /// parts are large; a sum never runs over two threads. Fewer threads take part where their parts
    /// would be so small that they are summed in another order.
    private func inParts(_ x: Matrix, _ body: (_ rows: Range<Int>, _ columns: Range<Int>) -> Void) {
        let splitsColumns = outputs >= x.rows
        let (long, short) = splitsColumns ? (outputs, x.rows) : (x.rows, outputs)
        let units = (long + 15) / 16
        let least = BLAS.fewestRows(columns: short, depth: inputs)  // of either
        var parts = min(x.workspace.team.count, units)
        func smallest(of parts: Int) -> Int {
            let whole = units / parts * 16
            return whole - (units * 16 - long)  // the last may be a part of a unit
        }
        while parts > 1 && smallest(of: parts) < least { parts -= 1 }
        x.workspace.inParallel(long, unit: 16, parts: parts) { part in
            if splitsColumns { body(0..<x.rows, part) } else { body(part, 0..<outputs) }
        }
    }

    private func multiply(
        _ x: Matrix, rows: Range<Int>, columns: Range<Int>,
        into y: UnsafeMutablePointer<Float>, _ adding: Bool
    ) {
        BLAS.multiply(
            rows: rows.count, columns: columns.count, depth: inputs,
            x.elements + rows.lowerBound * inputs, inputs,
            weight.elements + columns.lowerBound * inputs, inputs, transposed: true,
            into: y + rows.lowerBound * outputs + columns.lowerBound, outputs, adding: adding)
    }

    /// The bias and the activation of some rows and columns.
    private func finish(
        _ y: UnsafeMutablePointer<Float>, rows: Range<Int>, columns: Range<Int>,
        _ activation: Nonlinearity
    ) {
        guard bias != nil || activation != .identity else { return }
        let kernel = Kernels.current.bias_activation
        let offset = bias.map { $0.elements + columns.lowerBound }
        for row in rows {
            kernel(
                y + row * outputs + columns.lowerBound, offset, columns.count, activation.code)
        }
    }
}

/// Plain products of float32 matrices, on the calling thread.
enum BLAS {
    /// The threads are ours: OpenBLAS keeps to the one that calls it, in all of the process.
    private static let isSingleThreaded: Bool = {
        openblas_set_num_threads(1)
        return true
    }()

    /// The rows from which on a sum is taken in the same order, however many there are.
    ///
    /// OpenBLAS has other kernels for one row, and for products of up to a million multiplications.
    static func fewestRows(columns: Int, depth: Int) -> Int {
        max(2, 1_000_000 / (columns * depth) + 1)
    }

    /// c = a b (+ c), or a bᵀ (+ c) where `transposed`; each with the distance between its rows.
    static func multiply(
        rows: Int, columns: Int, depth: Int,
        _ a: UnsafePointer<Float>, _ strideA: Int,
        _ b: UnsafePointer<Float>, _ strideB: Int, transposed: Bool,
        into c: UnsafeMutablePointer<Float>, _ strideC: Int, adding: Bool = false
    ) {
        precondition(isSingleThreaded)
        cblas_sgemm(
            CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans,
            blasint(rows), blasint(columns), blasint(depth), 1, a, blasint(strideA),
            b, blasint(strideB), adding ? 1 : 0, c, blasint(strideC))
    }
}

/// The library behind matrix products, with its version and the CPU kernel it chose.
package func matrixProductEngine() -> String {
    let version =
        String(cString: openblas_get_config()).split(separator: " ").dropFirst().first ?? ""
    return "OpenBLAS \(version) \(String(cString: openblas_get_corename()))"
}
