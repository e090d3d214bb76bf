/// Matrices of weights of one shape, one for each head of an attention. Float32 alone.
package struct HeadWeights: Sendable {
    private let heads: [ProductWeights]  // each [outputs, inputs]

    /// - Parameters:
    ///   - weights: of each head, [outputs, inputs].
    ///   - biases: of each head, [outputs].
    package init(_ weights: [Tensor], biases: [Tensor]? = nil) {
        precondition(
            !weights.isEmpty && weights.allSatisfy { $0.shape == weights[0].shape }
                && biases.map { $0.count == weights.count } ?? true,
            "heads \(weights.map(\.shape))")
        heads = weights.indices.map { head in
            ProductWeights(weight: weights[head], bias: biases.map { $0[head] })
        }
    }

    /// Each row's parts, one a head, become rows: [rows, heads * inputs] -> [rows * heads, outputs].
    package func split(_ x: Matrix) -> Matrix {
        precondition(x.columns == heads.count * heads[0].inputs, "heads of \(x.columns) columns")
        let y = x.workspace.matrix(rows: x.rows * heads.count, columns: heads[0].outputs)
        for (index, head) in heads.enumerated() {
            var part = ProductWeights.Rows(x)
            part.start += index * head.inputs * 4
            part.words = head.inputs
            head.multiply(part, into: y, at: .init(row: index, step: heads.count), .identity)
        }
        return y
    }

    /// Each row's heads become its parts again: [rows * heads, inputs] -> [rows, heads * outputs].
    package func merged(_ x: Matrix) -> Matrix {
        precondition(x.rows % heads.count == 0, "heads of \(x.rows) rows")
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
