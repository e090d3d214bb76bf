internal import CBLAS
internal import CKernels

/// A range of columns of a matrix.
package struct Columns: Sendable {
    let matrix: Matrix
    let range: Range<Int>

    package init(_ matrix: Matrix, _ range: Range<Int>) {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= matrix.columns,
            "expected columns within 0..<\(matrix.columns), found \(range)")
        self.matrix = matrix
        self.range = range
    }

    /// Returns the address of an element; column 0 is the first column of the range.
    func start(row: Int, column: Int) -> UnsafeMutablePointer<Float> {
        matrix.row(row) + range.lowerBound + column
    }
}

/// Computes softmax(scale q kᵀ) v for every head of every sequence.
///
/// - Parameters:
///   - query: The query vectors of all sequences: [queries, width].
///   - key: The key vectors of all sequences: [keys, width].
///   - value: The value vectors of all sequences: [keys, width].
///   - heads: The number of heads; each has d = width / heads columns.
///   - queries: For each sequence, its rows of `query`.
///   - keys: For each sequence, its rows of `key` and `value`; sequences may share rows.
///   - causal: True if a query attends only to the keys up to its own position. The queries of a
///     sequence are then its last positions.
///   - scale: The factor of the scores; 1 / √d if nil.
/// - Returns: [queries, width].
package func scaledDotProductAttention(
    query: Columns, key: Columns, value: Columns, heads: Int,
    queries: [Range<Int>], keys: [[Range<Int>]], causal: Bool, scale: Float? = nil
) -> Matrix {
    let width = query.range.count
    let headWidth = width / heads
    precondition(
        headWidth * heads == width && key.range.count == width && value.range.count == width
            && queries.count == keys.count,
        """
        expected equal widths divisible by \(heads) heads, found \(width), \(key.range.count) and \
        \(value.range.count); and as many sequences of keys as of queries, found \(keys.count) \
        and \(queries.count)
        """)
    let workspace = query.matrix.workspace
    let result = workspace.matrix(rows: query.matrix.rows, columns: width)
    let mostQueries = queries.map(\.count).max() ?? 0
    let mostKeys = keys.map { $0.reduce(0) { $0 + $1.count } }.max() ?? 0
    // A BLAS does not compute causal attention. Which rows of a causal text are computed depends on
    // the other texts, and the shape of a product may change the rounding of a BLAS.
    let mayUseBLAS =
        workspace.engine != .native && !causal
        && query.matrix.rowsBeyond >= ProductEngine.rowsReadBeyond
    let count = AttentionHead.scratchCount(
        mayUseBLAS ? ProductEngine.filledUp(mostQueries) : mostQueries, mostKeys, headWidth)
    let scratch = workspace.compactMatrix(rows: workspace.team.count, columns: count)

    workspace.team.split(queries.count * heads) { part, tasks in
        for task in tasks {
            let sequence = task / heads
            guard !queries[sequence].isEmpty else { continue }
            let head = AttentionHead(
                query: query, key: key, value: value, column: task % heads * headWidth,
                width: headWidth, queries: queries[sequence], keys: keys[sequence],
                isCausal: causal, scale: scale ?? 1 / Float(headWidth).squareRoot())
            // The choice depends on the sequence alone, not on the others of the batch.
            if mayUseBLAS, queries[sequence].count >= 2 * ProductEngine.filledUp(1),
                keys[sequence].count == 1
            {
                head.attendByBLAS(into: result, scratch.row(part))
            } else {
                head.attend(into: result, scratch.row(part))
            }
        }
    }
    return result
}

/// The attention of a single head over a single sequence.
private struct AttentionHead {
    let query: Columns
    let key: Columns
    let value: Columns
    /// The first column of the head in `query`, `key` and `value`.
    let column: Int
    let width: Int
    let queries: Range<Int>
    let keys: [Range<Int>]
    let isCausal: Bool
    let scale: Float

    private var length: Int { keys.reduce(0) { $0 + $1.count } }

    private static func padded(_ count: Int) -> Int {
        Panels.count(of: count) * Panels.width
    }

    /// The number of floats of scratch memory that `attend` or `attendByBLAS` needs.
    static func scratchCount(_ queries: Int, _ keys: Int, _ width: Int) -> Int {
        queries * (padded(keys) + width) + keys * width + padded(keys) * width
            + keys * padded(width)
    }

    /// Computes the head with the native kernels.
    func attend(into result: Matrix, _ scratch: UnsafeMutablePointer<Float>) {
        let length = length
        let stride = Self.padded(length)
        let scores = scratch
        let gathered = scores + queries.count * stride
        let keyPanels = gathered + length * width
        let valuePanels = keyPanels + stride * width
        let kernels = Kernels.current

        packKeys(gathered, into: keyPanels)
        multiply(
            query.start(row: queries.lowerBound, column: column), query.matrix.stride,
            depth: width, by: keyPanels, outputs: length, into: scores, stride * 4)
        for row in 0..<queries.count {
            let seen = isCausal ? length - queries.count + row + 1 : length
            kernels.softmax(scores + row * stride, seen, scale)
            (scores + row * stride + seen).update(repeating: 0, count: length - seen)
        }
        packValues(into: valuePanels)
        multiply(
            scores, stride * 4, depth: length, by: valuePanels, outputs: width,
            into: result.row(queries.lowerBound) + column, result.stride)
    }

    /// Computes the head with a BLAS; the keys must be contiguous, and every query attends to all.
    ///
    /// The shapes of the products do not depend on the batch size. So the BLAS always chooses the
    /// same kernels, and the bits of the result are the same in every batch.
    func attendByBLAS(into result: Matrix, _ scratch: UnsafeMutablePointer<Float>) {
        let (length, rows) = (length, ProductEngine.filledUp(queries.count))
        let scores = scratch  // [rows, length]
        let sums = scores + rows * length  // [rows, width]
        var product = clip_blas_product(
            x: query.start(row: queries.lowerBound, column: column), rows: rows, inputs: width,
            x_stride: query.matrix.stride / 4,
            w: key.start(row: keys[0].lowerBound, column: column), outputs: length,
            w_stride: key.matrix.stride / 4, is_transposed: 1, y: scores, y_stride: length)
        clip_blas_multiply(&product)
        for row in 0..<queries.count {
            Kernels.current.softmax(scores + row * length, length, scale)
        }
        product = clip_blas_product(
            x: scores, rows: rows, inputs: length, x_stride: length,
            w: value.start(row: keys[0].lowerBound, column: column), outputs: width,
            w_stride: value.matrix.stride / 4, is_transposed: 0, y: sums, y_stride: width)
        clip_blas_multiply(&product)
        for row in 0..<queries.count {
            let target = result.row(queries.lowerBound + row) + column
            target.update(from: sums + row * width, count: width)
        }
    }

    /// Packs the keys into panels of 32 keys, the layout that products require of weights.
    private func packKeys(
        _ gathered: UnsafeMutablePointer<Float>, into panels: UnsafeMutablePointer<Float>
    ) {
        var start = key.start(row: keys[0].lowerBound, column: column)
        var stride = key.matrix.stride / 4
        if keys.count > 1 {
            var next = gathered
            for row in keys.joined() {
                next.update(from: key.start(row: row, column: column), count: width)
                next += width
            }
            (start, stride) = (gathered, width)
        }
        let pack = Kernels.current.pack
        let length = length
        for first in Swift.stride(from: 0, to: length, by: Panels.width) {
            let rows = min(Panels.width, length - first)
            let source = UnsafeRawPointer(start + first * stride)
            let target = UnsafeMutableRawPointer(panels + first * width)
            pack(
                source.assumingMemoryBound(to: UInt32.self), stride, rows, width,
                target.assumingMemoryBound(to: UInt32.self))
        }
    }

    /// Packs the values into panels of 32 columns, the layout that products require of weights.
    private func packValues(into panels: UnsafeMutablePointer<Float>) {
        var next = panels
        for first in Swift.stride(from: 0, to: width, by: Panels.width) {
            let columns = min(Panels.width, width - first)
            for row in keys.joined() {
                next.update(from: value.start(row: row, column: column + first), count: columns)
                (next + columns).update(repeating: 0, count: Panels.width - columns)
                next += Panels.width
            }
        }
    }

    private func multiply(
        _ x: UnsafePointer<Float>, _ stride: Int, depth: Int,
        by panels: UnsafePointer<Float>, outputs: Int,
        into y: UnsafeMutablePointer<Float>, _ newStride: Int
    ) {
        var product = clip_product(
            x: x, rows: queries.count, stride: stride, words: depth, y: y, yStride: newStride)
        product.panels = UnsafeRawPointer(panels)
        product.outputs = outputs
        Kernels.current.multiply_float32(&product)
    }
}
