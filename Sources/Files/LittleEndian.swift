/// Returns the bytes of float32 numbers in little-endian order.
package func littleEndianBytes(of numbers: [Float]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(4 * numbers.count)
    for number in numbers {
        withUnsafeBytes(of: number.bitPattern.littleEndian) { bytes += $0 }
    }
    return bytes
}

/// Decodes little-endian bytes as float32 numbers.
package func floats(ofLittleEndian bytes: [UInt8]) -> [Float] {
    bytes.withUnsafeBytes { buffer in
        (0..<(bytes.count / 4)).map { index in
            let bits = buffer.loadUnaligned(fromByteOffset: 4 * index, as: UInt32.self)
            return Float(bitPattern: UInt32(littleEndian: bits))
        }
    }
}
