package import Files

/// The number formats in which weights are stored.
package enum StoredType: String, Sendable {
    case float32 = "F32"
    case float16 = "F16"
    case bfloat16 = "BF16"

    package var byteWidth: Int { self == .float32 ? 4 : 2 }
}

/// A tensor in a mapped file, read only when its numbers are needed.
package struct StoredTensor: Sendable {
    package let type: StoredType
    package let shape: [Int]
    /// The stride of each dimension, in numbers; nil in row-major order.
    private let strides: [Int]?
    private let file: MappedFile
    private let byteRange: Range<Int>

    /// Creates a tensor.
    ///
    /// - Parameters:
    ///   - type: The number format in the file.
    ///   - shape: The size of each dimension.
    ///   - strides: The stride of each dimension, in numbers, none negative; row-major order if
    ///     nil.
    ///   - file: The mapped file.
    ///   - byteRange: The bytes from the first number to the last.
    package init(
        type: StoredType, shape: [Int], strides: [Int]? = nil, file: MappedFile,
        byteRange: Range<Int>
    ) {
        var rowMajor = [Int](repeating: 1, count: shape.count)
        for i in shape.indices.dropLast().reversed() {
            rowMajor[i] = rowMajor[i + 1] * shape[i + 1]
        }
        let isRowMajor = zip(shape, zip(strides ?? rowMajor, rowMajor)).allSatisfy {
            $0 == 1 || $1.0 == $1.1
        }
        let span = 1 + zip(shape, strides ?? rowMajor).reduce(0) { $0 + ($1.0 - 1) * $1.1 }
        precondition(
            byteRange.lowerBound >= 0 && byteRange.upperBound <= file.count
                && byteRange.count == (shape.contains(0) ? 0 : span * type.byteWidth),
            """
            expected \(shape.contains(0) ? 0 : span * type.byteWidth) bytes for \(type) \(shape), \
            within a file of \(file.count), found the range \(byteRange)
            """)
        self.type = type
        self.shape = shape
        self.strides = isRowMajor ? nil : strides
        self.file = file
        self.byteRange = byteRange
    }

    package var count: Int { shape.reduce(1, *) }

    /// True if the numbers in the file are in row-major order.
    package var isRowMajor: Bool { strides == nil }

    /// Up to 256 bytes, spread evenly over the tensor, by which a fingerprint tells models apart.
    ///
    /// Reading the sample is much faster than reading the tensor.
    package var sample: [UInt8] {
        let (places, width) = (16, 16)
        guard byteRange.count > places * width else { return file.bytes(byteRange) }
        return (0..<places).flatMap { place in
            let start = byteRange.lowerBound + (byteRange.count - width) * place / (places - 1)
            return file.bytes(start..<(start + width))
        }
    }

    /// Returns the numbers as float32: mapped if the file has aligned float32, else a copy.
    package func load() -> Tensor {
        let start = file.address(of: byteRange)
        if let strides { return gathered(strides) }
        if type == .float32 && Int(bitPattern: start) % MemoryLayout<Float>.alignment == 0 {
            return Tensor(
                shape: shape, elements: start.assumingMemoryBound(to: Float.self), owner: file)
        }
        return Tensor(shape: shape) { target in
            convert(start, count: count, to: target)
        }
    }

    /// Reads the rows of a matrix with the given indices as float32, without reading the others.
    package func loadRows(_ indices: [Int], into target: Matrix, fromRow first: Int = 0) {
        let width = shape[1]
        precondition(
            target.columns == width && first + indices.count <= target.rows,
            """
            expected a target of \(width) columns and at least \(first + indices.count) rows, \
            found \(target.columns) columns and \(target.rows) rows
            """)
        let table = file.address(of: byteRange)
        for (i, index) in indices.enumerated() {
            precondition(
                index >= 0 && index < shape[0],
                "expected a row in 0..<\(shape[0]), found \(index)")
            guard let strides else {
                let start = table + index * width * type.byteWidth
                convert(start, count: width, to: target.row(first + i))
                continue
            }
            for column in 0..<width {
                let start = table + (index * strides[0] + column * strides[1]) * type.byteWidth
                convert(start, count: 1, to: target.row(first + i) + column)
            }
        }
    }

    /// The address of a row of a row-major matrix of bfloat16; nil for other formats, and at odd
    /// addresses.
    func bfloat16(fromRow row: Int) -> UnsafePointer<UInt16>? {
        let start = file.address(of: byteRange) + row * shape[1] * type.byteWidth
        guard type == .bfloat16, isRowMajor, Int(bitPattern: start) % 2 == 0 else { return nil }
        return start.assumingMemoryBound(to: UInt16.self)
    }

    /// Converts consecutive rows of a row-major matrix to float32.
    func convert(rows: Range<Int>, to target: UnsafeMutablePointer<Float>) {
        let width = shape[1]
        precondition(
            isRowMajor && rows.lowerBound >= 0 && rows.upperBound <= shape[0],
            "expected rows within 0..<\(shape[0]) of a row-major matrix, found \(rows)")
        convert(
            file.address(of: byteRange) + rows.lowerBound * width * type.byteWidth,
            count: rows.count * width, to: target)
    }

    /// Releases the memory of rows of a row-major matrix; later use reads them from the disk again.
    func forgetPages(ofRows rows: Range<Int>) {
        let stride = shape[1] * type.byteWidth
        file.forget(
            UnsafeRawBufferPointer(
                start: file.address(of: byteRange) + rows.lowerBound * stride,
                count: rows.count * stride))
    }

    /// Calls `body` with the stored bytes, which must be in row-major order.
    func withBytes<Failure>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(
            isRowMajor,
            "expected row-major order, found the strides \(strides ?? []) of the shape \(shape)")
        try body(
            UnsafeRawBufferPointer(start: file.address(of: byteRange), count: byteRange.count))
    }

    /// Returns a row-major float32 copy of a tensor with other strides.
    private func gathered(_ strides: [Int]) -> Tensor {
        let span = byteRange.count / type.byteWidth
        let stored = Tensor(shape: [span]) { target in
            convert(file.address(of: byteRange), count: span, to: target)
        }
        let result = Tensor(shape: shape) { target in
            var place = [Int](repeating: 0, count: shape.count)
            var source = 0
            for index in 0..<count {
                target[index] = stored.elements[source]
                var dimension = shape.count - 1
                while dimension >= 0 {
                    place[dimension] += 1
                    source += strides[dimension]
                    if place[dimension] < shape[dimension] { break }
                    source -= shape[dimension] * strides[dimension]
                    place[dimension] = 0
                    dimension -= 1
                }
            }
        }
        return withExtendedLifetime(stored) { result }
    }

    private func convert(
        _ source: UnsafeRawPointer, count: Int, to target: UnsafeMutablePointer<Float>
    ) {
        let kernels = Kernels.current
        // 16-bit numbers at odd addresses are copied first.
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
