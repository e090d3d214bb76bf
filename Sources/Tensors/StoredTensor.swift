/// The number formats in which weights are stored.
package enum StoredType: String, Sendable {
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"

    package var byteWidth: Int { self == .float32 ? 4 : 2 }
}

/// A tensor in a mapped file, not read yet.
package struct StoredTensor: Sendable {
    package let type: StoredType
    package let shape: [Int]
    private let file: MappedFile
    private let byteRange: Range<Int>

    package init(type: StoredType, shape: [Int], file: MappedFile, byteRange: Range<Int>) {
        precondition(
            byteRange.lowerBound >= 0 && byteRange.upperBound <= file.count
                && byteRange.count == shape.reduce(1, *) * type.byteWidth,
            "\(byteRange) of \(file.count) for \(type) \(shape)")
        self.type = type
        self.shape = shape
        self.file = file
        self.byteRange = byteRange
    }

    package var count: Int { shape.reduce(1, *) }

    /// The numbers as float32: the mapped file itself where it holds aligned float32, else a copy.
    package func load() -> Tensor {
        let start = file.address(of: byteRange)
        if type == .float32 && Int(bitPattern: start) % MemoryLayout<Float>.alignment == 0 {
            return Tensor(
                shape: shape, elements: start.assumingMemoryBound(to: Float.self), owner: file)
        }
        return Tensor(shape: shape) { target in
            convert(start, count: count, to: target)
        }
    }

    /// Some rows of a matrix as float32, one after the other: nothing else is read.
    package func loadRows(_ indices: [Int], into target: Matrix, fromRow first: Int = 0) {
        let width = shape[1]
        precondition(target.columns == width && first + indices.count <= target.rows)
        let table = file.address(of: byteRange)
        for (i, index) in indices.enumerated() {
            precondition(index >= 0 && index < shape[0], "row \(index) of \(shape)")
            let start = table + index * width * type.byteWidth
            convert(start, count: width, to: target.row(first + i))
        }
    }

    private func convert(
        _ source: UnsafeRawPointer, count: Int, to target: UnsafeMutablePointer<Float>
    ) {
        let kernels = Kernels.current
        // A copy first where the file leaves 16-bit numbers at odd addresses.
        func widen(_ kernel: (UnsafePointer<UInt16>, Int, UnsafeMutablePointer<Float>) -> Void) {
            if Int(bitPattern: source) % 2 == 0 {
                return kernel(source.assumingMemoryBound(to: UInt16.self), count, target)
            }
            let halves = [UInt16](unsafeUninitializedCapacity: count) { buffer, initialized in
                UnsafeMutableRawBufferPointer(buffer).copyMemory(
                    from: UnsafeRawBufferPointer(start: source, count: 2 * count))
                initialized = count
            }
            halves.withUnsafeBufferPointer { buffer in
                if let base = buffer.baseAddress { kernel(base, count, target) }
            }
        }
        switch type {
        case .float32:
            UnsafeMutableRawPointer(target).copyMemory(from: source, byteCount: count * 4)
        case .float16: widen(kernels.float16_to_float32)
        case .bfloat16: widen(kernels.bfloat16_to_float32)
        }
    }
}
