import Files

/// The ways to draw an image in a terminal.
enum TerminalProtocol: String, CaseIterable, Sendable {
    /// The graphics protocol of kitty.
    case kitty
    /// The inline images of iTerm2, also of WezTerm, Konsole and mintty.
    case iterm2
    /// The sixel graphics of DEC's terminals.
    case sixel
    /// The character ▀, whose two halves have two colours.
    case blocks
}

/// An image as RGB bytes, row by row.
struct TerminalImage: Sendable {
    let width: Int
    let height: Int
    /// The `3 * width * height` bytes of red, green and blue.
    let pixels: [UInt8]
}

/// The encoders of images for terminals.
enum TerminalImages {
    /// The largest number of base64 characters in one escape sequence of kitty's protocol.
    static let chunkLength = 4096

    /// Returns the escape sequences that draw an image by kitty's protocol, without moving the
    /// cursor.
    static func kitty(_ image: TerminalImage) -> [[UInt8]] {
        let text = Array(Base64.encode(image.pixels).utf8)
        var sequences: [[UInt8]] = []
        var start = 0
        repeat {
            let end = min(text.count, start + chunkLength)
            let more = end < text.count ? 1 : 0
            // q=2: the terminal sends no answer, which would be read as input.
            let keys =
                start == 0
                ? "a=T,f=24,s=\(image.width),v=\(image.height),C=1,q=2,m=\(more)" : "q=2,m=\(more)"
            sequences.append(
                Array("\u{1B}_G\(keys);".utf8) + text[start..<end] + Array("\u{1B}\\".utf8))
            start = end
        } while start < text.count
        return sequences
    }

    /// Returns the escape sequence that draws an image file by iTerm2's protocol, without moving
    /// the cursor.
    ///
    /// - Parameters:
    ///   - file: The bytes of a JPEG file.
    ///   - rows: The height in lines of text.
    /// - Returns: The escape sequence.
    static func iterm2(_ file: [UInt8], rows: Int) -> [UInt8] {
        let keys = "inline=1;size=\(file.count);height=\(rows);preserveAspectRatio=1"
        let start = Array("\u{1B}]1337;File=\(keys);doNotMoveCursor=1:".utf8)
        return start + Base64.encode(file).utf8 + [7]
    }

    /// Returns an escape sequence in the envelope by which tmux passes it to the terminal.
    static func throughTmux(_ sequence: [UInt8]) -> [UInt8] {
        let doubled = sequence.flatMap { $0 == 0x1B ? [$0, $0] : [$0] }
        return "\u{1B}Ptmux;".utf8 + doubled + "\u{1B}\\".utf8
    }

    // MARK: sixel

    /// The thresholds of ordered dithering, a Bayer matrix of 4 x 4 pixels.
    private static let thresholds = [0, 8, 2, 10, 12, 4, 14, 6, 3, 11, 1, 9, 15, 7, 13, 5]

    /// Returns the index of the nearest of the 6 x 6 x 6 colours, after dithering.
    private static func cubeColour(_ image: TerminalImage, _ x: Int, _ y: Int) -> Int {
        let place = 3 * (y * image.width + x)
        let threshold = thresholds[4 * (y % 4) + x % 4]
        return (0..<3).reduce(0) { index, channel in
            // A level of 0...5: the fraction is compared with the threshold.
            let scaled = Int(image.pixels[place + channel]) * 5
            let (level, rest) = (scaled / 255, scaled % 255)
            return 6 * index + min(5, level + (16 * rest > 255 * threshold + 127 ? 1 : 0))
        }
    }

    /// Returns the escape sequence that draws an image as sixels, with 216 dithered colours.
    static func sixel(_ image: TerminalImage) -> [UInt8] {
        let (width, height) = (image.width, image.height)
        var colours: [Int] = []
        colours.reserveCapacity(width * height)
        for y in 0..<height { for x in 0..<width { colours.append(cubeColour(image, x, y)) } }
        var text = Array("\u{1B}P0;1;0q\"1;1;\(width);\(height)".utf8)
        for colour in Set(colours).sorted() {
            let levels = [colour / 36, colour / 6 % 6, colour % 6].map { "\($0 * 20)" }
            text += "#\(colour);2;\(levels.joined(separator: ";"))".utf8
        }
        for top in stride(from: 0, to: height, by: 6) {
            let rows = top..<min(height, top + 6)
            var columns: [Int: [UInt8]] = [:]
            for y in rows {
                for x in 0..<width {
                    columns[colours[y * width + x], default: [UInt8](repeating: 0, count: width)][
                        x] |= 1 << UInt8(y - top)
                }
            }
            for (colour, bits) in columns.sorted(by: { $0.key < $1.key }) {
                text += "#\(colour)".utf8
                text += runs(of: bits)
                text.append(UInt8(ascii: "$"))
            }
            text.append(UInt8(ascii: "-"))
        }
        return text + "\u{1B}\\".utf8
    }

    /// Returns the characters of sixels, with runs of four and more as `!COUNT`.
    private static func runs(of bits: [UInt8]) -> [UInt8] {
        var text: [UInt8] = []
        var start = 0
        while start < bits.count {
            let end = bits[start...].firstIndex { $0 != bits[start] } ?? bits.count
            let character = bits[start] + 63
            if end - start < 4 {
                text += [UInt8](repeating: character, count: end - start)
            } else {
                text += "!\(end - start)".utf8
                text.append(character)
            }
            start = end
        }
        return text
    }

    // MARK: half-blocks

    /// Returns lines of ▀, each with two rows of pixels.
    ///
    /// - Parameters:
    ///   - image: The image; a last row without partner is drawn above the background.
    ///   - has24Bits: True for 24-bit colours, false for the 256 colours of xterm.
    /// - Returns: The lines, without line breaks.
    static func blocks(_ image: TerminalImage, has24Bits: Bool) -> [[UInt8]] {
        stride(from: 0, to: image.height, by: 2).map { y in
            var line = ""
            var last = ""
            for x in 0..<image.width {
                let upper = colour(image, x, y, has24Bits)
                let lower = y + 1 < image.height ? colour(image, x, y + 1, has24Bits) : nil
                let code = "38;\(upper);" + (lower.map { "48;\($0)" } ?? "49")
                if code != last { line += "\u{1B}[\(code)m" }
                last = code
                line += "▀"
            }
            return Array((line + "\u{1B}[0m").utf8)
        }
    }

    private static func colour(_ image: TerminalImage, _ x: Int, _ y: Int, _ has24Bits: Bool)
        -> String
    {
        let place = 3 * (y * image.width + x)
        let rgb = image.pixels[place..<(place + 3)].map(Int.init)
        guard !has24Bits else { return "2;\(rgb[0]);\(rgb[1]);\(rgb[2])" }
        // The levels of xterm's cube are 0, 95, 135, 175, 215 and 255.
        let levels = rgb.map { $0 < 48 ? 0 : $0 < 115 ? 1 : ($0 - 35) / 40 }
        return "5;\(16 + 36 * levels[0] + 6 * levels[1] + levels[2])"
    }
}
