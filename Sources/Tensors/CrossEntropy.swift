internal import CKernels
internal import Synchronization

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The summed cross-entropy of a linear classifier on labelled rows, and its gradient.
///
/// The rows are packed once, for the logits and for the gradient. The bits of a value do not depend
/// on the number of threads.
package struct CrossEntropy: Sendable {
    package let count: Int
    package let dimension: Int
    package let classCount: Int
    private let strips: [Strip]

    /// Some of the rows, packed as the weights of two products.
    private struct Strip: Sendable {
        /// The rows: [rows, dimension].
        let rows: ProductWeights
        /// The transpose: [dimension, rows].
        let columns: ProductWeights
        let labels: ArraySlice<Int>
    }

    /// The number of rows in a strip; its logits stay in the cache.
    private static let stripLength = 256
    /// The largest number of partial sums of the gradient, which limits their memory.
    private static let mostParts = 32

    /// Packs labelled rows.
    ///
    /// - Parameters:
    ///   - x: [rows, dimension], row-major.
    ///   - means: The vector that is subtracted from every row.
    ///   - labels: The class of each row.
    ///   - classCount: The number of classes.
    ///   - pool: The pool whose threads are used.
    package init(
        _ x: [Float], minus means: [Float], labels: [Int], classCount: Int, on pool: WorkspacePool
    ) {
        let (count, dimension) = (labels.count, means.count)
        precondition(x.count == count * dimension, "\(x.count) values for \(count) x \(dimension)")
        (self.count, self.dimension, self.classCount) = (count, dimension, classCount)
        let length = Self.stripLength
        strips = pool.map((count + length - 1) / length) { strip in
            let rows = strip * length..<min(count, (strip + 1) * length)
            let tensor = Tensor(shape: [rows.count, dimension]) { target in
                for row in rows {
                    let place = target + (row - rows.lowerBound) * dimension
                    for i in 0..<dimension { place[i] = x[row * dimension + i] - means[i] }
                }
            }
            return Strip(
                rows: ProductWeights(packing: tensor),
                columns: ProductWeights(packing: tensor, isTransposed: true),
                labels: labels[rows])
        }
    }

    /// The sum over all rows, and its gradient.
    package struct Value: Sendable {
        package let loss: Double
        /// The gradient for the weights: [classes, dimension], row-major.
        package let weights: [Double]
        /// The gradient for the bias of each class.
        package let biases: [Double]
    }

    /// The sum over a part of the strips.
    private struct Part: Sendable {
        var loss = 0.0
        var weights: [Float] = []
        var biases: [Double]
    }

    /// Returns the cross-entropy of softmax(W x + b), summed over all rows, and its gradient.
    ///
    /// - Parameters:
    ///   - weights: W: [classes, dimension], row-major.
    ///   - biases: b: [classes].
    ///   - pool: The pool whose threads are used.
    /// - Returns: The sum and its gradient; NaN or infinity if logits overflow.
    package func value(weights: [Float], biases: [Float], on pool: WorkspacePool) -> Value {
        let partCount = min(strips.count, Self.mostParts)
        let found = Mutex([Part](repeating: Part(biases: []), count: partCount))
        pool.inParallel(partCount) { index, workspace in
            let lower = strips.count * index / partCount
            let upper = strips.count * (index + 1) / partCount
            let part = part(strips[lower..<upper], weights, biases, workspace)
            found.withLock { $0[index] = part }
        }
        let parts = found.withLock(\.self)
        return Value(
            loss: parts.reduce(0) { $0 + $1.loss },
            weights: Self.sum(parts.map(\.weights), on: pool),
            biases: (0..<classCount).map { place in parts.reduce(0) { $0 + $1.biases[place] } })
    }

    private func part(
        _ strips: ArraySlice<Strip>, _ weights: [Float], _ biases: [Float], _ workspace: Workspace
    ) -> Part {
        var part = Part(biases: [Double](repeating: 0, count: classCount))
        let w = workspace.matrix(rows: classCount, columns: dimension)
        w.fill(weights)
        let gradient = workspace.matrix(rows: classCount, columns: dimension)
        for row in 0..<classCount { gradient.row(row).update(repeating: 0, count: dimension) }
        for strip in strips {
            let logits = strip.rows.apply(w)  // [classes, rows]
            part.loss += replace(logits, strip.labels, biases, &part.biases)
            strip.columns.apply(logits, addedTo: gradient)
        }
        part.weights = gradient.values
        return part
    }

    /// Replaces W x, [classes, rows], by the gradient for the logits: the probabilities minus 1 at
    /// the labels.
    ///
    /// Also adds the gradient for the biases to `sums`.
    ///
    /// - Returns: The cross-entropy, summed over the rows.
    private func replace(
        _ matrix: Matrix, _ labels: ArraySlice<Int>, _ biases: [Float], _ sums: inout [Double]
    ) -> Double {
        let kernels = Kernels.current
        let (classes, stride) = (classCount, matrix.stride / 4)
        let values = matrix.row(0)
        let block = FloatBlock(capacity: classes)
        let row = block.elements
        defer { withExtendedLifetime((block, matrix)) {} }
        var loss = 0.0
        // A product of largest probabilities, each 1/classes or more: few logarithms are needed.
        var (product, factors) = (1.0, 0)
        for (column, label) in labels.enumerated() {
            var largest = -Float.infinity
            for place in 0..<classes {
                let logit = values[place * stride + column] + biases[place]
                row[place] = logit
                largest = logit > largest ? logit : largest
            }
            loss += Double(largest) - Double(row[label])
            kernels.softmax(row, classes, 1)
            var likeliest: Float = 0
            for place in 0..<classes {
                let probability = row[place]
                likeliest = probability > likeliest ? probability : likeliest
                values[place * stride + column] = probability
                sums[place] += Double(probability)
            }
            values[label * stride + column] -= 1
            sums[label] -= 1
            product *= Double(likeliest)
            factors += 1
            if factors == 16 {
                loss -= log(product)
                (product, factors) = (1, 0)
            }
        }
        return loss - log(product)
    }

    /// Adds vectors of equal length in their order, in Double.
    private static func sum(_ vectors: [[Float]], on pool: WorkspacePool) -> [Double] {
        let count = vectors[0].count
        return [Double](unsafeUninitializedCapacity: count) { buffer, initialized in
            initialized = count
            guard let base = buffer.baseAddress else { return }
            nonisolated(unsafe) let target = base  // each block writes its own part
            let length = 4096
            pool.inParallel((count + length - 1) / length) { block, _ in
                let range = block * length..<min(count, (block + 1) * length)
                for i in range { target[i] = 0 }
                for vector in vectors {
                    vector.withUnsafeBufferPointer { vector in
                        for i in range { target[i] += Double(vector[i]) }
                    }
                }
            }
        }
    }
}

/// Returns XᵀX of every `step`th row of a matrix from which a vector is subtracted.
///
/// - Parameters:
///   - x: [rows, dimension], row-major.
///   - means: The vector that is subtracted from every row.
///   - step: The distance between the rows that are used.
///   - pool: The pool whose threads are used.
/// - Returns: [dimension, dimension].
package func secondMoments(
    of x: [Float], minus means: [Float], every step: Int, on pool: WorkspacePool
) -> [Float] {
    let dimension = means.count
    let rows = Array(stride(from: 0, to: x.count / dimension, by: step))
    let selected = Tensor(shape: [rows.count, dimension]) { target in
        for (place, row) in rows.enumerated() {
            for i in 0..<dimension {
                target[place * dimension + i] = x[row * dimension + i] - means[i]
            }
        }
    }
    let weights = ProductWeights(packing: selected, isTransposed: true)
    return pool.withWorkspace { workspace in
        let matrix = workspace.matrix(rows: dimension, columns: rows.count)
        workspace.team.split(dimension, unit: 16) { _, range in
            for first in stride(from: range.lowerBound, to: range.upperBound, by: 16) {
                // 16 columns are a cache line of each row.
                for place in rows.indices {
                    for i in first..<min(first + 16, range.upperBound) {
                        matrix.row(i)[place] = selected.elements[place * dimension + i]
                    }
                }
            }
        }
        return weights.apply(matrix).values
    }
}
