/// Returns the bytes of float32 numbers in big-endian order, also called network order.
package func bigEndianBytes(of numbers: ArraySlice<Float>) -> [UInt8] {
    numbers.map { $0.bitPattern.bigEndian }.withUnsafeBytes { Array($0) }
}

/// Returns the bytes of numbers in big-endian order, also called network order.
package func bigEndianBytes(of numbers: [UInt16]) -> [UInt8] {
    numbers.map { $0.bigEndian }.withUnsafeBytes { Array($0) }
}

extension [UInt8] {
    /// Appends the bytes of a number in big-endian order.
    package mutating func append(bigEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.bigEndian) { append(contentsOf: $0) }
    }
}
