/// The length of the blocks in which long vectors are processed; sums do not depend on threads.
private let blockLength = 8192

/// Returns the dot product of two vectors of equal length.
///
/// The bits of the result do not depend on the number of threads.
package func dotProduct(_ a: [Double], _ b: [Double], on pool: WorkspacePool) -> Double {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    let count = (a.count + blockLength - 1) / blockLength
    @Sendable func part(_ block: Int) -> Double {
        let end = min(a.count, (block + 1) * blockLength)
        return a.withUnsafeBufferPointer { a in
            b.withUnsafeBufferPointer { b in
                var place = block * blockLength
                var sums = SIMD8<Double>()
                while place + 8 <= end {
                    var (x, y) = (SIMD8<Double>(), SIMD8<Double>())
                    for i in 0..<8 { (x[i], y[i]) = (a[place + i], b[place + i]) }
                    sums += x * y
                    place += 8
                }
                var sum = sums.sum()
                while place < end {
                    sum += a[place] * b[place]
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
    _ factor: Double, times a: [Double], to b: inout [Double], on pool: WorkspacePool
) {
    precondition(a.count == b.count, "\(a.count) and \(b.count) dimensions")
    let count = (a.count + blockLength - 1) / blockLength
    b.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { return }
        nonisolated(unsafe) let target = base  // each block writes its own part
        @Sendable func part(_ block: Int) {
            let range = block * blockLength..<min(a.count, (block + 1) * blockLength)
            a.withUnsafeBufferPointer { a in
                for i in range { target[i] += factor * a[i] }
            }
        }
        if count > 2 {
            pool.inParallel(count) { block, _ in part(block) }
        } else {
            for block in 0..<count { part(block) }
        }
    }
}
