internal import CKernels

/// Some columns of a matrix.
package struct Columns {
    let matrix: Matrix
    let range: Range<Int>

    package init(_ matrix: Matrix, _ range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= matrix.columns,
            "\(range) of \(matrix.columns)")
        self.matrix = matrix
        self.range = range
    }

    func start(row: Int, column: Int) -> UnsafeMutablePointer<Float> {
        matrix.elements + row * matrix.columns + range.lowerBound + column
    }
}

/// softmax(q kᵀ / √d) v, for every head of every sequence by itself.
///
/// - Parameters:
///   - query: [sum of query lengths, width].
///   - key, value: [sum of key lengths, width].
///   - heads: `width` is split into this many parts, each d wide.
///   - queries: the rows of each sequence in `query`.
///   - keys: the rows of each sequence in `key` and `value`.
///   - causal: whether a query sees only the keys up to its own position. The queries of a sequence
///     are its last positions.
/// - Returns: [sum of query lengths, width].
package func scaledDotProductAttention(
    query: Columns, key: Columns, value: Columns, heads: Int,
    queries: [Range<Int>], keys: [Range<Int>], causal: Bool
) -> Matrix {
    let width = query.range.count
    let headWidth = width / heads
    precondition(
        headWidth * heads == width && key.range.count == width && value.range.count == width
            && queries.count == keys.count,
        "\(heads) heads of \(width), \(queries.count) and \(keys.count) sequences")
    let workspace = query.matrix.workspace
    let result = workspace.matrix(
        rows: queries.reduce(0) { $0 + $1.count }, columns: width)
    let scale = 1 / Float(headWidth).squareRoot()
    let kernels = Kernels.current

    let longest = zip(queries, keys).map { $0.count * $1.count }.max() ?? 0
    let scratch = workspace.matrix(rows: workspace.team.count, columns: longest)

    workspace.inParallelParts(queries.count * heads) { part, tasks in
        let scores = scratch.row(part)
        for task in tasks {
            let (rows, keyRows) = (queries[task / heads], keys[task / heads])
            let column = task % heads * headWidth
            let length = keyRows.count
            BLAS.multiply(
                rows: rows.count, columns: length, depth: headWidth,
                query.start(row: rows.lowerBound, column: column), query.matrix.columns,
                key.start(row: keyRows.lowerBound, column: column), key.matrix.columns,
                transposed: true, into: scores, length)
            for row in 0..<rows.count {
                let seen = causal ? length - rows.count + row + 1 : length
                let rowScores = scores + row * length
                kernels.softmax(rowScores, seen, scale)
                (rowScores + seen).update(repeating: 0, count: length - seen)
            }
            BLAS.multiply(
                rows: rows.count, columns: headWidth, depth: length,
                scores, length,
                value.start(row: keyRows.lowerBound, column: column), value.matrix.columns,
                transposed: false,
                into: result.elements + rows.lowerBound * width + column, width)
        }
    }
    return result
}
