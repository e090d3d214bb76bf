internal import Files

/// Decodes numbers of `bitWidth` bits in runs and packed groups (RLE).
///
/// - Parameters:
///   - bytes: The runs, without a length before them.
///   - bitWidth: The number of bits of each number, 0...32.
///   - count: The number of numbers; the caller bounds it.
/// - Returns: The numbers.
/// - Throws: `FileError` if there are fewer numbers.
///
/// Source: https://parquet.apache.org/docs/file-format/data-pages/encodings/
func parquetRuns(
    _ bytes: ArraySlice<UInt8>, bitWidth: Int, count: Int
) throws(FileError) -> [UInt32] {
    guard 0...32 ~= bitWidth else {
        throw parquetDamage("expected numbers of 0...32 bits in a page, found \(bitWidth)")
    }
    var numbers: [UInt32] = []
    numbers.reserveCapacity(count)
    var place = bytes.startIndex
    func truncated() -> FileError {
        parquetDamage("expected \(count) levels or indices in a page, found \(numbers.count)")
    }
    while numbers.count < count {
        var header: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            guard place < bytes.endIndex, shift < 35 else { throw truncated() }
            header |= UInt64(bytes[place] & 0x7F) << shift
            shift += 7
            place += 1
            if bytes[place - 1] < 0x80 { break }
        }
        let missing = count - numbers.count
        if header & 1 == 0 {
            let width = (bitWidth + 7) / 8
            guard header > 0, bytes.endIndex - place >= width else { throw truncated() }
            var value: UInt32 = 0
            for byte in (0..<width).reversed() { value = value << 8 | UInt32(bytes[place + byte]) }
            guard bitWidth == 32 || value < UInt32(1) << UInt32(bitWidth) else {
                throw parquetDamage("a number in a page has more than \(bitWidth) bits")
            }
            place += width
            numbers.append(contentsOf: repeatElement(value, count: min(missing, Int(header >> 1))))
            continue
        }
        // Groups of eight numbers; those beyond the last number may be missing.
        let packed = min(missing, Int(header >> 1) * 8)
        let size = min(Int(header >> 1) * bitWidth, bytes.endIndex - place)
        guard packed > 0, size * 8 >= packed * bitWidth else { throw truncated() }
        var (bits, bitCount): (UInt64, Int) = (0, 0)
        let mask = UInt64(1) << UInt64(bitWidth) - 1
        var next = place
        for _ in 0..<packed {
            while bitCount < bitWidth {
                bits |= UInt64(bytes[next]) << UInt64(bitCount)
                next += 1
                bitCount += 8
            }
            numbers.append(UInt32(truncatingIfNeeded: bits & mask))
            bits >>= UInt64(bitWidth)
            bitCount -= bitWidth
        }
        place += size
    }
    return numbers
}
