/// Returns the bytes of float32 numbers in little-endian order.
package func littleEndianBytes(of numbers: [Float]) -> [UInt8] {
    littleEndianBytes(of: numbers[...])
}

/// Returns the bytes of float32 numbers in little-endian order.
package func littleEndianBytes(of numbers: ArraySlice<Float>) -> [UInt8] {
    #if _endian(little)
        numbers.withUnsafeBytes { Array($0) }
    #else
        numbers.map { $0.bitPattern.littleEndian }.withUnsafeBytes { Array($0) }
    #endif
}

/// Returns the bytes of numbers in little-endian order.
package func littleEndianBytes(of numbers: [UInt16]) -> [UInt8] {
    numbers.map { $0.littleEndian }.withUnsafeBytes { Array($0) }
}

/// Decodes little-endian bytes as float32 numbers.
package func floats(ofLittleEndian bytes: [UInt8]) -> [Float] { floats(ofLittleEndian: bytes[...]) }

/// Decodes little-endian bytes as float32 numbers.
package func floats(ofLittleEndian bytes: ArraySlice<UInt8>) -> [Float] {
    let count = bytes.count / 4
    return [Float](unsafeUninitializedCapacity: count) { numbers, initialized in
        bytes.withUnsafeBytes { buffer in
            UnsafeMutableRawBufferPointer(numbers)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<(4 * count)]))
        }
        convertFromLittleEndian(numbers, count)
        initialized = count
    }
}

/// Converts the first `count` numbers of a buffer from little-endian order to that of the machine.
func convertFromLittleEndian(_ numbers: UnsafeMutableBufferPointer<Float>, _ count: Int) {
    #if !_endian(little)
        for index in 0..<count {
            let bits = UInt32(littleEndian: numbers[index].bitPattern)
            numbers[index] = Float(bitPattern: bits)
        }
    #endif
}

/// Decodes a little-endian number at an offset, which must lie within the bytes.
package func number<Number: FixedWidthInteger>(
    _ type: Number.Type, ofLittleEndian bytes: ArraySlice<UInt8>, at offset: Int
) -> Number {
    bytes.withUnsafeBytes { buffer in
        Number(littleEndian: buffer.loadUnaligned(fromByteOffset: offset, as: Number.self))
    }
}

extension GrowingFile {
    /// Appends float32 numbers in little-endian order, which are written at once, without a copy.
    package func append(littleEndian numbers: ArraySlice<Float>) throws(FileError) {
        #if _endian(little)
            try numbers.withUnsafeBufferPointer { (buffer) throws(FileError) in
                try append(contentsOf: UnsafeRawBufferPointer(buffer))
            }
        #else
            try append(littleEndianBytes(of: numbers))
        #endif
    }
}
