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
    private let mostWeightsInParts: Int
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
    ///   - mostWeightsInParts: The largest number of weights for which the gradient is computed in
    ///     up to 32 partial sums, in parallel. For more, whose partial sums would take too much
    ///     memory, one strip of rows is processed after the other, each on all threads.
    ///   - pool: The pool whose threads are used.
    package init(
        _ x: [Float], minus means: [Float], labels: [Int], classCount: Int,
        mostWeightsInParts: Int = 1 << 20, on pool: WorkspacePool
    ) {
        let (count, dimension) = (labels.count, means.count)
        precondition(x.count == count * dimension, "\(x.count) values for \(count) x \(dimension)")
        precondition(
            labels.allSatisfy { $0 >= 0 && $0 < classCount }, "expected labels in 0..<\(classCount)"
        )
        (self.count, self.dimension, self.classCount) = (count, dimension, classCount)
        self.mostWeightsInParts = mostWeightsInParts
        let length = Self.stripLength
        strips = pool.map((count + length - 1) / length) { strip in
            let rows = strip * length..<min(count, (strip + 1) * length)
            let tensor = Tensor(shape: [rows.count, dimension]) { target in
                x.withUnsafeBufferPointer { x in
                    means.withUnsafeBufferPointer { means in
                        for row in rows {
                            let place = target + (row - rows.lowerBound) * dimension
                            for i in 0..<dimension { place[i] = x[row * dimension + i] - means[i] }
                        }
                    }
                }
            }
            return Strip(
                rows: ProductWeights(packing: tensor),
                columns: ProductWeights(packing: tensor, isTransposed: true),
                labels: labels[rows])
        }
    }

    /// The cross-entropy summed over all rows, in nats, and its gradient.
    package struct Value: Sendable {
        package let loss: Double
        /// The gradient for the weights, [classes, dimension], row-major, and then for the bias of
        /// each class.
        package var gradient: [Double]
    }

    /// The loss and the gradient, summed over some of the strips.
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
        precondition(
            biases.count == classCount, "\(biases.count) biases for \(classCount) classes")
        var parts: [Part] = []
        if weights.count > mostWeightsInParts {
            pool.withWorkspace { workspace in
                let w = matrix(weights, in: workspace)
                parts = [part(strips[...], w, biases, workspace)]
            }
        } else {
            // About two strips or more each: adding a partial sum takes a tenth of the time of a
            // strip.
            let partCount = min((strips.count + 1) / 2, Self.mostParts)
            let found = Mutex([Part](repeating: Part(biases: []), count: partCount))
            pool.withOneThread { owner in
                let w = matrix(weights, in: owner)
                pool.inParallel(partCount) { index, workspace in
                    let lower = strips.count * index / partCount
                    let upper = strips.count * (index + 1) / partCount
                    let part = part(strips[lower..<upper], w, biases, workspace)
                    found.withLock { $0[index] = part }
                }
            }
            parts = found.withLock(\.self)
        }
        var gradient = Self.sum(parts.map(\.weights), spare: classCount, on: pool)
        for place in 0..<classCount {
            gradient.append(parts.reduce(0) { $0 + $1.biases[place] })
        }
        return Value(loss: parts.reduce(0) { $0 + $1.loss }, gradient: gradient)
    }

    private func matrix(_ weights: [Float], in workspace: Workspace) -> Matrix {
        let matrix = workspace.matrix(rows: classCount, columns: dimension)
        matrix.fill(weights)
        return matrix
    }

    /// Returns the loss and the gradient, summed over some strips.
    ///
    /// - Parameters:
    ///   - strips: The strips, at least one.
    ///   - w: The weights, in any workspace; the products use the threads of that workspace.
    ///   - biases: The bias of each class.
    ///   - workspace: The workspace for the other matrices.
    /// - Returns: The sum.
    private func part(
        _ strips: ArraySlice<Strip>, _ w: Matrix, _ biases: [Float], _ workspace: Workspace
    ) -> Part {
        var part = Part(biases: [Double](repeating: 0, count: classCount))
        let gradient = workspace.matrix(rows: classCount, columns: dimension)
        for (place, strip) in strips.enumerated() {
            let logits = workspace.matrix(rows: classCount, columns: strip.labels.count)
            strip.rows.apply(w, into: logits)
            part.loss += replace(logits, strip.labels, biases, &part.biases)
            if place == 0 {
                strip.columns.apply(logits, into: gradient)
            } else {
                strip.columns.apply(logits, addedTo: gradient)
            }
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
        let columns = matrix.columns
        let blockCount = (columns + Self.blockLength - 1) / Self.blockLength
        var losses = [Double](repeating: 0, count: blockCount)
        losses.withUnsafeMutableBufferPointer { losses in
            sums.withUnsafeMutableBufferPointer { sums in
                // Each part of the loops writes its own elements.
                nonisolated(unsafe) let (losses, sums) = (losses, sums)
                matrix.workspace.team.split(blockCount) { _, blocks in
                    let rows = FloatBlock(capacity: Self.blockLength * classCount)
                    for block in blocks {
                        losses[block] = replace(matrix, block, labels, biases, rows)
                    }
                }
                matrix.workspace.team.split(classCount, unit: 16) { _, classes in
                    for place in classes { sums[place] += Self.sum(matrix.row(place), columns) }
                }
            }
        }
        return losses.reduce(0, +)
    }

    /// The number of rows whose logits are copied at once: a cache line of each class.
    private static let blockLength = 16

    /// Replaces the logits of a block of rows.
    ///
    /// - Parameters:
    ///   - matrix: W x: [classes, rows].
    ///   - block: The index of the block.
    ///   - labels: The labels of all rows of the matrix.
    ///   - biases: The bias of each class.
    ///   - copy: Memory for the transposed block.
    /// - Returns: The cross-entropy, summed over the block.
    private func replace(
        _ matrix: Matrix, _ block: Int, _ labels: ArraySlice<Int>, _ biases: [Float],
        _ copy: FloatBlock
    ) -> Double {
        let (kernels, classes, stride) = (Kernels.current, classCount, matrix.stride / 4)
        let first = block * Self.blockLength
        let length = min(Self.blockLength, matrix.columns - first)
        let source = matrix.row(0) + first
        transpose(source, classes, length, stride: stride, to: copy.elements, stride: classes)
        var loss = 0.0
        // The logarithm of the product replaces one logarithm for each row. Each factor is at least
        // 10⁻¹⁵, so a product of 16 does not underflow.
        var product = 1.0
        for column in 0..<length {
            let row = copy.elements + column * classes
            let label = labels[labels.startIndex + first + column]
            biases.withUnsafeBufferPointer { biases in
                guard let biases = biases.baseAddress else { return }
                kernels.add(row, biases, classes)
            }
            let distance = Self.largest(row, classes, -.infinity) - row[label]
            kernels.softmax(row, classes, 1)
            let probability = Double(row[label])
            row[label] = 0
            // Near a probability p of 1, float32 keeps few digits of 1 - p, so it is the sum of the
            // other probabilities.
            let others = Self.sum(row, classes)
            if others < 0.5 {
                product *= 1 - others
            } else if probability > 1e-15 {
                product *= probability
            } else {
                // p may underflow: -log p is the distance of its logit from the largest, minus the
                // logarithm of the largest probability.
                loss += Double(distance)
                product *= Double(Self.largest(row, classes, 0))
            }
            row[label] = Float(-others)
        }
        transpose(copy.elements, length, classes, stride: classes, to: source, stride: stride)
        withExtendedLifetime((matrix, copy)) {}
        return loss - log(product)
    }

    /// Returns the largest of some numbers and of `start`; NaN is ignored.
    private static func largest(_ x: UnsafePointer<Float>, _ count: Int, _ start: Float) -> Float {
        var largest = SIMD8(repeating: start)
        var place = 0
        while place + 8 <= count {
            let next = UnsafeRawPointer(x + place).loadUnaligned(as: SIMD8<Float>.self)
            largest.replace(with: next, where: next .> largest)
            place += 8
        }
        var half = largest.lowHalf
        half.replace(with: largest.highHalf, where: largest.highHalf .> half)
        var result = max(max(half[0], half[1]), max(half[2], half[3]))
        while place < count {
            result = x[place] > result ? x[place] : result
            place += 1
        }
        return result
    }

    private static func sum(_ x: UnsafePointer<Float>, _ count: Int) -> Double {
        var sums = SIMD8<Float>()
        var place = 0
        while place + 8 <= count {
            sums += UnsafeRawPointer(x + place).loadUnaligned(as: SIMD8<Float>.self)
            place += 8
        }
        var result = (0..<8).reduce(0.0) { $0 + Double(sums[$1]) }
        while place < count {
            result += Double(x[place])
            place += 1
        }
        return result
    }

    /// Adds vectors of equal length in their order, in Double.
    ///
    /// - Parameters:
    ///   - vectors: The vectors, at least one.
    ///   - spare: The number of elements that can be appended without another allocation.
    ///   - pool: The pool whose threads are used.
    /// - Returns: The sum.
    private static func sum(
        _ vectors: [[Float]], spare: Int, on pool: WorkspacePool
    ) -> [Double] {
        let count = vectors[0].count
        return [Double](unsafeUninitializedCapacity: count + spare) { buffer, initialized in
            initialized = count
            guard let base = buffer.baseAddress else { return }
            nonisolated(unsafe) let target = base  // each block writes its own part
            let length = 4096
            pool.inParallel((count + length - 1) / length) { block, _ in
                let range = block * length..<min(count, (block + 1) * length)
                vectors[0].withUnsafeBufferPointer { vector in
                    for i in range { target[i] = Double(vector[i]) }
                }
                for vector in vectors.dropFirst() {
                    vector.withUnsafeBufferPointer { vector in
                        for i in range { target[i] += Double(vector[i]) }
                    }
                }
            }
        }
    }
}

/// Copies the transpose of a matrix, by tiles of 4 x 4.
///
/// - Parameters:
///   - source: The matrix: [rows, columns].
///   - rows: The number of rows.
///   - columns: The number of columns.
///   - sourceStride: The distance between the rows of the matrix, in elements.
///   - target: The transpose: [columns, rows].
///   - targetStride: The distance between the rows of the transpose, in elements.
func transpose(
    _ source: UnsafePointer<Float>, _ rows: Int, _ columns: Int, stride sourceStride: Int,
    to target: UnsafeMutablePointer<Float>, stride targetStride: Int
) {
    typealias Four = SIMD4<Float>
    for row in stride(from: 0, to: rows, by: 4) {
        var column = 0
        let from = source + row * sourceStride
        while row + 4 <= rows && column + 4 <= columns {
            let place = UnsafeRawPointer(from + column)
            let a = place.loadUnaligned(as: Four.self)
            let b = (place + 4 * sourceStride).loadUnaligned(as: Four.self)
            let c = (place + 8 * sourceStride).loadUnaligned(as: Four.self)
            let d = (place + 12 * sourceStride).loadUnaligned(as: Four.self)
            let to = UnsafeMutableRawPointer(target + column * targetStride + row)
            let step = 4 * targetStride
            to.storeBytes(of: Four(a[0], b[0], c[0], d[0]), as: Four.self)
            (to + step).storeBytes(of: Four(a[1], b[1], c[1], d[1]), as: Four.self)
            (to + 2 * step).storeBytes(of: Four(a[2], b[2], c[2], d[2]), as: Four.self)
            (to + 3 * step).storeBytes(of: Four(a[3], b[3], c[3], d[3]), as: Four.self)
            column += 4
        }
        while column < columns {
            for i in row..<min(rows, row + 4) {
                target[column * targetStride + i] = source[i * sourceStride + column]
            }
            column += 1
        }
    }
}
