internal import CKernels

extension Matrix {
    /// (x - mean) / √(variance + ε) · weight + bias, for each row by itself.
    package func layerNormalized(weight: Tensor, bias: Tensor, epsilon: Float) -> Matrix {
        precondition(
            weight.count == columns && bias.count == columns,
            "\(weight.shape) and \(bias.shape) for rows of \(columns)")
        let result = workspace.matrix(rows: rows, columns: columns)
        let kernel = Kernels.current.layer_norm
        workspace.inParallel(rows, unit: 8) { range in
            for row in range {
                kernel(
                    self.row(row), weight.elements, bias.elements, epsilon, columns, result.row(row)
                )
            }
        }
        return result
    }

    /// Adds row i of `tensor` to the i-th of the rows given.
    package func add(rowsOf tensor: Tensor, to range: Range<Int>) {
        precondition(
            tensor.count >= range.count * columns, "\(tensor.shape) to \(range) of \(columns)")
        let kernel = Kernels.current.add
        for (i, row) in range.enumerated() {
            kernel(self.row(row), tensor.elements + i * columns, columns)
        }
    }
}

/// Divides each vector of `dimension` numbers by its L2 norm; a vector of zeros stays as it is.
package func normalizeRows(_ values: inout [Float], dimension: Int) {
    precondition(dimension > 0 && values.count % dimension == 0, "\(values.count) by \(dimension)")
    let kernels = Kernels.current
    values.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        for start in stride(from: 0, to: buffer.count, by: dimension) {
            let norm = kernels.sum_of_squares(base + start, dimension).squareRoot()
            if norm > 0 { kernels.scale(base + start, 1 / norm, dimension) }
        }
    }
}

/// a bᵀ: the dot product of every row of `a` with every row of `b`.
///
/// - Returns: [rows of a, rows of b], row-major.
package func dotProducts(_ a: [Float], _ b: [Float], dimension: Int) -> [Float] {
    let (rows, columns) = (a.count / dimension, b.count / dimension)
    return [Float](unsafeUninitializedCapacity: rows * columns) { target, initialized in
        initialized = rows * columns
        guard initialized > 0, let c = target.baseAddress else { return }
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                guard let a = a.baseAddress, let b = b.baseAddress else { return }
                BLAS.multiply(
                    rows: rows, columns: columns, depth: dimension, a, dimension, b, dimension,
                    transposed: true, into: c, columns)
            }
        }
    }
}
