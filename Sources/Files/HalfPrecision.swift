/// Converts float32 numbers to float16 (IEEE 754 binary16), rounded to nearest, ties to even.
///
/// Numbers of 65,520 and more become infinity. The code has no branches in its loop, so that the
/// compiler vectorises it also for CPUs without instructions for float16.
///
/// - Parameter numbers: The numbers.
/// - Returns: The bits of the float16 numbers.
package func halfPrecision(of numbers: ArraySlice<Float>) -> [UInt16] {
    numbers.map { number in
        let bits = number.bitPattern
        let magnitude = bits & 0x7FFF_FFFF
        // Below 2^-14 float16 has steps of 2^-24, the precision of float32 at 0.5: the addition
        // rounds.
        let small = (Float(bitPattern: magnitude) + 0.5).bitPattern &- 0x3F00_0000
        // The exponent is reduced by 112, and half a step, or a bit less for even numbers, is
        // added.
        let normal = (magnitude &- 0x3800_0000 &+ 0xFFF &+ (magnitude >> 13 & 1)) >> 13
        let finite = magnitude < 0x3880_0000 ? small : normal
        let large: UInt32 = magnitude > 0x7F80_0000 ? 0x7E00 : 0x7C00
        let result = magnitude >= 0x477F_F000 ? large : finite
        return UInt16(truncatingIfNeeded: result | (bits >> 16 & 0x8000))
    }
}

/// Converts a float16 number to float32, exactly.
private func single(_ bits: UInt16) -> Float {
    let magnitude = UInt32(bits & 0x7FFF)
    let scaled = (Float(bitPattern: magnitude << 13) * 0x1p112).bitPattern
    let value = magnitude >= 0x7C00 ? magnitude << 13 | 0x7F80_0000 : scaled
    return Float(bitPattern: value | UInt32(bits & 0x8000) << 16)
}

/// Converts little-endian float16 numbers to float32, exactly.
package func floats(ofHalfPrecision bytes: [UInt8]) -> [Float] {
    floats(ofHalfPrecision: bytes[...])
}

/// Converts little-endian float16 numbers to float32, exactly.
package func floats(ofHalfPrecision bytes: ArraySlice<UInt8>) -> [Float] {
    bytes.withUnsafeBytes { buffer in
        (0..<(bytes.count / 2)).map { index in
            let bits = buffer.loadUnaligned(fromByteOffset: 2 * index, as: UInt16.self)
            return single(UInt16(littleEndian: bits))
        }
    }
}

/// Returns the index of the first number that is NaN or infinite; nil if there is none.
package func firstNonFinite(_ numbers: ArraySlice<Float>) -> Int? {
    // The maximum of the bits without sign is computed for many numbers at once.
    let largest = numbers.reduce(0 as UInt32) { max($0, $1.bitPattern & 0x7FFF_FFFF) }
    return largest < 0x7F80_0000 ? nil : numbers.firstIndex { !$0.isFinite }
}
