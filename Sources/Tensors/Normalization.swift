internal import CKernels

extension Matrix {
    /// Returns LayerNorm of each row: (x - mean) / √(variance + ε) · weight + bias.
    ///
    /// - Parameters:
    ///   - weight: [columns].
    ///   - bias: [columns].
    ///   - epsilon: The number ε that is added to the variance.
    ///   - format: The format of the result.
    /// - Returns: [rows, columns].
    package func layerNormalized(
        weight: Tensor, bias: Tensor, epsilon: Float, format: ElementFormat = .float32
    ) -> Matrix {
        precondition(
            weight.count == columns && bias.count == columns,
            """
            expected a weight and a bias of \(columns) numbers, found the shapes \
            \(weight.shape) and \(bias.shape)
            """)
        let result = workspace.matrix(rows: rows, columns: columns, format: format)
        let scratch = workspace.compactMatrix(rows: workspace.team.count, columns: columns)
        let kernel = Kernels.current.layer_norm
        workspace.team.split(rows, unit: 4) { part, range in
            for row in range {
                let target = format == .float32 ? result.row(row) : scratch.row(part)
                kernel(
                    self.row(row), weight.elements, bias.elements, epsilon, columns, target)
                if format != .float32 { result.setRow(row, from: target) }
            }
        }
        return result
    }

    /// Adds row `indices[i]` of `tensor` to row i, for all rows i.
    package func add(rowsOf tensor: Tensor, at indices: [Int]) {
        precondition(
            indices.count == rows && tensor.shape == [tensor.shape[0], columns],
            """
            expected an index for each of \(rows) rows and a tensor of \(columns) columns, found \
            \(indices.count) indices and the shape \(tensor.shape)
            """)
        let kernel = Kernels.current.add
        for (row, index) in indices.enumerated() {
            precondition(
                index >= 0 && index < tensor.shape[0],
                "expected a row in 0..<\(tensor.shape[0]), found \(index)")
            kernel(self.row(row), tensor.elements + index * columns, columns)
        }
    }
}

/// Divides each vector of `dimension` numbers by its L2 norm; zero vectors are unchanged.
package func normalizeRows(_ values: inout [Float], dimension: Int) {
    precondition(
        dimension > 0 && values.count % dimension == 0,
        "expected vectors of \(dimension) numbers, at least 1, found \(values.count) numbers")
    let kernels = Kernels.current
    values.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        for start in stride(from: 0, to: buffer.count, by: dimension) {
            let norm = kernels.sum_of_squares(base + start, dimension).squareRoot()
            if norm > 0 { kernels.scale(base + start, 1 / norm, dimension) }
        }
    }
}

/// A set of vectors, packed once for dot products with many other vectors.
package struct PackedVectors: Sendable {
    private let weights: ProductWeights

    /// Packs vectors for dot products.
    ///
    /// - Parameters:
    ///   - values: [vectors, dimension], row-major.
    ///   - dimension: The number of dimensions of each vector.
    package init(_ values: [Float], dimension: Int) {
        weights = ProductWeights(
            weight: Tensor(values, shape: [values.count / dimension, dimension]))
    }

    /// Returns the dot product of every row of `a` with every vector: [rows of a, vectors],
    /// row-major.
    package func dotProducts(with a: [Float]) -> [Float] {
        let workspace = Workspace(threads: 1)
        let x = workspace.matrix(rows: a.count / weights.inputs, columns: weights.inputs)
        x.fill(a)
        return weights.apply(x).values
    }
}

/// Returns a bᵀ: the dot product of every row of `a` with every row of `b`.
///
/// - Parameters:
///   - a: [rows of a, dimension], row-major.
///   - b: [rows of b, dimension], row-major.
///   - dimension: The number of dimensions of each vector.
/// - Returns: [rows of a, rows of b], row-major.
package func dotProducts(_ a: [Float], _ b: [Float], dimension: Int) -> [Float] {
    PackedVectors(b, dimension: dimension).dotProducts(with: a)
}
