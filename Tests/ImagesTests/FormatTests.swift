import Foundation
import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Compares GIF, BMP and RAW files with Pillow (Scripts/parity/goldens_gif_bmp_raw.py).
@Suite struct FormatTests {
    /// The reading of a file by Pillow.
    private struct Expected: Decodable {
        let width, height: Int
        let mode: String
        let hasMask: Bool
        /// The FNV-1a hash of the RGBA bytes.
        let pixels: String
        let orientation: Int?

        enum CodingKeys: String, CodingKey {
            case width, height, mode, pixels, orientation
            case hasMask = "has_mask"
        }
    }

    private func file(_ name: String) throws -> [UInt8] {
        try bytes(ofFile: Fixtures.path("images/formats/\(name)"))
    }

    private func all(_ endings: Set<String>) throws -> [(name: String, expected: Expected)] {
        let data = Data(try file("formats.json"))
        return try JSONDecoder().decode([String: Expected].self, from: data)
            .filter { name, _ in endings.contains(String(name.split(separator: ".").last ?? "")) }
            .map { (name: $0.key, expected: $0.value) }.sorted { $0.name < $1.name }
    }

    private func decoded(
        _ bytes: [UInt8], pixels: Int = 1_000_000, memory: Int = 1 << 26,
        allowsTruncated: Bool = false
    ) throws(ImageDecodingError) -> DecodedImage {
        var options = DecodedImage.Options(maximumPixels: pixels)
        options.memoryLimit = memory
        options.allowsTruncated = allowsTruncated
        return try DecodedImage(decoding: bytes, options: options)
    }

    /// The FNV-1a hash of the RGBA bytes, in the order of the file.
    private func hash(_ image: DecodedImage) -> String {
        let (rows, columns) = (0..<image.height, 0..<image.width)
        var colours = [UInt8](repeating: 0, count: 3 * image.width * image.height)
        var alpha = colours
        image.copy(.colours, rows: rows, columns: columns, into: &colours)
        image.copy(.alpha, rows: rows, columns: columns, into: &alpha)
        var value: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in stride(from: 0, to: colours.count, by: 3) {
            for byte in colours[index..<(index + 3)] + alpha[index..<(index + 1)] {
                value = (value ^ UInt64(byte)) &* 0x100_0000_01B3
            }
        }
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    @Test(arguments: [("gif", 42), ("bmp", 51)])
    func pixelsAreThoseOfPillow(ending: String, count: Int) throws {
        let files = try all([ending])
        #expect(files.count == count)
        for (name, expected) in files {
            let image = try decoded(file(name))
            #expect(image.width == expected.width, "\(name)")
            #expect(image.height == expected.height, "\(name)")
            #expect(image.hasMask == expected.hasMask, "\(name)")
            let kind: DecodedImage.Kind =
                switch expected.mode {
                case "P", "1": .indexed
                case "RGBA": .rgba
                default: .rgb
                }
            #expect(image.kind == kind, "\(name)")
            #expect(hash(image) == expected.pixels, "\(name)")
        }
    }

    private static let rawEndings: Set<String> = [
        "cr2", "cr3", "nef", "arw", "dng", "raf", "orf", "rw2",
    ]

    @Test func rawFilesAreReadByTheirLargestPreview() throws {
        let files = try all(Self.rawEndings)
        #expect(files.count == 16)
        for (name, expected) in files {
            let image = try decoded(file(name))
            #expect(image.width == expected.width, "\(name)")
            #expect(image.height == expected.height, "\(name)")
            #expect(image.orientation == expected.orientation, "\(name)")
            #expect(hash(image) == expected.pixels, "\(name)")
        }
    }

    /// A TIFF file of a camera, and one with a JPEG preview, whose main images are ordinary.
    @Test(arguments: ["camera.tif", "preview.tif"])
    func tiffFilesWithoutRawMarksAreNotRaw(_ name: String) throws {
        let bytes = try file(name)
        #expect(isImage(bytes.prefix(16)))
        // The preview is 32 pixels wide.
        let image = try? decoded(bytes)
        #expect(image.map { $0.width == 8 } ?? true)
    }

    @Test func rawFileWithoutPreviewIsUnsupported() throws {
        var bytes = try file("panasonic.rw2")
        let tag = try #require(
            bytes.indices.first { bytes[$0...].starts(with: [0x2E, 0, 7, 0]) })
        bytes[tag] = 0x2D
        #expect(throws: ImageDecodingError.unsupported("RAW without a JPEG preview")) {
            try decoded(bytes)
        }
    }

    // MARK: broken files

    @Test(arguments: [
        "global.gif", "interlaced.gif", "offset-grey-transparent.gif", "8.bmp", "24.bmp",
        "32-alpha.bmp", "rle8.bmp", "rle4-absolute.bmp", "os2-4.bmp", "fuji.raf", "sony.arw",
        "canon.cr3", "olympus.orf",
    ])
    func everyTruncationIsAnErrorOrThePart(_ name: String) throws {
        let whole = try file(name)
        let image = try decoded(whole)
        for count in 0..<whole.count {
            let part = Array(whole.prefix(count))
            do {
                let found = try decoded(part)
                // The bytes after the pixels, or after the preview, are not needed.
                #expect(hash(found) == hash(image), "\(name), \(count) bytes")
            } catch ImageDecodingError.truncated {
                if let found = try? decoded(part, allowsTruncated: true) {
                    #expect(found.width <= image.width, "\(name), \(count) bytes")
                }
            } catch {
                let isRaw = !name.hasSuffix("gif") && !name.hasSuffix("bmp")
                #expect(isRaw || count < 16, "\(name), \(count) bytes: \(error)")
            }
        }
    }

    @Test func truncatedFileIsReadOnRequest() throws {
        for (name, missing) in [("global.gif", 50), ("24.bmp", 500), ("rle8.bmp", 300)] {
            let part = Array(try file(name).dropLast(missing))
            #expect(throws: ImageDecodingError.truncated, "\(name)") { try decoded(part) }
            let image = try decoded(part, allowsTruncated: true)
            #expect(image.width == 23, "\(name)")
            #expect(image.height == 17, "\(name)")
        }
    }

    /// A generator of the same numbers in each run.
    private struct Generator: RandomNumberGenerator {
        var state: UInt64 = 20_250_101

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    @Test(arguments: [["gif"], ["bmp"], rawEndings])
    func brokenFilesAreErrorsOrImages(_ endings: Set<String>) throws {
        let files = try all(endings).map { try file($0.name) }
        var generator = Generator()
        let limits = (pixels: 1 << 18, memory: 1 << 22)
        for _ in 0..<300 {
            var bytes = try #require(files.randomElement(using: &generator))
            for _ in 0...Int.random(in: 0...3, using: &generator) {
                let isEarly = Bool.random(using: &generator)
                let end = isEarly ? min(bytes.count, 60) : bytes.count
                bytes[Int.random(in: 0..<end, using: &generator)] = .random(
                    in: 0...255, using: &generator)
            }
            if Int.random(in: 0..<8, using: &generator) == 0 {
                bytes.removeLast(Int.random(in: 0..<bytes.count, using: &generator))
            }
            for allowsTruncated in [false, true] {
                let image = try? decoded(
                    bytes, pixels: limits.pixels, memory: limits.memory,
                    allowsTruncated: allowsTruncated)
                guard let image else { continue }
                #expect(image.width * image.height <= limits.pixels)
                #expect(image.width > 0 && image.height > 0)
            }
        }
    }

    @Test func sizeIsCheckedBeforeMemoryIsAllocated() throws {
        var gif = try file("global.gif")
        gif.replaceSubrange(6..<10, with: [0xFF, 0xFF, 0xFF, 0xFF])
        #expect(throws: ImageDecodingError.tooLarge(width: 65535, height: 65535)) {
            try decoded(gif)
        }
        var bmp = try file("8.bmp")
        bmp.replaceSubrange(18..<26, with: TestImages.little(90_000) + TestImages.little(80_000))
        #expect(throws: ImageDecodingError.tooLarge(width: 90_000, height: 80_000)) {
            try decoded(bmp)
        }
        for (bytes, least) in [(gif, 65535 * 65535), (bmp, 90_000 * 80_000)] {
            let error = #expect(throws: ImageDecodingError.self) {
                try decoded(bytes, pixels: .max, memory: 1 << 24)
            }
            guard case .needsMemory(_, _, let needed) = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
            #expect((least...(least + 100_000)).contains(needed))
        }
    }

    @Test func textsAreNotBitmaps() {
        #expect(!isImage(Array("BM, the first letters of this text".utf8)))
        #expect(!isImage([40, 0, 0, 0] + [UInt8](repeating: 0, count: 40)))
    }
}
