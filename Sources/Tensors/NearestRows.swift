/// Finds for every row of `a` the rows of `b` with the largest dot products.
///
/// Results are sorted by descending product, equal products by ascending row. A product that is NaN
/// or -∞ is never a result. If too few others exist, the last results have row 0 and product -∞.
///
/// - Parameters:
///   - wanted: The number of rows of `b` to find.
///   - a: [rows of a, dimension], row-major.
///   - b: [rows of b, dimension], row-major.
///   - dimension: The number of dimensions of each vector.
///   - pool: The pool whose threads compute the products.
/// - Returns: `min(wanted, rows of b)` results for each row of `a`, one row after the other.
package func nearestRows(
    _ wanted: Int, of a: [Float], among b: [Float], dimension: Int, on pool: WorkspacePool
) -> [(row: Int, product: Float)] {
    let (count, others) = (a.count / dimension, b.count / dimension)
    let wanted = min(wanted, others)
    guard wanted > 0 else { return [] }
    var found = [(row: Int, product: Float)](
        repeating: (0, -.infinity), count: count * wanted)
    found.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let found = base  // threads write disjoint rows
        // Small enough that the products with 64 rows of `a` stay in the cache.
        for first in stride(from: 0, to: others, by: 4096) {
            let block = first..<min(others, first + 4096)
            let weights = ProductWeights(
                weight: Tensor(
                    Array(b[(block.lowerBound * dimension)..<(block.upperBound * dimension)]),
                    shape: [block.count, dimension]))
            pool.inParallel((count + 63) / 64) { strip, workspace in
                let rows = strip * 64..<min(count, strip * 64 + 64)
                let x = workspace.matrix(rows: rows.count, columns: dimension)
                x.fill(a[(rows.lowerBound * dimension)..<(rows.upperBound * dimension)])
                let products = weights.apply(x)
                for (place, row) in rows.enumerated() {
                    let best = found + row * wanted
                    let products = products.row(place)
                    for column in 0..<block.count where products[column] > best[wanted - 1].product
                    {
                        var rank = wanted - 1
                        while rank > 0, products[column] > best[rank - 1].product {
                            best[rank] = best[rank - 1]
                            rank -= 1
                        }
                        best[rank] = (first + column, products[column])
                    }
                }
            }
        }
    }
    return found
}

/// Returns the dot product of every row of `a` with a vector.
package func dotProducts(
    of a: [Float], with vector: [Float], on pool: WorkspacePool
) -> [Float] {
    let dimension = vector.count
    return a.withUnsafeBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return [] }
        nonisolated(unsafe) let rows = base  // only read
        return inStrips(of: a.count / dimension, on: pool) { strip, target in
            Kernels.current.dot_rows(
                vector, rows + strip.lowerBound * dimension, dimension, strip.count, dimension,
                target)
        }
    }
}
