internal import Files

/// Float32 numbers that do not change, in row-major order: weights.
///
/// They lie either in memory of their own or in a mapped file, which stays mapped as long as they
/// are used.
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

    /// A tensor of its own memory, filled by `fill`, which must write every element.
    init(shape: [Int], fill: (UnsafeMutablePointer<Float>) -> Void) {
        let block = FloatBlock(capacity: shape.reduce(1, *))
        fill(block.elements)
        self.init(shape: shape, elements: UnsafePointer(block.elements), owner: block)
    }

    package init(_ values: [Float], shape: [Int]) {
        precondition(values.count == shape.reduce(1, *), "\(values.count) values for \(shape)")
        self.init(shape: shape) { elements in
            for (i, value) in values.enumerated() { elements[i] = value }
        }
    }

    package var values: [Float] { Array(UnsafeBufferPointer(start: elements, count: count)) }

    /// The same numbers under another shape of the same count.
    package func reshaped(_ newShape: [Int]) -> Tensor {
        precondition(newShape.reduce(1, *) == count, "\(shape) as \(newShape)")
        return Tensor(shape: newShape, elements: elements, owner: owner)
    }

    /// Rows of the first dimension, without a copy.
    package func rows(_ range: Range<Int>) -> Tensor {
        precondition(range.lowerBound >= 0 && range.upperBound <= shape[0], "\(range) of \(shape)")
        let stride = count / shape[0]
        return Tensor(
            shape: [range.count] + shape.dropFirst(),
            elements: elements + range.lowerBound * stride, owner: owner)
    }

    /// A matrix with its rows as columns.
    package func transposed() -> Tensor {
        precondition(shape.count == 2, "a matrix is transposed, not \(shape)")
        let (rows, columns) = (shape[0], shape[1])
        return Tensor(shape: [columns, rows]) { target in
            for row in 0..<rows {
                for column in 0..<columns {
                    target[column * rows + row] = elements[row * columns + column]
                }
            }
        }
    }

    /// Tensors one below the other.
    package static func stacked(_ parts: [Tensor]) -> Tensor {
        precondition(
            Set(parts.map { $0.shape.dropFirst() }).count == 1, "\(parts.map(\.shape)) stacked")
        let rows = parts.reduce(0) { $0 + $1.shape[0] }
        return Tensor(shape: [rows] + parts[0].shape.dropFirst()) { target in
            var next = target
            for part in parts {
                next.update(from: part.elements, count: part.count)
                next += part.count
            }
        }
    }

    /// A convolution's weights [out, in, height, width], each output scaled by `factors[out]`, and
    /// with the channels last, as the convolution reads its input: [out, height * width * in].
    package func convolutionRows(scaledBy factors: [Float]) -> Tensor {
        precondition(shape.count == 4 && factors.count == shape[0], "\(shape), \(factors.count)")
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

    /// Gives back the memory of what lies in a mapped file, for it will not be read soon.
    func forgetPages() {
        (owner as? MappedFile)?.forget(
            UnsafeRawBufferPointer(start: elements, count: count * MemoryLayout<Float>.stride))
    }

    /// The place of the first NaN or infinity, if there is one.
    package var firstNonFinite: Int? {
        UnsafeBufferPointer(start: elements, count: count).firstIndex { !$0.isFinite }
    }
}

/// Memory for floats, aligned to a cache line, freed with its last user.
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
