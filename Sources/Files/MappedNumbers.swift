#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

extension MappedFile {
    /// Returns the little-endian 32-bit number at an offset; its bytes must lie within the file.
    package func uint32(at offset: Int) -> UInt32 {
        let bits = address(of: offset..<(offset + 4)).loadUnaligned(as: UInt32.self)
        return UInt32(littleEndian: bits)
    }

    /// Returns the little-endian 64-bit number at an offset; its bytes must lie within the file.
    package func uint64(at offset: Int) -> UInt64 {
        let bits = address(of: offset..<(offset + 8)).loadUnaligned(as: UInt64.self)
        return UInt64(littleEndian: bits)
    }

    /// Returns the byte at an offset, which must lie within the file.
    package func byte(at offset: Int) -> UInt8 {
        address(of: offset..<(offset + 1)).loadUnaligned(as: UInt8.self)
    }

    /// Returns the offset of the first byte with a value in a range, which must lie within the
    /// file; nil if there is none.
    package func firstOffset(of byte: UInt8, in range: Range<Int>) -> Int? {
        guard !range.isEmpty else { return nil }
        let start = address(of: range)
        guard let found = memchr(start, Int32(byte), range.count) else { return nil }
        return range.lowerBound + (UnsafeRawPointer(found) - start)
    }

    /// Returns true if bytes lie at an offset of the file.
    package func hasBytes(_ bytes: [UInt8], at offset: Int) -> Bool {
        guard offset >= 0, offset <= count - bytes.count, !bytes.isEmpty else {
            return bytes.isEmpty
        }
        return memcmp(address(of: offset..<(offset + bytes.count)), bytes, bytes.count) == 0
    }

    /// Returns the checksum of a range, which must lie within the file.
    package func fastChecksum(of range: Range<Int>) -> UInt64 {
        checksumOfBytes(UnsafeRawBufferPointer(start: address(of: range), count: range.count))
    }
}

/// Returns a checksum of bytes.
///
/// It detects damage in a fraction of the time of a SHA-256, and no forgery.
package func fastChecksum(of bytes: ArraySlice<UInt8>) -> UInt64 {
    bytes.withUnsafeBytes(checksumOfBytes)
}

private func checksumOfBytes(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
    func mix(_ sum: UInt64, _ number: UInt64) -> UInt64 {
        let mixed = (sum ^ number) &* 0x9E37_79B9_7F4A_7C15
        return mixed ^ mixed >> 29
    }
    func word(_ offset: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
    }
    // Four sums at a time, because each waits for its last multiplication.
    var (a, b, c, d): (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4)
    var offset = 0
    while offset + 32 <= bytes.count {
        a = mix(a, word(offset))
        b = mix(b, word(offset + 8))
        c = mix(c, word(offset + 16))
        d = mix(d, word(offset + 24))
        offset += 32
    }
    var result = [a, b, c, d].reduce(UInt64(bytes.count), mix)
    for byte in bytes[offset...] { result = mix(result, UInt64(byte)) }
    return result
}

extension [UInt8] {
    /// Appends the bytes of a number in little-endian order.
    package mutating func append(littleEndian number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends the bytes of 64-bit numbers in little-endian order.
    package mutating func append(littleEndian numbers: [UInt64]) {
        #if _endian(little)
            numbers.withUnsafeBytes { append(contentsOf: $0) }
        #else
            for number in numbers { append(littleEndian: number) }
        #endif
    }
}
