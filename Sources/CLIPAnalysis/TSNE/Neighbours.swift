internal import CLIP
internal import Tensors

/// The joint probabilities p[i, j] of t-SNE: symmetric, with sum 1, stored as sparse rows (CSR).
struct Neighbours: Sendable {
    /// The offset of each row in `columns` and `probabilities`, and the end of the last row.
    let starts: [Int]
    let columns: [Int32]
    let probabilities: [Float]

    init(_ unit: Embeddings, perplexity: Double, _ pool: WorkspacePool) {
        let count = unit.count
        let wanted = min(count - 1, Int(3 * perplexity + 1))
        let found = nearestRows(
            wanted + 1, of: unit.values, among: unit.values, dimension: unit.dimension, on: pool)
        // The conditional probabilities p[j|i] of the nearest vectors, without the vector itself.
        let rows = pool.map(count) { row in
            let all = found[(row * (wanted + 1))..<((row + 1) * (wanted + 1))]
            let others = all.filter { $0.row != row }.prefix(wanted)
            let squares = others.map { max(0, 2 - 2 * Double($0.product)) }
            return zip(others.map { Int32($0.row) }, Self.conditional(squares, perplexity))
                .map { (column: $0.0, probability: $0.1) }
        }
        // Symmetrised: p[i|j] + p[j|i].
        var both = rows
        for (row, entries) in rows.enumerated() {
            for entry in entries { both[Int(entry.column)].append((Int32(row), entry.probability)) }
        }
        let total = 2 * Double(count)
        var (starts, columns, probabilities): ([Int], [Int32], [Float]) = ([0], [], [])
        for entries in both {
            var last: Int32 = -1
            for entry in entries.sorted(by: { $0.column < $1.column }) {
                if entry.column == last {
                    probabilities[probabilities.count - 1] += Float(entry.probability / total)
                } else {
                    columns.append(entry.column)
                    probabilities.append(Float(entry.probability / total))
                    last = entry.column
                }
            }
            starts.append(columns.count)
        }
        (self.starts, self.columns, self.probabilities) = (starts, columns, probabilities)
    }

    /// Returns the conditional probabilities of neighbours at the given squared distances.
    ///
    /// They are Gaussian, with the width for which their entropy is the logarithm of the
    /// perplexity.
    private static func conditional(_ squares: [Double], _ perplexity: Double) -> [Double] {
        let nearest = squares.min() ?? 0
        var (beta, low, high) = (1.0, 0.0, Double.infinity)
        var probabilities: [Double] = []
        for _ in 0..<100 {
            let weights = squares.map { (-beta * ($0 - nearest)).exponential }
            let sum = weights.reduce(0, +)
            probabilities = weights.map { $0 / sum }
            let mean = zip(probabilities, squares).reduce(0) { $0 + $1.0 * ($1.1 - nearest) }
            let surplus = sum.logarithm + beta * mean - perplexity.logarithm
            guard abs(surplus) > 1e-5 else { break }
            if surplus > 0 { low = beta } else { high = beta }
            beta = high.isInfinite ? beta * 2 : (low + high) / 2
        }
        return probabilities
    }
}
