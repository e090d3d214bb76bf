/// Inverts a symmetric positive definite matrix by the sweep operator, block by block.
///
/// The bits of the result do not depend on the number of threads.
///
/// - Parameters:
///   - matrix: [count, count], row-major; only the part on and above the diagonal is read.
///   - count: The number of rows.
///   - pool: The pool whose threads are used.
/// - Returns: The inverse, [count, count]; nil if the matrix is not positive definite.
/// - Complexity: O(count³).
package func inverseOfSymmetric(
    _ matrix: [Double], count: Int, on pool: WorkspacePool
) -> [Double]? {
    precondition(matrix.count == count * count, "\(matrix.count) values for \(count) rows")
    var result = matrix
    let isInverted = result.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { SymmetricSweep(elements: $0, count: count).invert(on: pool) }
    }
    return isInverted == false ? nil : result
}

/// A matrix [count, count] that is being inverted.
///
/// Only the part on and above the diagonal is valid until the inversion is complete.
///
/// `@unchecked Sendable`: threads write different rows and read none that another one writes.
private struct SymmetricSweep: @unchecked Sendable {
    let elements: UnsafeMutablePointer<Double>
    let count: Int

    /// The number of rows and columns that are swept at once.
    private static let blockLength = 32
    /// The number of columns that are updated at once; their part of a block stays in the cache.
    private static let width = 64

    /// Inverts the matrix; returns false if it is not positive definite.
    func invert(on pool: WorkspacePool) -> Bool {
        for lower in stride(from: 0, to: count, by: Self.blockLength) {
            guard sweep(lower..<min(count, lower + Self.blockLength), on: pool) else {
                return false
            }
        }
        // By tiles, because elements of a column are far apart.
        let height = Self.blockLength
        for rows in stride(from: 0, to: count, by: height) {
            for columns in stride(from: rows, to: count, by: height) {
                for i in rows..<min(count, rows + height) {
                    for j in max(i, columns)..<max(i, min(count, columns + height)) {
                        let value = -elements[i * count + j]
                        elements[i * count + j] = value
                        elements[j * count + i] = value
                    }
                }
            }
        }
        return true
    }

    /// Sweeps a block K: A[K, K] = -P with the inverse P, A[K, j] = P A[K, j], and
    /// A[i, j] -= A[i, K] P A[K, j].
    ///
    /// - Returns: True if A[K, K] is positive definite.
    private func sweep(_ block: Range<Int>, on pool: WorkspacePool) -> Bool {
        let (length, width) = (block.count, Self.width)
        let stripCount = (count + width - 1) / width
        var inverse = [Double](repeating: 0, count: length * length)
        for (i, row) in block.enumerated() {
            for (j, column) in block.enumerated() {
                inverse[i * length + j] = elements[min(row, column) * count + max(row, column)]
            }
        }
        guard Self.invert(&inverse, count: length) else { return false }
        // A[:, K], and P A[K, :] in strips of columns: cache lines at a distance of a power of two
        // would evict each other.
        var columns = [Double](repeating: 0, count: count * length)
        var products = [Double](repeating: 0, count: stripCount * width * length)
        inverse.withUnsafeBufferPointer { inverse in
            columns.withUnsafeMutableBufferPointer { columns in
                products.withUnsafeMutableBufferPointer { products in
                    guard let inverse = inverse.baseAddress, let columns = columns.baseAddress,
                        let products = products.baseAddress
                    else { return }
                    // Each part of the loops writes its own elements.
                    nonisolated(unsafe) let (p, c, s) = (inverse, columns, products)
                    pool.inParallel(stripCount) { strip, _ in
                        multiply(strip, block, p, c, s + strip * width * length)
                    }
                    let height = Self.blockLength
                    pool.inParallel((count + height - 1) / height) { part, _ in
                        let range = part * height..<min(count, (part + 1) * height)
                        subtract(c, s, length, from: range, except: block)
                    }
                }
            }
        }
        for (place, k) in block.enumerated() {
            func product(_ j: Int) -> Double {
                products[(j / width * length + place) * width + j % width]
            }
            for i in 0..<block.lowerBound { elements[i * count + k] = product(i) }
            for j in block.upperBound..<count { elements[k * count + j] = product(j) }
            for (j, column) in block.enumerated() {
                elements[k * count + column] = -inverse[place * length + j]
            }
        }
        return true
    }

    /// Copies A[K, j] for the columns j of a strip, and multiplies it by P.
    ///
    /// - Parameters:
    ///   - strip: The index of the strip.
    ///   - block: K, of `length` rows.
    ///   - inverse: P: [length, length].
    ///   - columns: The copies: [count, length].
    ///   - products: The products: [length, width].
    private func multiply(
        _ strip: Int, _ block: Range<Int>, _ inverse: UnsafePointer<Double>,
        _ columns: UnsafeMutablePointer<Double>, _ products: UnsafeMutablePointer<Double>
    ) {
        let (length, width) = (block.count, Self.width)
        let range = strip * width..<min(count, (strip + 1) * width)
        for j in range {
            for (place, k) in block.enumerated() {
                columns[j * length + place] = elements[min(j, k) * count + max(j, k)]
            }
        }
        for (column, j) in range.enumerated() {
            let source = columns + j * length
            for i in 0..<length {
                var sums = SIMD8<Double>()
                var k = 0
                while k + 8 <= length {
                    let a = UnsafeRawPointer(inverse + i * length + k)
                    let b = UnsafeRawPointer(source + k)
                    sums +=
                        a.loadUnaligned(as: SIMD8<Double>.self)
                        * b.loadUnaligned(as: SIMD8<Double>.self)
                    k += 8
                }
                var sum = sums.sum()
                while k < length {
                    sum += inverse[i * length + k] * source[k]
                    k += 1
                }
                products[i * width + column] = sum
            }
        }
    }

    /// Subtracts Σ factors[i, k] products[k, j] over `length` values of k from elements [i, j ≥ i].
    ///
    /// Also changes elements below the diagonal and in columns of the block, which are not read.
    ///
    /// - Parameters:
    ///   - factors: [count, length].
    ///   - strips: The products in strips of `width` columns: [length, width] for each.
    ///   - length: The number of values of k.
    ///   - range: The rows i.
    ///   - block: The rows that stay as they are.
    private func subtract(
        _ factors: UnsafePointer<Double>, _ strips: UnsafePointer<Double>, _ length: Int,
        from range: Range<Int>, except block: Range<Int>
    ) {
        let width = Self.width
        for first in stride(from: range.lowerBound / width * width, to: count, by: width) {
            let strip = strips + first * length
            let end = min(width, count - first)
            for i in range where !block.contains(i) {
                let (row, factors) = (elements + i * count + first, factors + i * length)
                var j = 0
                while j + 16 <= end {
                    let target = UnsafeMutableRawPointer(row + j)
                    var a = target.loadUnaligned(as: SIMD8<Double>.self)
                    var b = (target + 64).loadUnaligned(as: SIMD8<Double>.self)
                    for k in 0..<length {
                        let source = UnsafeRawPointer(strip + k * width + j)
                        a -= factors[k] * source.loadUnaligned(as: SIMD8<Double>.self)
                        b -= factors[k] * (source + 64).loadUnaligned(as: SIMD8<Double>.self)
                    }
                    target.storeBytes(of: a, as: SIMD8<Double>.self)
                    (target + 64).storeBytes(of: b, as: SIMD8<Double>.self)
                    j += 16
                }
                while j < end {
                    for k in 0..<length { row[j] -= factors[k] * strip[k * width + j] }
                    j += 1
                }
            }
        }
    }

    /// Inverts a small symmetric matrix; returns false if it is not positive definite.
    private static func invert(_ matrix: inout [Double], count: Int) -> Bool {
        var row = [Double](repeating: 0, count: count)
        return matrix.withUnsafeMutableBufferPointer { a in
            for k in 0..<count {
                let pivot = a[k * count + k]
                guard pivot > 0, pivot.isFinite else { return false }
                for j in 0..<count { row[j] = a[k * count + j] }
                for i in 0..<count where i != k {
                    let factor = row[i] / pivot
                    for j in 0..<count { a[i * count + j] -= factor * row[j] }
                    a[i * count + k] = factor
                }
                for j in 0..<count { a[k * count + j] = row[j] / pivot }
                a[k * count + k] = -1 / pivot
            }
            for i in a.indices { a[i] = -a[i] }
            return true
        }
    }
}
