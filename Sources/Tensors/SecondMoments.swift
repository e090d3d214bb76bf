/// Returns XᵀX, where X consists of some rows of a matrix, minus a vector.
///
/// - Parameters:
///   - x: [rows, dimension], row-major.
///   - means: The vector that is subtracted from every row.
///   - rows: The rows that are used.
///   - pool: The pool whose threads are used.
/// - Returns: [dimension, dimension]; elements below the diagonal may be 0.
package func secondMoments(
    of x: [Float], minus means: [Float], rows: [Int], on pool: WorkspacePool
) -> [Float] {
    let dimension = means.count
    precondition(
        rows.allSatisfy { $0 >= 0 && ($0 + 1) * dimension <= x.count },
        "expected rows of \(x.count) values in \(dimension) dimensions")
    let selected = Tensor(shape: [rows.count, dimension]) { target in
        x.withUnsafeBufferPointer { x in
            means.withUnsafeBufferPointer { means in
                for (place, row) in rows.enumerated() {
                    for i in 0..<dimension {
                        target[place * dimension + i] = x[row * dimension + i] - means[i]
                    }
                }
            }
        }
    }
    let length = 128
    return pool.withWorkspace { workspace in
        let matrix = workspace.matrix(rows: dimension, columns: rows.count)
        workspace.team.split(dimension, unit: 16) { _, range in
            for first in stride(from: range.lowerBound, to: range.upperBound, by: 16) {
                transpose(
                    selected.elements + first, rows.count, min(16, range.upperBound - first),
                    stride: dimension, to: matrix.row(first), stride: matrix.stride / 4)
            }
        }
        let products = workspace.matrix(rows: dimension, columns: dimension)
        for row in 0..<dimension { products.row(row).update(repeating: 0, count: dimension) }
        for first in stride(from: 0, to: dimension, by: length) {
            // The products of a block of columns, down to the diagonal.
            let end = min(dimension, first + length)
            let block = Tensor(shape: [rows.count, end - first]) { target in
                for place in rows.indices {
                    (target + place * (end - first)).update(
                        from: selected.elements + place * dimension + first, count: end - first)
                }
            }
            var factor = ProductWeights.Rows(matrix)
            factor.count = end
            ProductWeights(packing: block, isTransposed: true).multiply(
                factor, into: products, at: .init(column: first), .identity)
        }
        return products.values
    }
}
