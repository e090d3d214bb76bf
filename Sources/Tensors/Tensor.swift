internal import Files

/// An immutable float32 tensor in row-major order, such as weights.
///
/// The numbers lie in memory that the tensor owns, or in a mapped file, which stays mapped as long
/// as the tensor exists.
///
/// `@unchecked Sendable`: the numbers never change.
package struct Tensor: @unchecked Sendable {
    package let shape: [Int]
    let elements: UnsafePointer<Float>
    private let owner: AnyObject

    package var count: Int { shape.reduce(1, *) }

    init(shape: [Int], elements: UnsafePointer<Float>, owner: AnyObject) {
        self.shape = shape
        self.elements = elements
        self.owner = owner
    }

    /// Creates a tensor in newly allocated memory, every element of which `fill` must write.
    init(shape: [Int], fill: (UnsafeMutablePointer<Float>) -> Void) {
        let block = FloatBlock(capacity: shape.reduce(1, *))
        fill(block.elements)
        self.init(shape: shape, elements: UnsafePointer(block.elements), owner: block)
    }

    package init(_ values: [Float], shape: [Int]) {
        precondition(
            values.count == shape.reduce(1, *),
            "expected \(shape.reduce(1, *)) values for the shape \(shape), found \(values.count)")
        self.init(shape: shape) { elements in
            for (i, value) in values.enumerated() { elements[i] = value }
        }
    }

    package var values: [Float] { Array(UnsafeBufferPointer(start: elements, count: count)) }

    /// Returns the same numbers with another shape, without a copy.
    package func reshaped(_ newShape: [Int]) -> Tensor {
        precondition(
            newShape.reduce(1, *) == count,
            "expected a shape of \(count) numbers, found \(newShape)")
        return Tensor(shape: newShape, elements: elements, owner: owner)
    }

    /// Returns a range of the first dimension, without a copy.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= shape[0],
            "expected rows within 0..<\(shape[0]), found \(range)")
        let stride = count / shape[0]
        return Tensor(
            shape: [range.count] + shape.dropFirst(),
            elements: elements + range.lowerBound * stride, owner: owner)
    }

    /// Returns the transpose of a matrix.
    package func transposed() -> Tensor {
        precondition(shape.count == 2, "expected a matrix, found the shape \(shape)")
        let (rows, columns) = (shape[0], shape[1])
        return Tensor(shape: [columns, rows]) { target in
            for row in 0..<rows {
                for column in 0..<columns {
                    target[column * rows + row] = elements[row * columns + column]
                }
            }
        }
    }

    /// Concatenates tensors along the first dimension.
    package static func stacked(_ parts: [Tensor]) -> Tensor {
        precondition(
            Set(parts.map { $0.shape.dropFirst() }).count == 1,
            "expected shapes that differ only in the first dimension, found \(parts.map(\.shape))")
        let rows = parts.reduce(0) { $0 + $1.shape[0] }
        return Tensor(shape: [rows] + parts[0].shape.dropFirst()) { target in
            var next = target
            for part in parts {
                next.update(from: part.elements, count: part.count)
                next += part.count
            }
        }
    }

    /// Returns `(1 - weight) · self + weight · other`, with every product and the sum rounded to
    /// float32.
    ///
    /// At the weights 0 and 1, the numbers are those of `self` and `other` to the bit.
    package func interpolated(to other: Tensor, weight: Double) -> Tensor {
        precondition(
            count == other.count,
            "expected a shape of \(count) numbers, found \(other.shape)")
        if weight == 0 { return self }
        if weight == 1 { return other.reshaped(shape) }
        let (own, others) = (Float(1 - weight), Float(weight))
        return withExtendedLifetime((self, other)) {
            Tensor(shape: shape) { target in
                for i in 0..<count { target[i] = own * elements[i] + others * other.elements[i] }
            }
        }
    }

    /// Returns a matrix with each row scaled by its factor.
    package func scaled(rowsBy factors: [Float]) -> Tensor {
        precondition(
            shape.count == 2 && factors.count == shape[0],
            "expected a matrix and a factor for each row, found \(shape) and \(factors.count)")
        let columns = shape[1]
        return Tensor(shape: shape) { target in
            for i in 0..<count { target[i] = elements[i] * factors[i / columns] }
        }
    }

    /// Returns a matrix with the columns of a patch in the order [channel, position] instead of
    /// [position, channel], for three channels.
    package func channelsFirst(ofArea area: Int) -> Tensor {
        precondition(
            shape.count == 2 && shape[1] == 3 * area,
            "expected rows of \(3 * area) numbers, found \(shape)")
        return Tensor(shape: shape) { target in
            for row in 0..<shape[0] {
                let base = row * 3 * area
                for position in 0..<area {
                    for channel in 0..<3 {
                        target[base + channel * area + position] =
                            elements[base + position * 3 + channel]
                    }
                }
            }
        }
    }

    /// Returns a convolution's weights [out, in, height, width] as `FeatureMap` needs them:
    /// [out, height * width * in], each output scaled by `factors[out]`.
    package func convolutionRows(scaledBy factors: [Float]) -> Tensor {
        precondition(
            shape.count == 4 && factors.count == shape[0],
            """
            expected the shape [out, in, height, width] and a factor for each output, found \
            \(shape) and \(factors.count) factors
            """)
        let (outputs, inputs, area) = (shape[0], shape[1], shape[2] * shape[3])
        return Tensor(shape: [outputs, area * inputs]) { target in
            for output in 0..<outputs {
                let base = output * inputs * area
                for input in 0..<inputs {
                    for position in 0..<area {
                        target[base + position * inputs + input] =
                            elements[base + input * area + position] * factors[output]
                    }
                }
            }
        }
    }

    /// Releases the memory of numbers in a mapped file; later use reads them from the disk again.
    func forgetPages() {
        (owner as? MappedFile)?.forget(
            UnsafeRawBufferPointer(start: elements, count: count * MemoryLayout<Float>.stride))
    }

    /// The row-major index of the first NaN or infinity; nil if there is none.
    package var firstNonFinite: Int? {
        UnsafeBufferPointer(start: elements, count: count).firstIndex { !$0.isFinite }
    }
}

/// Memory for floats, aligned to a cache line and freed with the object.
///
/// `@unchecked Sendable`: the code that uses a block decides which thread may write to it.
final class FloatBlock: @unchecked Sendable {
    let elements: UnsafeMutablePointer<Float>
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        let byteCount = max(64, capacity * MemoryLayout<Float>.stride)
        let start = allocateAligned(byteCount: byteCount)
        elements = start.assumingMemoryBound(to: Float.self)
    }

    deinit { UnsafeMutableRawPointer(elements).deallocate() }
}
