package import Files

/// Float32 vectors in a mapped file, one after the other.
package struct MappedVectors: Sendable {
    private let file: MappedFile
    package let dimension: Int
    package let count: Int

    /// Creates the vectors of a file.
    ///
    /// - Parameters:
    ///   - file: The mapped file.
    ///   - dimension: The number of dimensions of each vector.
    ///   - count: The number of rows to use; the result is nil if the file has fewer.
    package init?(_ file: MappedFile, dimension: Int, count: Int) {
        guard dimension > 0, count >= 0, file.count / (4 * dimension) >= count else { return nil }
        self.file = file
        self.dimension = dimension
        self.count = count
    }

    /// Returns the numbers of the given rows, one row after the other.
    package func values(ofRows rows: [Int]) -> [Float] {
        var values: [Float] = []
        values.reserveCapacity(rows.count * dimension)
        for row in rows {
            precondition(row >= 0 && row < count, "expected a row in 0..<\(count), found \(row)")
            values += UnsafeBufferPointer(start: start + row * dimension, count: dimension)
        }
        return values
    }

    /// Returns the SHA-256 of the bytes of a row: 32 bytes.
    package func sha256(ofRow row: Int) -> [UInt8] {
        precondition(row >= 0 && row < count, "expected a row in 0..<\(count), found \(row)")
        return file.sha256(of: (4 * dimension * row)..<(4 * dimension * (row + 1)))
    }

    /// Returns the dot product of a row with a vector, bit-identical to that of `nearest`.
    package func dotProduct(ofRow row: Int, with vector: [Float]) -> Float {
        precondition(row >= 0 && row < count, "expected a row in 0..<\(count), found \(row)")
        var product: Float = 0
        Kernels.current.dot_rows(
            vector, start + row * dimension, dimension, 1, dimension, &product)
        return product
    }

    var start: UnsafePointer<Float> {
        file.address(of: 0..<(4 * dimension * count)).assumingMemoryBound(to: Float.self)
    }

    /// Returns the rows with the largest dot products with a vector.
    ///
    /// `VectorRows.nearest` describes the parameters and the result.
    package func nearest(
        _ wanted: Int, to vector: [Float], atLeast threshold: Float,
        ceiling: Float = .infinity, among candidates: [Int]? = nil,
        quantized: QuantizedVectors? = nil, on pool: WorkspacePool
    ) -> [(row: Int, product: Float)] {
        guard count > 0 else { return [] }
        return withExtendedLifetime(file) {
            VectorRows(start: start, dimension: dimension, count: count).nearest(
                wanted, to: vector, atLeast: threshold, ceiling: ceiling, among: candidates,
                quantized: quantized, on: pool)
        }
    }
}

/// Returns the rows of a matrix in memory with the largest dot products with a vector.
///
/// `VectorRows.nearest` describes the parameters and the result.
package func nearest(
    _ wanted: Int, to vector: [Float], among values: [Float], atLeast threshold: Float,
    ceiling: Float = .infinity, on pool: WorkspacePool
) -> [(row: Int, product: Float)] {
    values.withUnsafeBufferPointer { buffer in
        guard let start = buffer.baseAddress else { return [] }
        return VectorRows(
            start: start, dimension: vector.count, count: buffer.count / vector.count
        ).nearest(wanted, to: vector, atLeast: threshold, ceiling: ceiling, on: pool)
    }
}

/// Float32 vectors in memory or in a mapped file, and the search for the nearest ones.
///
/// `@unchecked Sendable`: the numbers are only read, and stay in memory while a search runs.
private struct VectorRows: @unchecked Sendable {
    let start: UnsafePointer<Float>
    let dimension: Int
    let count: Int

    /// Returns the rows with the largest dot products with a vector.
    ///
    /// - Parameters:
    ///   - wanted: The number of rows to find.
    ///   - vector: A vector of `dimension` numbers.
    ///   - threshold: The least dot product of a result.
    ///   - ceiling: The product from which on all rows count as tied with each other.
    ///   - candidates: The rows to search, in ascending order; all if nil.
    ///   - quantized: The quantised first rows, which make the search faster. The result is the
    ///     same without them.
    ///   - pool: The pool whose threads compute the products.
    /// - Returns: At least `wanted` rows, if so many reach the threshold, by descending product
    ///   and then by ascending row. Rows that tie with the last one are included.
    func nearest(
        _ wanted: Int, to vector: [Float], atLeast threshold: Float, ceiling: Float = .infinity,
        among candidates: [Int]? = nil, quantized: QuantizedVectors? = nil,
        on pool: WorkspacePool
    ) -> [(row: Int, product: Float)] {
        precondition(
            vector.count == dimension,
            "expected a vector of \(dimension) numbers, found \(vector.count)")
        if let candidates {
            precondition(
                candidates.allSatisfy { 0..<count ~= $0 }, "expected rows in 0..<\(count)")
            let products = dotProducts(with: vector, rows: candidates, on: pool)
            guard let last = largest(wanted, of: products, atLeast: threshold) else { return [] }
            let least = min(last, ceiling)
            return sorted(zip(candidates, products).filter { $0.1 >= least })
        }
        if let quantized, wanted < count / 16,
            let found = nearest(
                wanted, to: vector, atLeast: threshold, ceiling: ceiling, by: quantized, on: pool)
        {
            return found
        }
        let products = dotProducts(with: vector, rows: 0..<count, on: pool)
        guard let last = largest(wanted, of: products, atLeast: threshold) else { return [] }
        let least = min(last, ceiling)
        return sorted(products.indices.filter { products[$0] >= least }.map { ($0, products[$0]) })
    }

    /// Searches with quantised vectors; returns nil if all rows must be searched exactly instead.
    private func nearest(
        _ wanted: Int, to vector: [Float], atLeast threshold: Float, ceiling: Float,
        by quantized: QuantizedVectors, on pool: WorkspacePool
    ) -> [(row: Int, product: Float)]? {
        let known = min(count, quantized.count)
        let (rounded, error) = quantized.dotProducts(with: vector, count: known, on: pool)
        let estimates = rounded + dotProducts(with: vector, rows: known..<count, on: pool)
        guard let last = largest(wanted, of: estimates, atLeast: threshold - error) else {
            return []
        }
        // A row of the result is estimated at most two errors below the last of the best estimates.
        let least = max(min(last, ceiling) - 2 * error, threshold - error)
        let candidates = estimates.indices.filter { estimates[$0] >= least }
        guard candidates.count <= count / 8 else { return nil }
        let products = dotProducts(with: vector, rows: candidates, on: pool)
        // Rows that were overwritten since they were quantised, or have NaN, may have displaced
        // others.
        guard !products.contains(where: \.isNaN),
            let exact = largest(wanted, of: products, atLeast: -.infinity), exact >= last - error
        else { return nil }
        let worst = max(min(exact, ceiling), threshold)
        return sorted(zip(candidates, products).filter { $0.1 >= worst })
    }

    private func sorted(_ found: [(row: Int, product: Float)]) -> [(row: Int, product: Float)] {
        found.sorted { ($1.product, $0.row) < ($0.product, $1.row) }
    }

    /// Returns the dot products of rows with a vector; their bits do not depend on the other rows.
    private func dotProducts(
        with vector: [Float], rows: Range<Int>, on pool: WorkspacePool
    ) -> [Float] {
        inStrips(of: rows.count, on: pool) { strip, target in
            Kernels.current.dot_rows(
                vector, start + (rows.lowerBound + strip.lowerBound) * dimension, dimension,
                strip.count, dimension, target)
        }
    }

    private func dotProducts(
        with vector: [Float], rows: [Int], on pool: WorkspacePool
    ) -> [Float] {
        inStrips(of: rows.count, on: pool) { strip, target in
            // Rows that follow each other are multiplied together, which is faster.
            var place = strip.lowerBound
            while place < strip.upperBound {
                var end = place + 1
                while end < strip.upperBound, rows[end] == rows[end - 1] + 1 { end += 1 }
                Kernels.current.dot_rows(
                    vector, start + rows[place] * dimension, dimension, end - place, dimension,
                    target + (place - strip.lowerBound))
                place = end
            }
        }
    }
}

/// Returns `count` numbers, computed on all threads in strips: `body` writes the numbers of a strip
/// to the address that it is given.
func inStrips(
    of count: Int, on pool: WorkspacePool,
    _ body: @Sendable (_ strip: Range<Int>, _ target: UnsafeMutablePointer<Float>) -> Void
) -> [Float] {
    let length = 4096
    return [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
        initialized = count
        guard let base = numbers.baseAddress else { return }
        nonisolated(unsafe) let target = base  // each strip writes its own part
        pool.inParallel((count + length - 1) / length) { index, _ in
            let strip = index * length..<min(count, (index + 1) * length)
            body(strip, target + strip.lowerBound)
        }
    }
}

/// Returns the `count`th largest of the numbers that reach a threshold; if fewer reach it, the
/// smallest of these; nil if none does.
package func largest(_ count: Int, of numbers: [Float], atLeast threshold: Float) -> Float? {
    guard count > 0 else { return nil }
    // A heap of the largest numbers so far, with the smallest of them first.
    var heap: [Float] = []
    for number in numbers where number >= threshold {
        if heap.count < count {
            heap.append(number)
            var child = heap.count - 1
            while child > 0, heap[(child - 1) / 2] > heap[child] {
                heap.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
        } else if number > heap[0] {
            heap[0] = number
            var parent = 0
            while true {
                var least = parent
                for child in [2 * parent + 1, 2 * parent + 2]
                where child < heap.count && heap[child] < heap[least] {
                    least = child
                }
                if least == parent { break }
                heap.swapAt(parent, least)
                parent = least
            }
        }
    }
    return heap.first
}
