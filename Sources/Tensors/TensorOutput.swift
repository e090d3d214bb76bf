package import Files

extension OutputFile {
    /// Appends the numbers of a tensor in a number format, rounded to nearest, ties to even.
    ///
    /// - Parameters:
    ///   - tensor: The tensor to write.
    ///   - type: The number format in the file.
    /// - Returns: The first number that is too large for the format, at which writing stops; nil if
    ///   there is none.
    /// - Throws: `FileError` if the file cannot be written.
    package func write(_ tensor: Tensor, as type: StoredType) throws(FileError) -> Float? {
        for start in stride(from: 0, to: tensor.count, by: 1 << 16) {
            let end = min(start + 1 << 16, tensor.count)
            var encoded: [UInt8] = []
            encoded.reserveCapacity((end - start) * type.byteWidth)
            for index in start..<end {
                let number = tensor.elements[index]
                let bits = type.bits(of: number)
                if type.isInfinite(bits) && number.isFinite { return number }
                for byte in 0..<type.byteWidth {
                    encoded.append(UInt8(truncatingIfNeeded: bits >> (8 * UInt32(byte))))
                }
            }
            try write(encoded)
        }
        return withExtendedLifetime(tensor) { nil }
    }

    /// Appends the bytes of a stored tensor in row-major order, unchanged.
    package func writeBytes(of tensor: StoredTensor) throws(FileError) {
        try tensor.withBytes { bytes throws(FileError) in try write(contentsOf: bytes) }
    }
}

extension StoredType {
    /// Returns the bits of a number in this format, rounded to nearest, ties to even.
    package func bits(of number: Float) -> UInt32 {
        let bits = number.bitPattern
        switch self {
        case .float32: return bits
        case .bfloat16:
            guard !number.isNaN else { return bits >> 16 | 0x40 }
            return (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
        case .float16:
            let sign = bits >> 16 & 0x8000
            guard !number.isNaN else { return sign | 0x7E00 }
            // Scaled so that the smallest subnormal number is 1, all subnormal numbers are
            // integers.
            let size = number.magnitude
            if size < 0x1p-14 { return sign | UInt32((size * 0x1p24).rounded(.toNearestOrEven)) }
            guard size < 65520 else { return sign | 0x7C00 }
            let magnitude = size.bitPattern
            let rounded = magnitude + 0xFFF + (magnitude >> 13 & 1)
            return sign | ((rounded >> 13) - (112 << 10))
        }
    }

    fileprivate func isInfinite(_ bits: UInt32) -> Bool {
        switch self {
        case .float32: bits & 0x7FFF_FFFF == 0x7F80_0000
        case .float16: bits & 0x7FFF == 0x7C00
        case .bfloat16: bits & 0x7FFF == 0x7F80
        }
    }
}
