import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Compares resizing from the decoder's memory with resizing of an array of pixels.
@Suite struct PixelViewTests {
    /// Samples that look like noise on a gradient.
    private static func samples(_ count: Int) -> [UInt8] {
        var random: UInt32 = 12345
        return (0..<count).map { index in
            random = random &* 1_664_525 &+ 1_013_904_223
            return UInt8(truncatingIfNeeded: UInt32(index / 700) &+ random >> 27)
        }
    }

    private static let palette = (0..<1024).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ $0 >> 3) }

    private func image(
        _ kind: DecodedImage.Kind, _ bytesPerPixel: Int, width: Int, height: Int, orientation: Int
    ) -> DecodedImage {
        DecodedImage(
            width: width, height: height, kind: kind,
            hasMask: kind == .rgb && bytesPerPixel % 2 == 0, bytesPerPixel: bytesPerPixel,
            samples: Self.samples(width * height * bytesPerPixel), palette: Self.palette,
            orientation: orientation)
    }

    /// The sizes need several of the blocks that are copied at once, by rows and by columns.
    @Test(arguments: [(600, 500), (250, 900)], [1, 4, 6, 7])
    func viewIsResizedLikeAnArray(size: (Int, Int), orientation: Int) throws {
        for (kind, bytesPerPixel) in [
            (DecodedImage.Kind.rgb, 1), (.rgb, 2), (.rgb, 3), (.rgb, 4), (.rgba, 2), (.rgba, 4),
        ] {
            let source = RGBImage(
                image(
                    kind, bytesPerPixel, width: size.0, height: size.1, orientation: orientation
                ).upright())
            let copy = try RGBImage(
                width: source.width, height: source.height, pixels: source.pixels,
                alpha: kind == .rgba ? source.alpha : nil)
            for mode in [ImagePreprocessor.ResizeMode.shortest, .squash] {
                var preprocessor = ImagePreprocessor(resolution: 50)
                preprocessor.resizeMode = mode
                let found = preprocessor.resizedAndCropped(source)
                #expect(
                    found == preprocessor.resizedAndCropped(copy),
                    "\(kind) of \(bytesPerPixel) bytes, \(mode), orientation \(orientation)")
            }
            #expect((source == copy) == (kind == .rgba || bytesPerPixel % 2 == 1))
        }
    }

    @Test(arguments: [(600, 500), (250, 1200)])
    func rotated16BitSamplesAreResizedLikeUprightOnes(size: (Int, Int)) {
        let (width, height) = size
        let lying = image(.grey16, 2, width: height, height: width, orientation: 6)
        // Row y of the rotated image is column y of the other one, from the bottom.
        let bytes = Self.samples(2 * width * height)
        var samples: [UInt8] = []
        for y in 0..<height {
            for x in 0..<width {
                let place = 2 * ((width - 1 - x) * height + y)
                samples += bytes[place..<(place + 2)]
            }
        }
        let standing = DecodedImage(
            width: width, height: height, kind: .grey16, bytesPerPixel: 2, samples: samples)
        let (one, other) = (RGBImage(lying.upright()), RGBImage(standing))
        #expect(one == other)
        #expect(one.width == width)
        let preprocessor = ImagePreprocessor(resolution: 40)
        #expect(preprocessor.resizedAndCropped(one) == preprocessor.resizedAndCropped(other))
    }

    @Test func viewsOfPixels() {
        func view(_ image: DecodedImage, _ view: DecodedImage.View) -> [UInt8] {
            var target = [UInt8](repeating: 0, count: 3 * image.width * image.height)
            image.copy(
                view, rows: 0..<image.height, columns: 0..<image.width, into: &target)
            return target
        }
        let rgba = DecodedImage(
            width: 2, height: 1, kind: .rgba, bytesPerPixel: 4,
            samples: [10, 20, 30, 0, 200, 100, 51, 128])
        #expect(view(rgba, .colours) == [10, 20, 30, 200, 100, 51])
        #expect(view(rgba, .alpha) == [0, 0, 0, 128, 128, 128])
        #expect(view(rgba, .premultiplied) == [0, 0, 0, 100, 50, 26])
        #expect(view(rgba, .onWhite) == [255, 255, 255, 227, 177, 153])
        let grey = DecodedImage(
            width: 1, height: 1, kind: .rgba, bytesPerPixel: 2, samples: [200, 128])
        #expect(view(grey, .colours) == [200, 200, 200])
        #expect(view(grey, .premultiplied) == [100, 100, 100])
        let wide = DecodedImage(
            width: 3, height: 1, kind: .grey16, bytesPerPixel: 2, samples: [0, 7, 1, 0, 0, 255])
        #expect(view(wide, .colours) == [7, 7, 7, 255, 255, 255, 255, 255, 255])
        let ink = DecodedImage(
            width: 1, height: 1, kind: .cmyk, bytesPerPixel: 4, samples: [1, 2, 3, 4])
        #expect(view(ink, .inks) == [1, 2, 3])
        #expect(view(ink, .black) == [4, 4, 4])
        #expect(view(ink, .alpha) == [255, 255, 255])
    }
}
