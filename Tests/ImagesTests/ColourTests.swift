import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Compares the conversion of ICC profiles with Pillow's ImageCms.
///
/// The files are those of Scripts/parity/goldens_colour.py.
@Suite(.enabled(if: CodecVersions.lcms != nil)) struct ColourTests {
    /// The version of Little CMS by which Pillow made the goldens.
    private static let goldenVersion = "2.19"

    /// An image with a profile, and the file of its sRGB.
    static let converted = [
        ("adobe-palette.png", "adobe-palette"), ("adobe-progressive.jpg", "adobe-progressive"),
        ("adobe-rgb.png", "adobe-rgb"), ("adobe-webp-alpha.webp", "adobe-webp-alpha"),
        ("cmyk.jpg", "cmyk"), ("grey-alpha.png", "grey-alpha"), ("grey-jpeg.jpg", "grey-jpeg"),
        ("grey.png", "grey"), ("p3-rgb.jpg", "p3-rgb"), ("p3-rgba.png", "p3-rgba"),
        ("p3-webp.webp", "p3-webp"), ("prophoto-rgb.png", "prophoto-rgb"),
    ]

    static let kept = [
        "cmyk-of-rgb.jpg", "cut.jpg", "grey-of-rgb.jpg", "grey-srgb.png", "rgb-of-grey.png",
        "srgb-formula.png", "srgb-lcms.jpg", "srgb-palette.png", "srgb-table.jpg", "text.png",
    ]

    private func file(_ name: String) throws -> [UInt8] {
        try bytes(ofFile: Fixtures.path("colour/\(name)"))
    }

    private func decoded(_ bytes: [UInt8], converts: Bool = true) throws -> DecodedImage {
        var options = DecodedImage.Options(maximumPixels: 1 << 20)
        options.convertsColours = converts
        return try DecodedImage(decoding: bytes, options: options)
    }

    /// Returns the colours and, if the image has any, the alpha.
    private func samples(_ image: DecodedImage) -> [UInt8] {
        var target = [UInt8](repeating: 0, count: 3 * image.width * image.height)
        image.copy(.colours, rows: 0..<image.height, columns: 0..<image.width, into: &target)
        let colours = target
        image.copy(.alpha, rows: 0..<image.height, columns: 0..<image.width, into: &target)
        return colours + target
    }

    private func isReadable(_ name: String) -> Bool {
        #if WebP
            true
        #else
            !name.hasSuffix(".webp")
        #endif
    }

    @Test(arguments: converted) func equalsPillow(_ name: String, _ expected: String) throws {
        guard isReadable(name) else { return }
        let found = try decoded(file(name))
        let golden = samples(try decoded(file("expected/\(expected).png")))
        #expect(found.kind != .cmyk)
        guard name == "cmyk.jpg", CodecVersions.lcms != Self.goldenVersion else {
            #expect(firstDifference(samples(found), golden) == nil)
            return
        }
        // Other versions of Little CMS interpolate between inks in another way: 2.14 differs from
        // 2.19 by up to 8 levels in this image, whose inks are noise.
        let differences = zip(samples(found), golden).map { abs(Int($0) - Int($1)) }
        #expect((differences.max() ?? 0) <= 12)
        #expect(differences.reduce(0, +) < differences.count)
    }

    @Test(arguments: converted) func profileIsIgnoredOnRequest(_ name: String, _: String) throws {
        guard isReadable(name) else { return }
        let ignoring = try decoded(file(name), converts: false)
        #expect(try samples(decoded(file(name))) != samples(ignoring))
        let path = Fixtures.path("colour/\(name)")
        let reference = try RGBImage(contentsOfFile: path, options: .reference)
        #expect(firstDifference(reference.pixels, RGBImage(ignoring).pixels) == nil)
        let converting = RGBImage(try decoded(file(name))).pixels
        #expect(try RGBImage(contentsOfFile: path).pixels == converting)
    }

    /// A profile of sRGB, an invalid one, and one for another kind of pixels change nothing.
    @Test(arguments: kept) func otherImagesKeepTheirPixels(_ name: String) throws {
        let found = try decoded(file("kept/\(name)"))
        let ignoring = try decoded(file("kept/\(name)"), converts: false)
        #expect(found.kind == ignoring.kind)
        #expect(firstDifference(samples(found), samples(ignoring)) == nil)
    }

    @Test func grey16IsConvertedOnlyIfScaled() throws {
        let profile = try file("grey.icc")
        let png = TestImages.png(
            2, 1, depth: 16, colours: 0, rows: [0, 100, 0, 200, 0],
            before: [Self.pngProfile(profile)])
        var options = DecodedImage.Options(maximumPixels: 100)
        options.convertsColours = true
        let kept = RGBImage(try DecodedImage(decoding: png, options: options))
        #expect(kept.pixels == [255, 255, 255, 255, 255, 255])
        options.scales16Bits = true
        let scaled = RGBImage(try DecodedImage(decoding: png, options: options))
        #expect(scaled.pixels[0] > 105 && scaled.pixels[3] > 203, "\(scaled.pixels)")
    }

    @Test func reducedJPEGIsConverted() throws {
        var options = RGBImage.DecodingOptions()
        options.smallestSide = 10
        let path = Fixtures.path("colour/p3-rgb.jpg")
        let reduced = try RGBImage(contentsOfFile: path, options: options)
        options.convertsColours = false
        let ignoring = try RGBImage(contentsOfFile: path, options: options)
        #expect(reduced.width == 12 && ignoring.width == 12)
        #expect(reduced.pixels != ignoring.pixels)
    }

    // MARK: profiles in files

    private static func pngProfile(
        _ profile: [UInt8], method: UInt8 = 0, isDamaged: Bool = false
    ) -> [UInt8] {
        TestImages.chunk(
            "iCCP", Array("name".utf8) + [0, method] + TestImages.stored(profile),
            isDamaged: isDamaged)
    }

    private func pixels(_ chunks: [[UInt8]], after: [[UInt8]] = []) throws -> [UInt8] {
        RGBImage(try decoded(TestImages.smallPNG(before: chunks, after: after))).pixels
    }

    @Test func damagedPNGProfilesAreIgnored() throws {
        let profile = try file("grey.icc")
        let plain = try pixels([])
        let converted = try pixels([Self.pngProfile(profile)])
        #expect(plain != converted)
        let whole = Array("name".utf8) + [0, 0] + TestImages.stored(profile)
        for chunk in [
            Self.pngProfile(profile, method: 1), Self.pngProfile(profile, isDamaged: true),
            Self.pngProfile([]), Self.pngProfile([0, 0]),
            Self.pngProfile([0xFF, 0xFF, 0xFF, 0xFF]),
            Self.pngProfile(Array(profile.dropLast(90))), TestImages.chunk("iCCP", []),
            TestImages.chunk("iCCP", Array("name".utf8)), TestImages.chunk("iCCP", [65, 0]),
            TestImages.chunk("iCCP", [65, 0, 0]), TestImages.chunk("iCCP", [65, 0, 0, 9, 9, 9]),
            TestImages.chunk("iCCP", whole.dropLast(40)),
        ] {
            #expect(try pixels([chunk]) == plain, "\(chunk)")
        }
        // A profile must come before the pixels.
        #expect(try pixels([], after: [Self.pngProfile(profile)]) == plain)
    }

    /// A JPEG with a profile in parts, given by their number, their count and their data.
    private func jpeg(
        _ parts: [(number: Int, count: Int, data: ArraySlice<UInt8>)]
    ) throws -> [UInt8] {
        var file = try bytes(ofFile: Fixtures.path("images/grey.jpg"))
        for part in parts.reversed() {
            let data =
                Array("ICC_PROFILE".utf8) + [0, UInt8(part.number), UInt8(part.count)] + part.data
            let size = data.count + 2
            file.insert(
                contentsOf: [0xFF, 0xE2, UInt8(size >> 8), UInt8(size & 255)] + data, at: 2)
        }
        return file
    }

    @Test func partsOfJPEGProfilesAreOrderedByNumber() throws {
        let profile = try file("grey.icc")
        let (one, two, three) = (profile[..<100], profile[100..<200], profile[200...])
        let plain = samples(try decoded(jpeg([])))
        let whole = samples(try decoded(jpeg([(1, 1, profile[...])])))
        #expect(plain != whole)
        for parts in [
            [(1, 3, one), (2, 3, two), (3, 3, three)], [(3, 3, three), (1, 3, one), (2, 3, two)],
        ] {
            #expect(try samples(decoded(jpeg(parts))) == whole)
        }
        for parts in [
            [(1, 3, one), (2, 3, two)], [(1, 3, one), (2, 3, two), (2, 3, three)],
            [(1, 3, one), (2, 2, two), (3, 3, three)], [(0, 1, profile[...])],
            [(2, 1, profile[...])], [(1, 0, profile[...])], [(1, 1, [])],
            [(1, 3, one), (2, 3, two), (3, 3, three), (3, 3, three)],
        ] {
            #expect(try samples(decoded(jpeg(parts))) == plain, "\(parts.map { ($0.0, $0.1) })")
        }
    }

    // MARK: invalid profiles

    /// Cut and changed profiles convert the pixels in some way, or not at all.
    @Test(arguments: ["wide.icc", "grey.icc", "cmyk.icc"])
    func mutatedProfilesAreSurvived(_ name: String) throws {
        let profile = try file(name)
        var random = SplitMix(seed: 7)
        for _ in 0..<100 {
            var changed = profile
            for _ in 0...Int(random.next() % 6) {
                changed[Int(random.next() % UInt64(changed.count))] = UInt8(
                    truncatingIfNeeded: random.next())
            }
            if random.next() % 4 == 0 {
                changed.removeLast(Int(random.next() % UInt64(changed.count)))
            }
            let image: [UInt8]
            switch name {
            case "grey.icc": image = TestImages.smallPNG(before: [Self.pngProfile(changed)])
            case "wide.icc":
                image = TestImages.png(
                    2, 1, colours: 2, rows: [0, 1, 2, 3, 200, 90, 7],
                    before: [Self.pngProfile(changed)])
            default: image = try Self.replacingProfile(of: file("cmyk.jpg"), with: changed)
            }
            let found = try decoded(image)
            #expect(found.width > 1)
        }
    }

    /// Replaces the first APP2 segment of a JPEG.
    private static func replacingProfile(
        of jpeg: [UInt8], with profile: [UInt8]
    ) throws -> [UInt8] {
        let start = try #require(
            jpeg.indices.dropLast(4).first { jpeg[$0] == 0xFF && jpeg[$0 + 1] == 0xE2 })
        let length = Int(jpeg[start + 2]) << 8 | Int(jpeg[start + 3])
        let data = Array("ICC_PROFILE".utf8) + [0, 1, 1] + profile
        let size = data.count + 2
        return jpeg[..<start] + [0xFF, 0xE2, UInt8(size >> 8), UInt8(size & 255)] + data
            + jpeg[(start + 2 + length)...]
    }

    @Test func conversionsOfManyThreadsAgree() async throws {
        let names = Self.converted.map(\.0).filter(isReadable)
        let expected = try names.map { try samples(decoded(file($0))) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for turn in 0..<8 * names.count {
                group.addTask {
                    let place = turn * 5 % names.count
                    let found = try samples(decoded(file(names[place])))
                    #expect(found == expected[place])
                }
            }
            try await group.waitForAll()
        }
    }
}

/// A generator of the same numbers in each run.
private struct SplitMix {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}
