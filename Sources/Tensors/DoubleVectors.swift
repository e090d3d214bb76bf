/// The length of the blocks of long vectors; because it is fixed, sums do not depend on the number
/// of threads.
private let blockLength = 8192

/// Returns the dot product of the first elements of two vectors.
///
/// The bits of the result do not depend on the number of threads.
///
/// - Parameters:
///   - a: The first vector.
///   - b: The second vector, of the same length.
///   - count: The number of elements; all if nil.
///   - pool: The pool whose threads are used.
/// - Returns: The dot product.
package func dotProduct(
    _ a: [Double], _ b: [Double], count: Int? = nil, on pool: WorkspacePool
) -> Double {
    product(of: a, and: b, count ?? a.count, on: pool)
}

/// Returns the dot product of two vectors of equal length, one of them in float32.
package func dotProduct(_ a: [Float], _ b: [Double], on pool: WorkspacePool) -> Double {
    product(of: a, and: b, a.count, on: pool)
}

/// Returns the dot product of two float32 vectors of equal length.
package func dotProduct(_ a: [Float], _ b: [Float], on pool: WorkspacePool) -> Double {
    product(of: a, and: b, a.count, on: pool)
}

private func product<A: BinaryFloatingPoint & Sendable, B: BinaryFloatingPoint & Sendable>(
    of a: [A], and b: [B], _ length: Int, on pool: WorkspacePool
) -> Double {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    precondition(length <= a.count, "\(length) of \(a.count) dimensions")
    let count = (length + blockLength - 1) / blockLength
    @Sendable func part(_ block: Int) -> Double {
        let end = min(length, (block + 1) * blockLength)
        return a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var place = block * blockLength
                var sums = SIMD8<Double>()
                while place + 8 <= end {
                    var (x, y) = (SIMD8<Double>(), SIMD8<Double>())
                    for i in 0..<8 { (x[i], y[i]) = (Double(a[place + i]), Double(b[place + i])) }
                    sums += x * y
                    place += 8
                }
                var sum = sums.sum()
                while place < end {
                    sum += Double(a[place]) * Double(b[place])
                    place += 1
                }
                return sum
            }
        }
    }
    guard count > 2 else { return (0..<count).reduce(0) { $0 + part($1) } }
    return pool.map(count, part).reduce(0, +)
}

/// Adds `factor` times a vector to another vector of equal length.
package func add(
    _ factor: Double, times a: [Float], to b: inout [Double], on pool: WorkspacePool
) {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    let count = b.count
    b.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let target = base  // each block writes its own part
        inBlocks(count, on: pool) { range in
            a.withUnsafeBufferPointer { a in
                for i in range { target[i] += factor * Double(a[i]) }
            }
        }
    }
}

/// Multiplies a vector by a factor and adds another factor times a vector of equal length.
package func scale(
    _ a: inout [Double], by scale: Double, adding factor: Double, times b: [Double],
    on pool: WorkspacePool
) {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    let count = a.count
    a.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let target = base  // each block writes its own part
        inBlocks(count, on: pool) { range in
            b.withUnsafeBufferPointer { b in
                for i in range { target[i] = scale * target[i] + factor * b[i] }
            }
        }
    }
}

/// Returns a + factor * b for vectors of equal length.
package func sum(
    _ a: [Double], _ factor: Double, times b: [Double], on pool: WorkspacePool
) -> [Double] {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    return vector(a.count, on: pool) { (target: UnsafeMutablePointer<Double>, range) in
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                for i in range { target[i] = a[i] + factor * b[i] }
            }
        }
    }
}

/// Returns a - b in float32 for vectors of equal length.
package func difference(_ a: [Double], _ b: [Double], on pool: WorkspacePool) -> [Float] {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    return vector(a.count, on: pool) { (target: UnsafeMutablePointer<Float>, range) in
        a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                for i in range { target[i] = Float(a[i] - b[i]) }
            }
        }
    }
}

/// Returns a vector of `count` elements, which `set` initialises block by block.
private func vector<Scalar>(
    _ count: Int, on pool: WorkspacePool,
    set: @Sendable (UnsafeMutablePointer<Scalar>, Range<Int>) -> Void
) -> [Scalar] {
    [Scalar](unsafeUninitializedCapacity: count) { buffer, initialized in
        initialized = count
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let target = base  // each block writes its own part
        inBlocks(count, on: pool) { set(target, $0) }
    }
}

/// Runs `body` on blocks of `0..<count`, on several threads if there are more than two blocks.
private func inBlocks(
    _ count: Int, on pool: WorkspacePool, _ body: @Sendable (Range<Int>) -> Void
) {
    let blockCount = (count + blockLength - 1) / blockLength
    @Sendable func range(_ block: Int) -> Range<Int> {
        block * blockLength..<min(count, (block + 1) * blockLength)
    }
    if blockCount > 2 {
        pool.inParallel(blockCount) { block, _ in body(range(block)) }
    } else {
        for block in 0..<blockCount { body(range(block)) }
    }
}

/// The sums of the columns of a matrix, and of the squares of their elements.
package struct ColumnSums {
    /// The sum of each column.
    package private(set) var values: [Double]
    /// The sum of the squares of each column's elements.
    package private(set) var squares: [Double]

    /// Adds up the rows of a matrix.
    ///
    /// - Parameters:
    ///   - x: The rows, [rows, dimension].
    ///   - dimension: The number of columns, at least 1.
    package init(of x: [Float], dimension: Int) {
        precondition(
            dimension > 0 && x.count % dimension == 0,
            "expected rows of \(dimension) elements, found \(x.count) elements")
        var values = [Double](repeating: 0, count: dimension)
        var squares = values
        x.withUnsafeBufferPointer { x in
            values.withUnsafeMutableBufferPointer { values in
                squares.withUnsafeMutableBufferPointer { squares in
                    for first in stride(from: 0, to: x.count, by: dimension) {
                        for i in 0..<dimension {
                            let value = Double(x[first + i])
                            values[i] += value
                            squares[i] += value * value
                        }
                    }
                }
            }
        }
        (self.values, self.squares) = (values, squares)
    }
}

/// Returns the sum of the rows of each class.
///
/// - Parameters:
///   - x: The rows, [rows, dimension].
///   - means: The vector that is subtracted from each row; its count is the dimension.
///   - labels: The class of each row, 0..<classCount.
///   - classCount: The number of classes.
/// - Returns: The sums, [classes, dimension].
package func sumsOfClasses(
    _ x: [Float], minus means: [Float], labels: [Int], classCount: Int
) -> [Double] {
    let dimension = means.count
    precondition(
        x.count == labels.count * dimension && labels.allSatisfy((0..<classCount).contains),
        "expected \(labels.count) rows of \(dimension) elements with labels below \(classCount)")
    var sums = [Double](repeating: 0, count: classCount * dimension)
    sums.withUnsafeMutableBufferPointer { sums in
        x.withUnsafeBufferPointer { x in
            means.withUnsafeBufferPointer { means in
                for (row, label) in labels.enumerated() {
                    for i in 0..<dimension {
                        sums[label * dimension + i] += Double(x[row * dimension + i] - means[i])
                    }
                }
            }
        }
    }
    return sums
}
