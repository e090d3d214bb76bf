internal import Files

/// The most bytes that a byte of Snappy can stand for: 3 bytes copy at most 64.
private let expansionLimit = 22

/// Decompresses Snappy (the format of blocks, without frames).
///
/// - Parameters:
///   - bytes: The compressed bytes.
///   - size: The number of decompressed bytes, stated elsewhere.
/// - Returns: The decompressed bytes.
/// - Throws: `FileError` if the bytes are damaged or decompress to another number of bytes.
///
/// Source: https://github.com/google/snappy/blob/main/format_description.txt
func decompressSnappy(_ bytes: ArraySlice<UInt8>, size: Int) throws(FileError) -> [UInt8] {
    func damage(_ reason: String) -> FileError { parquetDamage("Snappy data \(reason)") }
    guard size >= 0, size / expansionLimit <= bytes.count else {
        throw damage("of \(bytes.count) bytes cannot expand to \(size) bytes")
    }
    var place = bytes.startIndex
    var (stated, shift): (UInt64, UInt64) = (0, 0)
    while true {
        guard place < bytes.endIndex, shift < 35 else { throw damage("is truncated") }
        stated |= UInt64(bytes[place] & 0x7F) << shift
        shift += 7
        place += 1
        if bytes[place - 1] < 0x80 { break }
    }
    guard stated == UInt64(size) else {
        throw damage("states \(stated) bytes, but its page \(size) bytes")
    }

    var output: [UInt8] = []
    output.reserveCapacity(size)
    /// Reads a little-endian number of 0...4 bytes.
    func number(_ width: Int) throws(FileError) -> Int {
        guard width <= bytes.endIndex - place else { throw damage("is truncated") }
        var number = 0
        for byte in (0..<width).reversed() { number = number << 8 | Int(bytes[place + byte]) }
        place += width
        return number
    }
    while place < bytes.endIndex {
        let tag = Int(bytes[place])
        place += 1
        if tag & 3 == 0 {
            let short = tag >> 2
            let length = short < 60 ? short + 1 : try number(short - 59) + 1
            guard length <= bytes.endIndex - place, length <= size - output.count else {
                throw damage("has a literal beyond its end")
            }
            output.append(contentsOf: bytes[place..<(place + length)])
            place += length
            continue
        }
        let (length, offset): (Int, Int)
        switch tag & 3 {
        case 1: (length, offset) = (tag >> 2 & 7 + 4, (tag >> 5) << 8 | (try number(1)))
        case 2: (length, offset) = (tag >> 2 + 1, try number(2))
        default: (length, offset) = (tag >> 2 + 1, try number(4))
        }
        guard 1...max(1, output.count) ~= offset, !output.isEmpty, length <= size - output.count
        else { throw damage("has a copy beyond its bounds") }
        var source = output.count - offset
        for _ in 0..<length {
            output.append(output[source])
            source += 1
        }
    }
    guard output.count == size else { throw damage("has \(output.count) of \(size) bytes") }
    return output
}
