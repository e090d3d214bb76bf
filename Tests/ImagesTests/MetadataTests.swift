import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Tests orientations in all places where Pillow finds them, and slightly incomplete files.
@Suite struct MetadataTests {
    private func decoded(_ bytes: [UInt8], allowsTruncated: Bool = false) throws -> DecodedImage {
        var options = DecodedImage.Options(maximumPixels: 1_000_000)
        options.allowsTruncated = allowsTruncated
        return try DecodedImage(decoding: bytes, options: options)
    }

    private static let attribute = Array(#"<rdf:Description tiff:Orientation="6"/>"#.utf8)
    private static let element = Array("<tiff:Orientation>3</tiff:Orientation>".utf8)
    private static let xmp = Array("XML:com.adobe.xmp\0".utf8)
    private static let raw = Array("Raw profile type exif\0".utf8)

    private static func text(_ name: String, _ data: [UInt8]) -> [UInt8] {
        TestImages.chunk(name, data)
    }

    @Test(arguments: [
        ([], 1), ([text("eXIf", TestImages.exif(6))], 6),
        ([text("eXIf", Array("Exif\0\0".utf8) + TestImages.exif(6))], 6),
        ([text("eXIf", TestImages.exif(9))], 1),
        ([text("tEXt", raw + TestImages.profile(8))], 8),
        ([text("zTXt", raw + [0] + TestImages.stored(TestImages.profile(5)))], 5),
        ([text("iTXt", raw + [0, 0, 0, 0] + TestImages.profile(7))], 7),
        ([text("iTXt", xmp + [0, 0, 0, 0] + attribute)], 6),
        ([text("iTXt", xmp + [1, 0] + Array("en\0x\0".utf8) + TestImages.stored(element))], 3),
        ([text("tEXt", xmp + element)], 3),
        ([text("tEXt", xmp + Array(#"tiff:Orientation='6' tiff:Orientation="8""#.utf8))], 8),
        ([text("tEXt", xmp + Array("tiff:Orientation>9<".utf8))], 1),
        ([text("tEXt", xmp + Array("tiff:Orientation".utf8))], 1),
        // EXIF takes precedence over ImageMagick's text, and XMP counts only if neither has an
        // orientation.
        ([text("eXIf", TestImages.exif(6)), text("tEXt", raw + TestImages.profile(8))], 6),
        ([text("tEXt", raw + TestImages.profile(8)), text("tEXt", xmp + element)], 8),
        ([text("eXIf", TestImages.exif(nil)), text("tEXt", xmp + element)], 3),
        ([text("eXIf", TestImages.exif(1)), text("tEXt", xmp + element)], 1),
        // The last of each kind counts.
        ([text("eXIf", TestImages.exif(6)), text("eXIf", TestImages.exif(2))], 2),
        // Damaged texts are ignored.
        ([TestImages.chunk("eXIf", TestImages.exif(6), isDamaged: true)], 1),
        ([text("tEXt", raw + Array("\nexif\n 12\n4d4x".utf8))], 1),
        ([text("zTXt", raw + [0, 1, 2, 3])], 1), ([text("iTXt", raw)], 1), ([text("tEXt", raw)], 1),
    ])
    func orientationOfAPNG(chunks: [[UInt8]], expected: Int) throws {
        for (before, after) in [(chunks, []), ([], chunks)] {
            let image = try decoded(TestImages.smallPNG(before: before, after: after))
            #expect(image.orientation == expected)
            #expect(image.width == 3)
            #expect(image.height == 2)
        }
    }

    @Test func orientationOfAJPEG() throws {
        let whole = try bytes(ofFile: Fixtures.path("images/rgb.jpg"))
        let xmp = Array("http://ns.adobe.com/xap/1.0/\0".utf8) + Self.attribute
        let exif = Array("Exif\0\0".utf8)
        #expect(try decoded(whole).orientation == 1)
        let withXMP = TestImages.inserting(xmp, intoJPEG: whole)
        #expect(try decoded(withXMP).orientation == 6)
        for (orientation, expected) in [(8, 8), (1, 1), (nil, 6)] {
            let file = TestImages.inserting(
                exif + TestImages.exif(orientation), intoJPEG: withXMP)
            #expect(try decoded(file).orientation == expected)
        }
        let turned = try RGBImage(decoding: withXMP)
        #expect(turned.width == 47)
        #expect(turned.height == 61)
        #expect(try RGBImage(decoding: withXMP, options: .reference).width == 61)
    }

    #if WebP
        @Test func orientationOfAWebP() throws {
            func file(_ flags: UInt8, _ chunks: [[UInt8]]) -> [UInt8] {
                let extended = TestImages.riff("VP8X", [flags, 0, 0, 0, 4, 0, 0, 3, 0, 0])
                return TestImages.webP([extended, TestImages.lossless(5, 4)] + chunks)
            }
            let xmp = TestImages.riff("XMP ", Self.attribute)
            #expect(try decoded(file(0, [])).orientation == 1)
            #expect(try decoded(file(0x04, [xmp])).orientation == 6)
            for (orientation, expected) in [(8, 8), (nil, 6)] {
                let exif = TestImages.riff("EXIF", TestImages.exif(orientation))
                #expect(try decoded(file(0x0C, [exif, xmp])).orientation == expected)
            }
        }
    #endif

    // MARK: JPEGs without an end mark

    @Test func jpegWithoutEndMarkIsReadIfDataFollows() throws {
        for name in ["rgb.jpg", "grey.jpg", "rgb-444.jpg", "kinds/cmyk.jpg"] {
            let whole = try bytes(ofFile: Fixtures.path("images/\(name)"))
            let end = try #require(
                whole.indices.dropLast().last { whole[$0] == 0xFF && whole[$0 + 1] == 0xD9 })
            let cut = Array(whole[..<end])
            let expected = try decoded(whole)
            for padding in [[UInt8](repeating: 0, count: 64), Array("something else".utf8)] {
                #expect(RGBImage(try decoded(cut + padding)) == RGBImage(expected), "\(name)")
            }
            // Pillow refuses these too.
            for short in [cut, Array(cut.prefix(cut.count * 2 / 3))] {
                #expect(throws: ImageDecodingError.truncated, "\(name)") { try decoded(short) }
                #expect(try decoded(short, allowsTruncated: true).width == expected.width)
            }
        }
        let progressive = try bytes(ofFile: Fixtures.path("images/rgb-progressive.jpg"))
        #expect(throws: ImageDecodingError.truncated) {
            try decoded(progressive.dropLast(2) + [UInt8](repeating: 0, count: 64))
        }
    }

    // MARK: PNGs that libpng refuses

    @Test func indexesWithoutPaletteAreBlack() throws {
        for (depth, row) in [(8, [0, 1, 2, 3] as [UInt8]), (2, [0, 0b0001_1011])] {
            let file = TestImages.png(depth == 8 ? 3 : 4, 1, depth: depth, colours: 3, rows: row)
            let image = RGBImage(try decoded(file))
            #expect(image.decoded.kind == .indexed)
            #expect(image.alpha == nil)
            #expect(image.pixels.first { $0 != 0 } == nil)
            #expect(image.height == 1)
        }
    }

    @Test func paletteEndingWithinAnEntryIsRead() throws {
        let file = TestImages.png(
            4, 1, depth: 2, colours: 3, rows: [0, 0b0001_1011],
            before: [TestImages.chunk("PLTE", [9, 8, 7, 6, 5, 4, 3])])
        #expect(RGBImage(try decoded(file)).pixels == [9, 8, 7, 6, 5, 4, 0, 0, 0, 0, 0, 0])
    }

    @Test func indexesBeyondThePaletteAreBlack() throws {
        let file = TestImages.png(
            3, 1, colours: 3, rows: [0, 0, 1, 200], before: [TestImages.chunk("PLTE", [9, 8, 7])])
        #expect(RGBImage(try decoded(file)).pixels == [9, 8, 7, 0, 0, 0, 0, 0, 0])
    }

    @Test func missingRowsAreBlack() throws {
        let file = TestImages.png(3, 4, colours: 0, rows: [0, 1, 2, 3, 0, 4, 5, 6])
        let image = RGBImage(try decoded(file))
        let grey = stride(from: 0, to: image.pixels.count, by: 3).map { image.pixels[$0] }
        #expect(grey == [1, 2, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0])
        // Pillow rejects a part of a row, and a file without rows.
        for rows in [[0, 1, 2, 3, 0, 4], [], [0, 1]] as [[UInt8]] {
            #expect(throws: ImageDecodingError.self, "\(rows)") {
                try decoded(TestImages.png(3, 4, colours: 0, rows: rows))
            }
        }
    }

    /// The fixed offsets are those of IHDR only if it comes first.
    @Test func chunkBeforeTheHeaderChangesNothing() throws {
        let first = TestImages.chunk("pHYs", [0, 0, 0, 1, 0, 0, 0, 1, 0])
        for (depth, colours, rows) in [
            (8, 0, [0, 1, 2, 3, 0, 4, 5, 6] as [UInt8]), (1, 0, [0, 0b1010_0000]),
            (8, 3, [0, 2, 1, 0]),
        ] {
            let file = TestImages.png(3, 4, depth: depth, colours: colours, rows: rows)
            let expected = RGBImage(try decoded(file))
            // Some versions of libpng reject it, and a missing palette.
            guard let image = try? decoded(Array(file[..<8] + first + file[8...])) else { continue }
            #expect(RGBImage(image).pixels == expected.pixels, "colour type \(colours)")
        }
    }

    @Test func damagedUnneededChunksAreIgnored() throws {
        let expected = RGBImage(try decoded(TestImages.smallPNG()))
        for chunks in [
            [TestImages.chunk("gAMA", [1, 2])], [TestImages.chunk("iCCP", [1, 2, 3])],
            [TestImages.chunk("sRGB", [0]), TestImages.chunk("sRGB", [0])],
            [TestImages.chunk("tIME", [0], isDamaged: true)], [TestImages.chunk("bKGD", [])],
            [TestImages.chunk("zTXt", [65, 0, 0, 9, 9])], [TestImages.chunk("PLTE", [1, 2])],
            [TestImages.chunk("hIST", [1]), TestImages.chunk("abCd", [])],
        ] {
            let image = try decoded(TestImages.smallPNG(before: chunks))
            #expect(RGBImage(image) == expected, "\(chunks)")
        }
        // Transparency before a palette that is only a suggestion.
        let file = TestImages.png(
            1, 1, colours: 2, rows: [0, 10, 20, 30],
            before: [
                TestImages.chunk("tRNS", [0, 10, 0, 20, 0, 30]),
                TestImages.chunk("PLTE", [1, 2, 3]),
            ])
        #expect(RGBImage(try decoded(file)).pixels == [10, 20, 30])
    }
}
