/// Returns a PNG file without compression.
///
/// There are 3 channels for RGB, 4 for RGBA, and `channels * width * height` bytes of pixels, row
/// by row.
public func pngFile(width: Int, height: Int, channels: Int, pixels: [UInt8]) -> [UInt8] {
    precondition(pixels.count == channels * width * height, "\(pixels.count) bytes")
    func big(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
    let table = (0..<256).map { entry in
        (0..<8).reduce(UInt32(entry)) { value, _ in
            value >> 1 ^ (value & 1 == 1 ? 0xEDB8_8320 : 0)
        }
    }
    func chunk(_ name: String, _ data: [UInt8]) -> [UInt8] {
        let body = Array(name.utf8) + data
        let sum = body.reduce(~UInt32(0)) { $0 >> 8 ^ table[Int(($0 ^ UInt32($1)) & 255)] }
        return big(UInt32(data.count)) + body + big(~sum)
    }
    var raw: [UInt8] = []
    for y in 0..<height {
        raw.append(0)
        raw += pixels[(y * width * channels)..<((y + 1) * width * channels)]
    }
    let (a, b) = raw.reduce((UInt32(1), UInt32(0))) { sums, byte in
        let a = (sums.0 + UInt32(byte)) % 65521
        return (a, (sums.1 + a) % 65521)
    }
    var zlib: [UInt8] = [0x78, 1]
    for start in stride(from: 0, to: raw.count, by: 65535) {
        let part = raw[start..<min(raw.count, start + 65535)]
        let count = UInt16(part.count)
        zlib.append(start + 65535 >= raw.count ? 1 : 0)
        zlib += [
            UInt8(count & 255), UInt8(count >> 8), UInt8(~count & 255), UInt8(~count >> 8),
        ]
        zlib += part
    }
    zlib += big(b << 16 | a)
    return [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]
        + chunk(
            "IHDR", big(UInt32(width)) + big(UInt32(height)) + [8, channels == 4 ? 6 : 2, 0, 0, 0])
        + chunk("IDAT", zlib) + chunk("IEND", [])
}

/// An RGBA image in memory for drawing, for tests.
public struct Canvas {
    /// The width in pixels.
    public let width: Int
    /// The height in pixels.
    public let height: Int
    /// The pixels in RGBA, row by row.
    public private(set) var pixels: [UInt8]

    /// Creates a canvas of one colour, given in RGBA.
    public init(_ width: Int, _ height: Int, _ colour: [UInt8] = [255, 255, 255, 255]) {
        (self.width, self.height) = (width, height)
        pixels = (0..<width * height).flatMap { _ in colour }
    }

    /// Sets the pixels for which `isIn` is true.
    public mutating func fill(_ colour: [UInt8], where isIn: (_ x: Int, _ y: Int) -> Bool) {
        for y in 0..<height {
            for x in 0..<width where isIn(x, y) {
                for i in 0..<4 { pixels[4 * (y * width + x) + i] = colour[i] }
            }
        }
    }

    /// Fills a rectangle.
    public mutating func fill(_ x: Int, _ y: Int, _ width: Int, _ height: Int, _ colour: [UInt8]) {
        for row in max(0, y)..<min(self.height, y + height) {
            for column in max(0, x)..<min(self.width, x + width) {
                for i in 0..<4 { pixels[4 * (row * self.width + column) + i] = colour[i] }
            }
        }
    }

    /// The pixels without alpha, as RGB.
    public var rgb: [UInt8] {
        stride(from: 0, to: pixels.count, by: 4).flatMap { pixels[$0..<$0 + 3] }
    }

    /// A PNG file with alpha.
    public var png: [UInt8] { pngFile(width: width, height: height, channels: 4, pixels: pixels) }

    /// Returns a page of black letter-like strokes on white, different for every seed.
    public static func page(seed: Int, width: Int = 480, height: Int = 360) -> Canvas {
        var canvas = Canvas(width, height)
        var random = UInt64(truncatingIfNeeded: seed) &* 0x9E37_79B9_7F4A_7C15 | 1
        func next(_ limit: Int) -> Int {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(random >> 33) % limit
        }
        for y in stride(from: 30, to: height - 30, by: 24) {
            for x in stride(from: 30, to: width - 30, by: 14) where next(6) > 0 {
                for _ in 0..<3 {
                    if next(2) == 0 {
                        canvas.fill(x, y + 5 * next(3), 9, 2, [0, 0, 0, 255])
                    } else {
                        canvas.fill(x + 4 * next(3), y, 2, 12, [0, 0, 0, 255])
                    }
                }
            }
        }
        return canvas
    }
}
