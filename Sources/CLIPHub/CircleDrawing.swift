internal import CLIP

/// A drawing of a blue disc with a green outline on red, an input of known answers.
///
/// The pixels equal those of Pillow's `ImageDraw.ellipse`. The disc is in the centre, its radius is
/// 7/8 of half the shorter side, rounded down to a multiple of 7 pixels, and the outline is as wide
/// as 1/20 of the width.
///
/// Source: `test_inference` in `tests/models/siglip2/test_modeling_siglip2.py` of transformers.
struct CircleDrawing: Sendable, Equatable {
    /// The width in pixels, at least 20, so that the outline is at least one pixel wide.
    let width: Int
    /// The height in pixels, at least 1.
    let height: Int

    /// Makes a drawing; nil if a side is too short.
    init?(width: Int, height: Int) {
        guard width >= 20, height >= 1 else { return nil }
        (self.width, self.height) = (width, height)
    }

    /// The red, green and blue of each pixel, row by row from the top.
    var pixels: [UInt8] {
        let (centreX, centreY) = (width / 2, height / 2)
        let radius = min(centreX, centreY) / 8 * 7
        let outer = Self.outline(radius: radius)
        let inner = Self.outline(radius: radius - width / 20 + 1)
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        func paint(
            _ columns: ClosedRange<Int>, of row: Int, _ red: UInt8, _ green: UInt8, _ blue: UInt8
        ) {
            for x in columns {
                let start = 3 * (row * width + x)
                (pixels[start], pixels[start + 1], pixels[start + 2]) = (red, green, blue)
            }
        }
        for y in 0..<height {
            paint(0...(width - 1), of: y, 255, 0, 0)
            let row = abs(y - centreY)
            if row < outer.count {
                let last = outer[row].upperBound
                paint((centreX - last)...(centreX + last), of: y, 0, 128, 0)
            }
            if row < inner.count, inner[row].lowerBound > 0 {
                let last = inner[row].lowerBound - 1
                paint((centreX - last)...(centreX + last), of: y, 0, 0, 255)
            }
        }
        return pixels
    }

    /// Returns the image.
    func image() throws(CLIPError) -> RGBImage {
        try RGBImage(width: width, height: height, pixels: pixels)
    }

    /// Returns the columns of the outline of a quarter of a disc in each row from 0 to `radius`,
    /// relative to the centre; none if the radius is negative.
    ///
    /// The outline starts at (radius, 0). Each step leads to one of three pixels: that of the next
    /// row, the diagonal one, and that of the next column. The closest to the circle is taken, the
    /// first of equally close ones.
    private static func outline(radius: Int) -> [ClosedRange<Int>] {
        guard radius >= 0 else { return [] }
        var rows = [radius...radius]
        var (x, y) = (radius, 0)
        while x > 0 || y < radius {
            let steps = [(x, y + 1), (x - 1, y + 1), (x - 1, y)].filter { $0.0 >= 0 }
            let distances = steps.map { abs($0.0 * $0.0 + $0.1 * $0.1 - radius * radius) }
            guard let least = distances.min(), let best = distances.firstIndex(of: least) else {
                break
            }
            (x, y) = steps[best]
            guard y <= radius else { break }
            if y < rows.count {
                rows[y] = x...rows[y].upperBound
            } else {
                rows.append(x...x)
            }
        }
        return rows
    }
}
