/// Small images, a different one for every seed.
enum SmallPNG {
    /// A PNG of 8 x 8 pixels, stored without compression.
    static func bytes(_ seed: Int) -> [UInt8] {
        func crc(_ bytes: [UInt8]) -> UInt32 {
            ~bytes.reduce(~UInt32(0)) { crc, byte in
                (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in
                    value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0)
                }
            }
        }
        func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
        func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
            let body = Array(name.utf8) + data
            return big(UInt32(data.count)) + body + big(crc(body))
        }
        var random = UInt32(truncatingIfNeeded: seed) &* 2_654_435_761 | 1
        var raw: [UInt8] = []
        for _ in 0..<8 {
            raw.append(0)
            for _ in 0..<24 {
                random = random &* 1_664_525 &+ 1_013_904_223
                raw.append(UInt8(random >> 24))
            }
        }
        let (a, b) = raw.reduce((UInt32(1), UInt32(0))) { sums, byte in
            let a = (sums.0 + UInt32(byte)) % 65521
            return (a, (sums.1 + a) % 65521)
        }
        let count = UInt16(raw.count)
        let zlib: [UInt8] =
            [
                0x78, 1, 1, UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255),
                UInt8(~count >> 8),
            ]
            + raw + big(b << 16 | a)
        return [0x89] + Array("PNG\r\n\u{1A}\n".utf8)
            + chunk("IHDR", big(8) + big(8) + [8, 2, 0, 0, 0]) + chunk("IDAT", zlib)
            + chunk("IEND", [])
    }
}
