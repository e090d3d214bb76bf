/// The float32 weights of an attention layer's heads: a matrix for each head, all of equal shape.
package struct HeadWeights: Sendable {
    private let heads: [ProductWeights]  // each [outputs, inputs]

    /// Creates the weights of all heads.
    ///
    /// - Parameters:
    ///   - weights: The weights of each head: [outputs, inputs].
    ///   - biases: The bias of each head: [outputs].
    package init(_ weights: [Tensor], biases: [Tensor]? = nil) {
        precondition(
            !weights.isEmpty && weights.allSatisfy { $0.shape == weights[0].shape }
                && biases.map { $0.count == weights.count } ?? true,
            """
            expected heads of equal shape with a bias each or none, found the shapes \
            \(weights.map(\.shape)) and \(biases?.count ?? 0) biases
            """)
        heads = weights.indices.map { head in
            ProductWeights(weight: weights[head], bias: biases.map { $0[head] })
        }
    }

    /// Multiplies each head's columns of x by its weights: [rows, heads * inputs] ->
    /// [rows * heads, outputs].
    package func split(_ x: Matrix) -> Matrix {
        precondition(
            x.columns == heads.count * heads[0].inputs,
            """
            expected \(heads[0].inputs) columns for each of \(heads.count) heads, found \
            \(x.columns) columns
            """)
        let y = x.workspace.matrix(rows: x.rows * heads.count, columns: heads[0].outputs)
        for (index, head) in heads.enumerated() {
            var part = ProductWeights.Rows(x)
            part.start += index * head.inputs * 4
            part.words = head.inputs
            head.multiply(part, into: y, at: .init(row: index, step: heads.count), .identity)
        }
        return y
    }

    /// Multiplies each head's rows of x by its weights: [rows * heads, inputs] ->
    /// [rows, heads * outputs].
    package func merged(_ x: Matrix) -> Matrix {
        precondition(
            x.rows % heads.count == 0,
            "expected a number of rows divisible by \(heads.count) heads, found \(x.rows)")
        let rows = x.rows / heads.count
        let y = x.workspace.matrix(rows: rows, columns: heads.count * heads[0].outputs)
        for (index, head) in heads.enumerated() {
            var part = ProductWeights.Rows(x)
            part.start += index * x.stride
            part.stride *= heads.count
            part.count = rows
            head.multiply(part, into: y, at: .init(column: index * head.outputs), .identity)
        }
        return y
    }
}
