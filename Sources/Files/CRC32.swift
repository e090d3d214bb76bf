internal import CFiles

/// The CRC-32 of zlib, gzip, PNG and Parquet.
package struct CRC32 {
    /// The checksum of the bytes so far; 0 if there are none.
    package private(set) var value: UInt32 = 0

    package init() {}

    /// Continues the checksum with further bytes.
    package mutating func update(_ bytes: ArraySlice<UInt8>) {
        value = bytes.withUnsafeBytes { clip_crc32(value, $0.baseAddress, $0.count) }
    }

    /// Continues the checksum with the bytes of float32 numbers in little-endian order.
    package mutating func update(littleEndian numbers: ArraySlice<Float>) {
        #if _endian(little)
            value = numbers.withUnsafeBytes { clip_crc32(value, $0.baseAddress, $0.count) }
        #else
            update(littleEndianBytes(of: numbers)[...])
        #endif
    }

    /// Continues the checksum with a range of a file, which must lie within it.
    package mutating func update(_ file: MappedFile, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        value = clip_crc32(value, file.address(of: range), range.count)
    }
}
