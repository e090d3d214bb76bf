import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Tests files that are not images, or truncated ones.
@Suite struct DecodingTests {
    private let limit = RGBImage.defaultMaximumPixels

    private func image(_ name: String) throws -> [UInt8] {
        try bytes(ofFile: Fixtures.path("images/\(name)"))
    }

    private func decoded(
        _ bytes: [UInt8], maximumPixels: Int, allowsTruncated: Bool = false
    ) throws -> DecodedImage {
        var options = DecodedImage.Options(maximumPixels: maximumPixels)
        options.allowsTruncated = allowsTruncated
        return try DecodedImage(decoding: bytes, options: options)
    }

    private func error(_ name: String) throws -> ImageDecodingError? {
        do {
            _ = try decoded(image("bad/\(name)"), maximumPixels: limit)
            return nil
        } catch {
            return error as? ImageDecodingError
        }
    }

    @Test func invalidFilesAreRejected() throws {
        #expect(try error("empty.png") == .empty)
        #expect(try error("text.jpg") == .unknownFormat)
        #expect(try error("truncated.jpg") == .truncated)
        #expect(try error("truncated.png") == .truncated)
        #expect(try error("huge-chunk.png") == .truncated)
        #expect(try error("huge.png") == .tooLarge(width: 60_000, height: 60_000))
        for name in ["ihdr-crc.png", "zero-height.jpg", "garbage.jpg"] {
            #expect(try error(name) != nil, "\(name)")
        }
        #if WebP
            #expect(try error("truncated.webp") == .truncated)
        #else
            #expect(
                try error("truncated.webp") == .unsupported("WebP (built without the trait WebP)"))
        #endif
    }

    @Test(arguments: [
        "rgb.jpg", "rgb-progressive.jpg", "rgb.png", "rgb-interlaced.png", "rgb.webp",
    ])
    func everyTruncationIsRefused(_ name: String) throws {
        let whole = try image(name)
        for count in stride(from: 0, to: whole.count - 16, by: 7) {
            #expect(throws: ImageDecodingError.self, "\(count) bytes") {
                try decoded(Array(whole.prefix(count)), maximumPixels: limit)
            }
        }
    }

    @Test(arguments: [
        "rgb.jpg", "rgb-progressive.jpg", "rgb.png", "rgb-interlaced.png", "rgb.webp",
    ])
    func damageIsSurvived(_ name: String) throws {
        let whole = try image(name)
        for position in stride(from: 8, to: whole.count, by: 3) {
            var damaged = whole
            damaged[position] ^= 0xFF
            _ = try? decoded(damaged, maximumPixels: 1_000_000)
        }
    }

    @Test func grey16IsScaledUnlessReferenceIsSet() throws {
        let path = Fixtures.path("images/kinds/grey-16.png")
        let scaled = try RGBImage(contentsOfFile: path)
        let clipped = try RGBImage(contentsOfFile: path, options: .reference)
        #expect(Set(scaled.pixels).count > 100)
        #expect(scaled.decoded.kind == .rgb)
        #expect(clipped.pixels.filter { $0 == 255 }.count > clipped.pixels.count * 9 / 10)
    }

    @Test func cmykBecomesRGB() throws {
        let inks: [UInt8] = [0, 0, 0, 0, 255, 0, 128, 0, 0, 0, 0, 255, 255, 255, 255, 255]
        let light: [UInt8] = [255, 255, 255, 0, 255, 127, 0, 0, 0, 0, 0, 0]
        let image = DecodedImage(
            width: 4, height: 1, kind: .cmyk, bytesPerPixel: 4, samples: inks)
        #expect(firstDifference(RGBImage(image).pixels, light) == nil)
        for i in 0..<4 {
            let part = inks[(4 * i)...]
            let (red, green, blue) = withoutInk(
                part[4 * i], part[4 * i + 1], part[4 * i + 2], part[4 * i + 3])
            #expect([red, green, blue] == Array(light[(3 * i)..<(3 * i + 3)]), "\(i)")
        }
    }

    @Test func truncatedFileIsReadOnRequest() throws {
        for name in ["truncated.jpg", "truncated.png"] {
            let bytes = try image("bad/\(name)")
            #expect(throws: ImageDecodingError.truncated) {
                try decoded(bytes, maximumPixels: 1_000_000)
            }
            let part = try decoded(bytes, maximumPixels: 1_000_000, allowsTruncated: true)
            #expect(part.width == 61)
            #expect(part.height == 47)
        }
        // The file has no pixel data.
        let header = try Array(image("rgb.png").prefix(40))
        #expect(throws: ImageDecodingError.truncated) {
            try decoded(header, maximumPixels: 1_000_000, allowsTruncated: true)
        }
    }

    @Test func callerSetsThePixelLimit() throws {
        let bytes = try image("rgb.png")
        #expect(throws: ImageDecodingError.tooLarge(width: 61, height: 47)) {
            try decoded(bytes, maximumPixels: 61 * 47 - 1)
        }
        _ = try decoded(bytes, maximumPixels: 61 * 47)
    }

    @Test func orientations() {
        // Two rows of three pixels: a b c / d e f.
        let pixels = (0..<6).flatMap { [UInt8](repeating: UInt8($0), count: 4) }
        let expected: [(width: Int, order: [UInt8])] = [
            (3, [0, 1, 2, 3, 4, 5]), (3, [2, 1, 0, 5, 4, 3]), (3, [5, 4, 3, 2, 1, 0]),
            (3, [3, 4, 5, 0, 1, 2]), (2, [0, 3, 1, 4, 2, 5]), (2, [3, 0, 4, 1, 5, 2]),
            (2, [5, 2, 4, 1, 3, 0]), (2, [2, 5, 1, 4, 0, 3]),
        ]
        for (orientation, (width, order)) in zip(1...8, expected) {
            let image = DecodedImage(
                width: 3, height: 2, kind: .rgba, hasMask: false, bytesPerPixel: 4,
                samples: pixels, orientation: orientation
            ).upright()
            #expect(image.width == width, "\(orientation)")
            #expect(image.height == 6 / width, "\(orientation)")
            let turned = RGBImage(image)
            for channel in 0..<3 {
                let found = stride(from: channel, to: 18, by: 3).map { turned.pixels[$0] }
                #expect(found == order, "orientation \(orientation)")
            }
            #expect(turned.alpha == order, "orientation \(orientation)")
        }
    }

    /// Returns a PNG of 8 x 8 grey pixels with the given chunks after the header.
    private func greyPNG(_ chunks: [[UInt8]]) -> [UInt8] {
        let header = TestImages.big(8) + TestImages.big(8) + [8, 0, 0, 0, 0]
        let all = [TestImages.chunk("IHDR", header)] + chunks + [TestImages.chunk("IEND", [])]
        return [0x89] + "PNG\r\n".utf8 + [0x1A, 0x0A] + all.joined()
    }

    /// Pillow does not read pixels after another chunk either.
    @Test func pixelsAfterAnotherChunkAreIgnored() throws {
        let rows = (0..<8).flatMap { _ in [0] + [UInt8](repeating: 200, count: 8) }
        let stream = TestImages.stored(rows)
        let (half, text) = (stream.count / 2, TestImages.chunk("tEXt", Array("a\0b".utf8)))
        let first = TestImages.chunk("IDAT", Array(stream[..<half]))
        let second = TestImages.chunk("IDAT", Array(stream[half...]))
        let whole = try decoded(greyPNG([first, second]), maximumPixels: 64)
        #expect(
            firstDifference(RGBImage(whole).pixels, [UInt8](repeating: 200, count: 3 * 64)) == nil)
        #expect(throws: ImageDecodingError.damaged("Not enough image data")) {
            try decoded(greyPNG([first, text, second]), maximumPixels: 64)
        }
        // A stream that ends after a row leaves the other rows black.
        let short = TestImages.chunk("IDAT", TestImages.stored(Array(rows[..<(2 * 9)])))
        let part = try decoded(greyPNG([short, text, second]), maximumPixels: 64)
        #expect(
            firstDifference(
                RGBImage(part).pixels,
                [UInt8](repeating: 200, count: 3 * 16) + [UInt8](repeating: 0, count: 3 * 48))
                == nil)
    }

    /// JPEGs that libjpeg does not decode are unsupported, not damaged.
    @Test func undecodableJPEGKindsAreUnsupported() throws {
        let whole = try image("rgb.jpg")
        let header = try #require(
            whole.indices.dropLast().first { whole[$0] == 0xFF && whole[$0 + 1] == 0xC0 })
        for (offset, value, says) in [
            (1, UInt8(0xC3), "lossless or hierarchical JPEG (SOF type 0xc3)"),
            (4, UInt8(12), "JPEG of 12 bits"),
        ] {
            var changed = whole
            changed[header + offset] = value
            let expected = ImageDecodingError.unsupported(says)
            #expect(throws: expected) { try decoded(changed, maximumPixels: limit) }
            let message = CLIPError.unreadableImage(path: "x.jpg", reason: "unsupported: \(says)")
            #expect(throws: message) { try RGBImage(decoding: changed, path: "x.jpg") }
        }
    }

    @Test func imageFromPixelsIsValidated() throws {
        #expect(throws: CLIPError.wrongPixelCount(expected: 12, found: 3)) {
            try RGBImage(width: 2, height: 2, pixels: [1, 2, 3])
        }
        for (width, height) in [(0, 1), (1, 0), (-1, 1), (.max, .max)] {
            #expect(throws: CLIPError.self) {
                try RGBImage(width: width, height: height, pixels: [])
            }
        }
        let one = try RGBImage(width: 1, height: 1, pixels: [10, 20, 30])
        #expect(
            ImagePreprocessor(resolution: 2).resizedAndCropped(one)
                == [10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30])
    }
}
