import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPAnalysis

/// Tests that images are duplicates only if their pixels agree.
@Suite struct PixelComparisonTests {
    private func image(_ canvas: Canvas) throws -> RGBImage {
        let alpha = stride(from: 3, to: canvas.pixels.count, by: 4).map { canvas.pixels[$0] }
        return try RGBImage(
            width: canvas.width, height: canvas.height, pixels: canvas.rgb, alpha: alpha)
    }

    private func compared(_ canvas: Canvas) throws -> ComparedImage {
        try ComparedImage(decoding: canvas.png)
    }

    private static var copies: [String] {
        #if WebP
            ["rgb-444.jpg", "rgb-lossless.webp"]
        #else
            ["rgb-444.jpg"]
        #endif
    }

    /// The fixtures are one small and noisy scene of 8-bit RGB.
    ///
    /// Those whose colours are stored at half the size differ from it by 200 levels, and are not
    /// taken for copies.
    @Test(arguments: copies)
    func otherFormatsAreDuplicates(_ name: String) throws {
        let original = try ComparedImage(
            decoding: bytes(ofFile: Fixtures.path("images/rgb.png")))
        let other = try ComparedImage(decoding: bytes(ofFile: Fixtures.path("images/\(name)")))
        guard (original.width, original.height) == (other.width, other.height) else {
            Issue.record("\(name): \(other.width) x \(other.height)")
            return
        }
        let difference = PixelDifference(original, other)
        #expect(difference?.isDuplicate == true, "\(name): \(String(describing: difference))")
    }

    @Test(arguments: [60, 75, 90], [1, 0.75, 0.5, 0.34])
    func jpegCopiesAreDuplicates(_ quality: Int, _ scale: Double) throws {
        var scene = Canvas(600, 450, [90, 140, 200, 255])
        scene.fill([40, 110, 60, 255]) { x, y in y > 250 + (x * x / 3000) % 60 }
        scene.fill([230, 200, 40, 255]) { x, y in
            (x - 420) * (x - 420) + (y - 110) * (y - 110) < 3600
        }
        scene.fill(80, 200, 120, 160, [150, 60, 50, 255])
        let side = Int((600 * scale).rounded())
        let file = try image(scene).thumbnail(fitting: side, quality: quality)
        let difference = PixelDifference(try compared(scene), try ComparedImage(decoding: file))
        #expect(
            difference?.isDuplicate == true,
            "quality \(quality), scale \(scale): \(String(describing: difference))")
    }

    @Test(arguments: [70, 95])
    func jpegCopiesOfPagesAreDuplicates(_ quality: Int) throws {
        let page = Canvas.page(seed: 3)
        let file = try image(page).thumbnail(fitting: 480, quality: quality)
        let difference = PixelDifference(try compared(page), try ComparedImage(decoding: file))
        #expect(
            difference?.isDuplicate == true,
            "quality \(quality): \(String(describing: difference))")
    }

    /// Changes one stroke of a letter, a thin line, or a word on a blank page.
    @Test(arguments: [60, 95])
    func smallChangesMakeImagesDifferent(_ quality: Int) throws {
        let page = Canvas.page(seed: 4)
        let blank = Canvas(480, 360)
        var letter = page
        letter.fill(114, 126, 9, 2, [0, 0, 0, 255])
        letter.fill(118, 126, 2, 12, [0, 0, 0, 255])
        letter.fill(114, 136, 9, 2, [255, 255, 255, 255])
        var line = page
        line.fill(60, 335, 180, 1, [0, 0, 0, 255])
        var word = blank
        for x in stride(from: 200, to: 250, by: 14) { word.fill(x, 170, 3, 12, [0, 0, 0, 255]) }
        for (name, original, changed) in [
            ("letter", page, letter), ("line", page, line), ("word", blank, word),
            ("page", page, Canvas.page(seed: 5)),
        ] {
            let exact = PixelDifference(try compared(original), try compared(changed))
            #expect(exact?.isDuplicate != true, "\(name): \(String(describing: exact))")
            let file = try image(changed).thumbnail(fitting: 480, quality: quality)
            let other = PixelDifference(
                try compared(original), try ComparedImage(decoding: file))
            #expect(
                other?.isDuplicate != true,
                "\(name), quality \(quality): \(String(describing: other))")
        }
    }

    /// Resized with alpha and then without it, all of them would be black for CLIP.
    @Test(arguments: [[0, 0, 0, 255], [255, 255, 255, 255], [200, 30, 90, 255]] as [[UInt8]])
    func logosOnTransparentGroundAreDifferent(_ ink: [UInt8]) throws {
        let ground = Canvas(256, 256, [0, 0, 0, 0])
        var (circle, square, bars) = (ground, ground, ground)
        circle.fill(ink) { x, y in (x - 128) * (x - 128) + (y - 128) * (y - 128) < 6400 }
        square.fill(50, 50, 156, 156, ink)
        for x in stride(from: 50, to: 200, by: 40) { bars.fill(x, 50, 20, 156, ink) }
        let logos = try [("circle", circle), ("square", square), ("bars", bars)].map {
            ($0.0, try compared($0.1))
        }
        for (place, (name, logo)) in logos.enumerated() {
            let own = PixelDifference(logo, logo)
            #expect(own?.isDuplicate == true, "\(name): \(String(describing: own))")
            for (other, otherLogo) in logos[(place + 1)...] {
                let difference = PixelDifference(logo, otherLogo)
                #expect(
                    difference?.isDuplicate != true,
                    "\(name) and \(other): \(String(describing: difference))")
            }
        }
    }

    @Test func transparentPixelsAreOnWhite() throws {
        var canvas = Canvas(5, 4, [10, 20, 30, 255])
        #expect(try compared(canvas).opacity == nil)
        canvas.fill(2, 1, 1, 1, [0, 100, 255, 0])
        canvas.fill(4, 3, 1, 1, [0, 100, 255, 51])
        let image = try compared(canvas)
        #expect(Array(image.colours[..<3]) == [10, 20, 30])
        #expect(Array(image.colours[21..<24]) == [255, 255, 255], "\(image.colours)")
        #expect(Array(image.colours[57...]) == [204, 224, 255], "\(image.colours)")
        var opacity = [UInt8](repeating: 255, count: 60)
        for place in 21..<24 { opacity[place] = 0 }
        for place in 57..<60 { opacity[place] = 51 }
        #expect(image.opacity == opacity)
    }

    @Test func samplesOf16BitsAreNotCompared() throws {
        var bytes = try bytes(ofFile: Fixtures.path("images/rgb.png"))
        let plain = try ComparedImage(decoding: bytes)
        #expect(!plain.hasMore)
        bytes[24] = 16
        let deep = ComparedImage(
            try RGBImage(decoding: Canvas.page(seed: 1).png), bytes)
        #expect(deep.hasMore)
        #expect(PixelDifference(deep, deep) == nil)
        let animated = Array("RIFF0000WEBPVP8X".utf8) + [10, 0, 0, 0, 2, 0, 0, 0]
        #expect(ComparedImage(try RGBImage(decoding: Canvas(4, 4).png), animated).hasMore)
    }

    /// The cells of large images are as small, so that a black dot at a corner is seen.
    @Test(arguments: [(14_000, 16), (16, 14_000), (1600, 800)])
    func dotsInLargeImagesAreSeen(_ width: Int, _ height: Int) throws {
        let white = [UInt8](repeating: 255, count: 3 * width * height)
        func image(_ pixels: [UInt8]) -> ComparedImage {
            ComparedImage(
                width: width, height: height, colours: pixels, opacity: nil, hasMore: false)
        }
        let same = PixelDifference(image(white), image(white))
        #expect(same?.isDuplicate == true, "\(String(describing: same))")
        // The last dot is between two bands of rows, if there are several.
        let border = min(height - 3, 2 * (PixelDifference.cellsOfABand / (width / 2)) - 1)
        for (x, y) in [
            (width / 2 - 1, height / 2 - 1), (1, 1), (width - 3, height - 3), (1, border),
        ] {
            var dotted = white
            for row in y...y + 1 {
                for place in 3 * (row * width + x)..<3 * (row * width + x + 2) { dotted[place] = 0 }
            }
            let difference = PixelDifference(image(white), image(dotted))
            #expect(
                difference?.isDuplicate == false,
                "dot at \(x), \(y): \(String(describing: difference))")
        }
    }

    /// A file with a video or a second image is not a duplicate because of its first image.
    @Test func jpegsWithSeveralImagesAreNotCompared() throws {
        let plain = try image(Canvas.page(seed: 6)).thumbnail(fitting: 480, quality: 90)
        func segment(_ marker: UInt8, _ content: [UInt8]) -> [UInt8] {
            let length = content.count + 2
            return [0xFF, marker, UInt8(length >> 8), UInt8(length & 255)] + content
        }
        func with(_ segment: [UInt8]) -> [UInt8] { plain[..<2] + segment + plain[2...] }
        let index = Array("MPF\0".utf8)
        // A thumbnail within a segment does not count.
        let thumbnail = [0xFF, 0xD8] + segment(0xE2, index) + [0xFF, 0xD9]
        let scene = try bytes(ofFile: Fixtures.path("images/rgb-progressive.jpg"))
        for (name, file, hasMore) in [
            ("plain", plain, false), ("progressive", scene, false),
            ("a thumbnail", with(segment(0xE1, Array("Exif\0\0".utf8) + thumbnail)), false),
            ("a profile", with(segment(0xE2, Array("ICC_PROFILE\0".utf8))), false),
            ("zeros behind it", plain + [UInt8](repeating: 0, count: 4096), false),
            ("a line behind it", plain + [UInt8](repeating: 10, count: 64), false),
            ("MPF", with(segment(0xE2, index + [UInt8](repeating: 0, count: 40))), true),
            ("a video behind it", plain + [UInt8](repeating: 7, count: 65), true),
            ("an image behind it", plain + plain, true),
        ] {
            let found = try ComparedImage(decoding: file)
            #expect(found.hasMore == hasMore, "\(name), \(file.count) bytes")
            let difference = PixelDifference(found, found)
            #expect((difference == nil) == hasMore, "\(name): \(String(describing: difference))")
        }
    }

    /// A RAW file is not a duplicate of the JPEG that the camera wrote beside it.
    @Test func rawFilesAndAnimationsAreNotCompared() throws {
        for (name, hasMore) in [
            ("canon.cr2", true), ("canon.cr3", true), ("nikon.nef", true), ("fuji.raf", true),
            ("olympus-rs.orf", true), ("olympus-old.orf", true), ("panasonic.rw2", true),
            ("pillow-animation.gif", true), ("disposal-previous.gif", true),
            ("pillow-p.gif", false), ("local.gif", false), ("extensions.gif", false),
            ("no-trailer.gif", false), ("24.bmp", false), ("8.bmp", false),
        ] {
            let file = try bytes(ofFile: Fixtures.path("images/formats/\(name)"))
            #expect(try ComparedImage(decoding: file).hasMore == hasMore, "\(name)")
        }
    }

    /// These formats may have further images, frames or deeper samples beside what is decoded.
    @Test(arguments: ["rgb.heic", "444-8.avif", "rgb-8-little.tif", "container.jxl", "rgb.jxl"])
    func filesOfRicherFormatsAreNotCompared(name: String) throws {
        #expect(isOfRicherFormat(try bytes(ofFile: Fixtures.path("codecs/\(name)"))))
        #expect(!isOfRicherFormat(try bytes(ofFile: Fixtures.path("images/rgb.jpg"))))
    }

    @Test func aspectRatiosAgreeUpToRounding() {
        for (width, height, width2, height2, isSame) in [
            (1000, 701, 370, 259, true), (1000, 701, 370, 260, true), (4000, 3000, 40, 30, true),
            (1000, 1000, 1000, 990, false), (640, 480, 480, 640, false), (100, 50, 30, 17, false),
        ] {
            #expect(
                PixelDifference.haveSameShape(width, height, width2, height2) == isSame,
                "\(width) x \(height) and \(width2) x \(height2)")
        }
    }

    @Test func tinyImagesOfOtherSizesAreNoDuplicates() throws {
        let (large, small) = (Canvas(64, 64), Canvas(32, 32))
        #expect(PixelDifference(try compared(large), try compared(small)) == nil)
        let same = PixelDifference(try compared(small), try compared(small))
        #expect(same?.isDuplicate == true)
        var dot = small
        dot.fill(15, 15, 1, 1, [0, 0, 0, 255])
        let changed = PixelDifference(try compared(small), try compared(dot))
        #expect(changed?.isDuplicate == false, "\(String(describing: changed))")
    }
}
