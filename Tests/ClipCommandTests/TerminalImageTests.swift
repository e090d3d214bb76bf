import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests the drawing of images in terminals.
@Suite struct TerminalImageTests {
    private let image: TerminalImage

    init() {
        // Colours of the 6 x 6 x 6 cube, which dithering leaves as they are.
        let levels: [UInt8] = [0, 51, 102, 153, 204, 255]
        let (width, height) = (13, 9)
        var pixels: [UInt8] = []
        for place in 0..<(width * height) {
            pixels += [levels[place % 6], levels[place / 6 % 6], levels[place / 13 % 6]]
        }
        image = TerminalImage(width: width, height: height, pixels: pixels)
    }

    /// Decodes sixels into RGB pixels.
    private func decoded(_ bytes: [UInt8], width: Int, height: Int) throws -> [UInt8] {
        var pixels = [UInt8](repeating: 7, count: 3 * width * height)
        var text = String(decoding: bytes, as: UTF8.self)[...]
        let start = "\u{1B}P0;1;0q\"1;1;\(width);\(height)"
        #expect(text.hasPrefix(start) && text.hasSuffix("\u{1B}\\"))
        text = text.dropFirst(start.count).dropLast(2)
        var palette: [Int: [UInt8]] = [:]
        var (x, top, colour) = (0, 0, 0)
        func number() -> Int {
            let digits = text.prefix { $0.isNumber }
            text = text.dropFirst(digits.count)
            return Int(digits) ?? 1
        }
        while let next = text.popFirst() {
            switch next {
            case "#":
                colour = number()
                guard text.first == ";" else { continue }
                let values = (0..<4).map { _ in
                    text = text.dropFirst()
                    return number()
                }
                palette[colour] = values[1...].map { UInt8($0 * 255 / 100) }
            case "$": x = 0
            case "-": (x, top) = (0, top + 6)
            default:
                let count = next == "!" ? number() : 1
                let drawn = next == "!" ? text.popFirst() : next
                let bits = Int(try #require(drawn?.asciiValue)) - 63
                let rgb = try #require(palette[colour])
                for _ in 0..<count {
                    for y in 0..<6 where bits >> y & 1 == 1 {
                        let place = 3 * ((top + y) * width + x)
                        pixels.replaceSubrange(place..<(place + 3), with: rgb)
                    }
                    x += 1
                }
            }
        }
        return pixels
    }

    @Test func sixelsHaveThePixelsOfTheImage() throws {
        let sixels = TerminalImages.sixel(image)
        #expect(try decoded(sixels, width: image.width, height: image.height) == image.pixels)
    }

    @Test func ditheringKeepsTheMean() throws {
        let grey = TerminalImage(
            width: 16, height: 12, pixels: [UInt8](repeating: 77, count: 3 * 16 * 12))
        let pixels = try decoded(TerminalImages.sixel(grey), width: 16, height: 12)
        let mean = pixels.reduce(0) { $0 + Double($1) } / Double(pixels.count)
        #expect(abs(mean - 77) < 4, "\(mean)")
    }

    @Test func blocksHaveTwoPixelsPerCharacter() throws {
        let lines = TerminalImages.blocks(image, has24Bits: true)
        #expect(lines.count == 5)
        let two = TerminalImage(width: 1, height: 3, pixels: [1, 2, 3, 4, 5, 6, 7, 8, 9])
        let text = TerminalImages.blocks(two, has24Bits: true).map {
            String(decoding: $0, as: UTF8.self)
        }
        #expect(
            text == [
                "\u{1B}[38;2;1;2;3;48;2;4;5;6m▀\u{1B}[0m", "\u{1B}[38;2;7;8;9;49m▀\u{1B}[0m",
            ])
        let white = TerminalImage(width: 2, height: 2, pixels: [UInt8](repeating: 255, count: 12))
        #expect(
            String(decoding: TerminalImages.blocks(white, has24Bits: false)[0], as: UTF8.self)
                == "\u{1B}[38;5;231;48;5;231m▀▀\u{1B}[0m")
    }

    @Test func kittyGetsChunksOfBase64() throws {
        let large = TerminalImage(
            width: 100, height: 61,
            pixels: (0..<(3 * 100 * 61)).map { UInt8(truncatingIfNeeded: $0 * 7) })
        var text = ""
        let sequences = TerminalImages.kitty(large).map { String(decoding: $0, as: UTF8.self) }
        for (index, sequence) in sequences.enumerated() {
            #expect(sequence.hasPrefix("\u{1B}_G") && sequence.hasSuffix("\u{1B}\\"))
            let parts = sequence.dropFirst(3).dropLast(2).split(separator: ";")
            let keys = parts[0].split(separator: ",")
            #expect(keys.contains(index < sequences.count - 1 ? "m=1" : "m=0"))
            if index == 0 { #expect(keys.contains("s=100") && keys.contains("v=61")) }
            #expect(parts[1].count <= 4096)
            text += parts[1]
        }
        #expect(sequences.count > 1)
        #expect(Data(base64Encoded: text).map(Array.init) == large.pixels)
    }

    @Test func tmuxGetsDoubledEscapes() {
        #expect(
            TerminalImages.throughTmux(Array("\u{1B}_Gx\u{1B}\\".utf8))
                == Array("\u{1B}Ptmux;\u{1B}\u{1B}_Gx\u{1B}\u{1B}\\\u{1B}\\".utf8))
    }

    @Test func theProtocolFollowsFromTheAnswers() {
        let cases: [(answers: String, program: String?, choice: TerminalProtocol)] = [
            ("\u{1B}_Gi=31;OK\u{1B}\\\u{1B}[?62;c", nil, .kitty),
            ("\u{1B}_Gi=31;ENOTSUP\u{1B}\\\u{1B}[?62;4c", nil, .sixel),
            ("\u{1B}P>|WezTerm 20240203\u{1B}\\\u{1B}[?65;4;6c", nil, .iterm2),
            ("\u{1B}[?62;4c", "iTerm.app", .iterm2), ("\u{1B}[?64;1;4;22c", nil, .sixel),
            ("\u{1B}P>|XTerm(379)\u{1B}\\\u{1B}[?64;1;2;22c", nil, .blocks),
            // The first number is the class of the terminal.
            ("\u{1B}[?4c", nil, .blocks), ("", nil, .blocks), ("\u{1B}[?", "Apple", .blocks),
        ]
        for (answers, program, choice) in cases {
            #expect(
                TerminalQuery.choice(for: Array(answers.utf8), program: program) == choice,
                "\(answers.debugDescription)")
        }
    }

    @Test func outputThatIsNoTerminalGetsNoThumbnails() throws {
        let folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: Fixtures.path("images/rgb.jpg"), toPath: folder.path + "/photos/a.jpg")
        let binary = ClipBinary(folder: folder)
        let model = CommandTests.model
        _ = try binary.run(["index", "photos", "-m", model, "-q"]).successful()
        let result = try binary.run(["search", "x", "--index", "photos", "--preview"]).successful()
        #expect(result.errors.contains("no thumbnails"), "\(result.errors)")
        #expect(!result.output.contains(0x1B))
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { return }
        let terminal = ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        for (name, mark) in [("blocks", "▀"), ("kitty", "\u{1B}_Ga=T"), ("sixel", "\u{1B}P0;1;0q")]
        {
            let line =
                "'\(ClipBinary.built.path)' search x --index photos --preview-protocol \(name)"
            let drawn = try terminal.run(
                ["-qec", line, "/dev/null"], environment: ["TERM": "xterm", "SHELL": "/bin/sh"])
            #expect(drawn.text.contains(mark), "\(name)")
            #expect(drawn.text.contains("photos/a.jpg"), "\(name)")
        }
    }
}
