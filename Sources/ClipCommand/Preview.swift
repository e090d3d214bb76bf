import ArgumentParser
import CLIP
import CLIPSearch
import Files

#if canImport(Glibc)
    @preconcurrency import Glibc
#elseif canImport(Musl)
    @preconcurrency import Musl
#else
    import Darwin
#endif

/// The options of thumbnails in the terminal.
struct PreviewOptions: ParsableArguments {
    @Flag(help: "Draw a thumbnail of each match in the terminal.")
    var preview = false

    @Option(
        help: """
            Draw thumbnails by the protocol kitty, iterm2 or sixel, or as blocks of colour; auto \
            asks the terminal. (default: auto)
            """)
    var previewProtocol: Choice?

    enum Choice: String, ExpressibleByArgument, CaseIterable {
        case auto, kitty, iterm2, sixel, blocks
    }

    /// True if thumbnails are to be drawn.
    var isGiven: Bool { preview || previewProtocol != nil }

    /// Returns the drawing of thumbnails; nil if it is not wanted, or if standard output is not a
    /// terminal, which a note says.
    ///
    /// Call it before other threads start, because it may ask the terminal.
    func drawing(isQuiet: Bool) -> Preview? {
        guard isGiven else { return nil }
        guard outputIsTerminal, Environment["TERM"] != "dumb" else {
            if !isQuiet {
                note(
                    "clip: search: no thumbnails, because standard output is not a graphic terminal"
                )
            }
            return nil
        }
        let isInTmux = Environment["TMUX"] != nil
        let choice =
            TerminalProtocol(rawValue: previewProtocol?.rawValue ?? "")
            ?? TerminalQuery.choice(
                for: TerminalQuery.ask(isInTmux: isInTmux),
                program: isInTmux ? nil : Environment["TERM_PROGRAM"])
        let colours = Environment["COLORTERM"]
        return Preview(
            kind: choice, isInTmux: isInTmux,
            has24Bits: colours == "truecolor" || colours == "24bit")
    }
}

/// The drawing of thumbnails in the terminal.
struct Preview: Sendable {
    let kind: TerminalProtocol
    let isInTmux: Bool
    let has24Bits: Bool

    /// The largest height of a thumbnail, in lines of text.
    private static let rows = 10

    /// Draws the thumbnail of an image; draws nothing if it cannot be read.
    func draw(_ file: FilePath) {
        let screen = Screen()
        // A block has two pixels, one above the other.
        let cell = kind == .blocks ? (width: 1, height: 2) : screen.cell
        let (width, height) = (screen.columns * cell.width, Self.rows * cell.height)
        var options = RGBImage.DecodingOptions()
        options.smallestSide = 2 * max(width, height)
        options.allowsTruncated = true
        guard let image = try? Sample(file: file).image(options) else { return }
        let scaled = image.pixels(fitting: width, height)
        let rows = (scaled.height + cell.height - 1) / cell.height
        let small = TerminalImage(
            width: scaled.width, height: scaled.height, pixels: scaled.pixels)
        guard let bytes = output(small, of: image, rows: rows) else { return }
        try? write(bytes, to: nil)
    }

    /// Returns the output that draws a thumbnail and moves the cursor below it.
    private func output(_ small: TerminalImage, of image: RGBImage, rows: Int) -> [UInt8]? {
        let sequences: [[UInt8]]
        switch kind {
        case .blocks:
            return TerminalImages.blocks(small, has24Bits: has24Bits).flatMap { $0 + [10] }
        case .kitty: sequences = TerminalImages.kitty(small)
        case .iterm2:
            let file = image.thumbnail(fitting: max(small.width, small.height))
            guard !file.isEmpty else { return nil }
            sequences = [TerminalImages.iterm2(file, rows: rows)]
        case .sixel: sequences = [TerminalImages.sixel(small)]
        }
        // Sixels need no envelope: tmux draws them itself.
        let isWrapped = isInTmux && kind != .sixel
        let drawn = sequences.flatMap { isWrapped ? TerminalImages.throughTmux($0) : $0 }
        // The lines are made first, so that the screen does not scroll while the image is drawn.
        let lines = [UInt8](repeating: 10, count: rows)
        return lines + "\u{1B}[\(rows)A\u{1B}7".utf8 + drawn + "\u{1B}8\u{1B}[\(rows)B\r".utf8
    }
}

/// The size of the terminal of standard output.
private struct Screen {
    /// The width in characters.
    var columns = 80
    /// The size of a character in pixels.
    var cell = (width: 10, height: 20)

    init() {
        var size = winsize()
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else {
            return
        }
        columns = min(Int(size.ws_col), 400)
        let (width, height) = (
            Int(size.ws_xpixel) / Int(size.ws_col), Int(size.ws_ypixel) / Int(size.ws_row)
        )
        if 2...100 ~= width && 4...200 ~= height { cell = (width, height) }
    }
}
