/// Image files built by code, so that each byte can be chosen.
enum TestImages {
    static func big(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
    static func little(_ value: Int) -> [UInt8] { big(value).reversed() }

    static func crc(_ bytes: [UInt8]) -> Int {
        Int(
            ~bytes.reduce(~UInt32(0)) { crc, byte in
                (0..<8).reduce(crc ^ UInt32(byte)) { value, _ in
                    value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0)
                }
            })
    }

    /// A zlib stream without compression.
    static func stored(_ bytes: [UInt8]) -> [UInt8] {
        var (a, b) = (1, 0)
        for byte in bytes {
            a = (a + Int(byte)) % 65521
            b = (b + a) % 65521
        }
        var result: [UInt8] = [0x78, 0x01]
        var rest = bytes[...]
        repeat {
            let part = rest.prefix(65535)
            rest = rest.dropFirst(part.count)
            let size = [UInt8(part.count & 255), UInt8(part.count >> 8)]
            result += [rest.isEmpty ? 1 : 0] + size + size.map(~) + part
        } while !rest.isEmpty
        return result + big(b << 16 | a)
    }

    // MARK: PNG

    static func chunk(_ name: String, _ data: [UInt8], isDamaged: Bool = false) -> [UInt8] {
        let body = Array(name.utf8) + data
        return big(data.count) + body + big(crc(body) ^ (isDamaged ? 1 : 0))
    }

    /// A PNG file with chosen header fields and chunks.
    ///
    /// `colours` is 0 for grey, 2 for RGB, 3 for a palette, 4 for grey and alpha, 6 for RGBA. Each
    /// row begins with the byte of its filter. The chunks `before` and `after` surround the pixels.
    static func png(
        _ width: Int, _ height: Int, depth: Int = 8, colours: Int, rows: [UInt8],
        before: [[UInt8]] = [], after: [[UInt8]] = []
    ) -> [UInt8] {
        let header = big(width) + big(height) + [UInt8(depth), UInt8(colours), 0, 0, 0]
        let chunks =
            [chunk("IHDR", header)] + before + [chunk("IDAT", stored(rows))] + after
            + [chunk("IEND", [])]
        return [0x89] + "PNG\r\n".utf8 + [0x1A, 0x0A] + chunks.joined()
    }

    /// Three by two grey pixels: 0, 40, 80 and 120, 160, 200.
    static func smallPNG(before: [[UInt8]] = [], after: [[UInt8]] = []) -> [UInt8] {
        png(3, 2, colours: 0, rows: [0, 0, 40, 80, 0, 120, 160, 200], before: before, after: after)
    }

    // MARK: Metadata

    /// An EXIF block with or without an orientation.
    static func exif(_ orientation: Int?) -> [UInt8] {
        let entry: [UInt8] = [0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, UInt8(orientation ?? 0), 0, 0]
        let other: [UInt8] = [0x01, 0x1A, 0, 3, 0, 0, 0, 1, 0, 1, 0, 0]
        return Array("MM".utf8) + [0, 42, 0, 0, 0, 8, 0, 1]
            + (orientation == nil ? other : entry) + [0, 0, 0, 0]
    }

    /// The text that ImageMagick writes.
    static func profile(_ orientation: Int) -> [UInt8] {
        let bytes = Array("Exif\0\0".utf8) + exif(orientation)
        let digits = Array("0123456789abcdef".utf8)
        let lines = bytes.enumerated().flatMap { index, byte in
            [digits[Int(byte >> 4)], digits[Int(byte & 15)]] + (index % 36 == 35 ? [10] : [])
        }
        return Array("\nexif\n      \(bytes.count)\n".utf8) + lines + [10]
    }

    // MARK: JPEG

    /// A grey JPEG of 16 x 16 pixels in a number of scans.
    static func progressiveJPEG(scans: Int) -> [UInt8] {
        func segment(_ marker: UInt8, _ data: [UInt8]) -> [UInt8] {
            [0xFF, marker, UInt8((data.count + 2) >> 8), UInt8((data.count + 2) & 255)] + data
        }
        func table(_ place: UInt8, _ symbol: UInt8) -> [UInt8] {
            [place, 1] + [UInt8](repeating: 0, count: 15) + [symbol]
        }
        let beginning =
            [0xFF, 0xD8] + segment(0xDB, [0] + [UInt8](repeating: 1, count: 64))
            + segment(0xC2, [8, 0, 16, 0, 16, 1, 1, 0x11, 0])
            + segment(0xC4, table(0, 0) + table(0x10, 0x20))
            // The four DC values are 0.
            + segment(0xDA, [1, 1, 0, 0, 0, 0]) + [0x0F]
        // One run of four blocks without any coefficient: EOB2, and the bits 00.
        let scan = segment(0xDA, [1, 1, 0, 1, 63, 0]) + [0x1F]
        return beginning + Array(repeatElement(scan, count: scans - 1).joined()) + [0xFF, 0xD9]
    }

    /// A JPEG with a segment inserted after its first two bytes.
    static func inserting(_ data: [UInt8], intoJPEG file: [UInt8]) -> [UInt8] {
        let size = data.count + 2
        return file[..<2] + [0xFF, 0xE1, UInt8(size >> 8), UInt8(size & 255)] + data + file[2...]
    }

    /// A JPEG that states another size, which its data do not fill.
    static func resized(jpeg file: [UInt8], width: Int, height: Int) -> [UInt8] {
        var file = file
        guard
            let frame = file.indices.dropLast().first(where: {
                file[$0] == 0xFF && (file[$0 + 1] == 0xC0 || file[$0 + 1] == 0xC2)
            })
        else { return [] }
        file.replaceSubrange(
            (frame + 5)..<(frame + 9),
            with: [
                UInt8(height >> 8), UInt8(height & 255), UInt8(width >> 8), UInt8(width & 255),
            ])
        return file
    }

    // MARK: WebP

    static func riff(_ name: String, _ data: [UInt8]) -> [UInt8] {
        Array(name.utf8) + little(data.count) + data + [UInt8](repeating: 0, count: data.count % 2)
    }

    static func webP(_ chunks: [[UInt8]]) -> [UInt8] {
        riff("RIFF", Array("WEBP".utf8) + chunks.joined())
    }

    /// A chunk of lossless pixels of one colour, which take no bits each.
    static func lossless(_ width: Int, _ height: Int) -> [UInt8] {
        func bits(_ value: Int, _ count: Int) -> [Bool] { (0..<count).map { value >> $0 & 1 == 1 } }
        // No alpha, version 0, no transform, no colour cache, one group of codes.
        var all = bits(width - 1, 14) + bits(height - 1, 14) + bits(0, 1 + 3 + 1 + 1 + 1)
        // Green, red, blue, alpha: a simple code of one symbol of eight bits. Distances: of one
        // bit.
        for symbol in [80, 160, 240, 255] { all += bits(0b101, 3) + bits(symbol, 8) }
        all += bits(0b001, 3) + bits(0, 1)
        var data: [UInt8] = [0x2F]
        for start in stride(from: 0, to: all.count, by: 8) {
            let byte = all[start..<min(start + 8, all.count)].enumerated()
            data.append(byte.reduce(0) { $0 | ($1.element ? 1 << UInt8($1.offset) : 0) })
        }
        return riff("VP8L", data)
    }
}
