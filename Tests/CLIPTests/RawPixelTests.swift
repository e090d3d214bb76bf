import Foundation
import TestSupport
import Testing

@testable import CLIP

/// Tests images from raw pixels, from collections of bytes, and from URLs.
@Suite struct RawPixelTests {
    private let width = 5
    private let height = 3
    /// Red, green, blue and alpha of each pixel; all bytes of a pixel differ.
    private let pixels: [[UInt8]] = (0..<15).map { (i: UInt8) -> [UInt8] in
        let first = i * 17 % 61
        return [first, first + 60, first + 120, first + 180]
    }

    /// The bytes of the pixels in a channel order, with a gap between rows.
    private func rawBytes(_ order: RGBImage.ChannelOrder, gap: Int) -> [UInt8] {
        let places =
            switch order {
            case .rgb: [0, 1, 2]
            case .bgr: [2, 1, 0]
            case .rgba: [0, 1, 2, 3]
            case .bgra: [2, 1, 0, 3]
            case .argb: [3, 0, 1, 2]
            case .abgr: [3, 2, 1, 0]
            case .grey: [1]
            }
        var bytes: [UInt8] = []
        for y in 0..<height {
            for pixel in pixels[(y * width)..<((y + 1) * width)] {
                bytes += places.map { pixel[$0] }
            }
            bytes += [UInt8](repeating: 255, count: gap)
        }
        return bytes
    }

    @Test(arguments: RGBImage.ChannelOrder.allCases, [0, 1, 7])
    func everyOrderAndStrideIsRead(_ order: RGBImage.ChannelOrder, gap: Int) throws {
        let expected: [UInt8] = pixels.flatMap { pixel -> [UInt8] in
            order == .grey ? [pixel[1], pixel[1], pixel[1]] : Array(pixel[..<3])
        }
        let stride = order.bytesPerPixel * width + gap
        let all = rawBytes(order, gap: gap)
        for bytes in [all, Array(all.dropLast(gap))] {
            let image = try RGBImage(
                width: width, height: height, bytes: bytes, bytesPerRow: stride, order: order)
            #expect(image.width == width && image.height == height && image.alpha == nil)
            #expect(image.pixels == expected)
        }
        if gap == 0 {
            let image = try RGBImage(width: width, height: height, bytes: all[...], order: order)
            #expect(image.pixels == expected)
        }
    }

    @Test func rawPixelsGiveTheSameInputAsAFile() throws {
        let file = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.png"))
        let raw = try RGBImage(
            width: file.width, height: file.height, bytes: file.pixels, order: .rgb)
        #expect(raw == file)
        let grey = try RGBImage(contentsOfFile: Fixtures.path("images/grey.png"))
        let rawGrey = try RGBImage(
            width: grey.width, height: grey.height,
            bytes: stride(from: 0, to: grey.pixels.count, by: 3).map { grey.pixels[$0] },
            order: .grey)
        let preprocessor = ImagePreprocessor(resolution: 32)
        #expect(preprocessor(rawGrey) == preprocessor(grey))
    }

    @Test func wrongPixelSizesAreRejected() {
        let all = rawBytes(.bgra, gap: 2)  // 3 rows of 22 bytes, 20 of which are pixels
        for count in [0, 1, 63, 67] {
            let some = Array((all + all).prefix(count))
            #expect(throws: CLIPError.wrongPixelCount(expected: 66, found: count)) {
                try RGBImage(width: 5, height: 3, bytes: some, bytesPerRow: 22, order: .bgra)
            }
        }
        for stride in [-22, 0, 19] {
            #expect(throws: CLIPError.wrongBytesPerRow(expected: 20, found: stride)) {
                try RGBImage(width: 5, height: 3, bytes: all, bytesPerRow: stride, order: .bgra)
            }
        }
        for (width, height) in [(0, 3), (5, 0), (-1, 3), (.max, 3), (5, .max), (.max, .max)] {
            #expect(throws: CLIPError.self, "\(width) x \(height)") {
                try RGBImage(width: width, height: height, bytes: all, order: .bgra)
            }
        }
        #expect(throws: CLIPError.self) {
            try RGBImage(width: 5, height: 3, bytes: all, bytesPerRow: .max, order: .bgra)
        }
    }

    @Test func anyCollectionOfBytesIsDecoded() throws {
        let path = Fixtures.path("images/rgb.jpg")
        let expected = try RGBImage(contentsOfFile: path)
        let file = try bytes(ofFile: path)
        #expect(try RGBImage(decoding: file) == expected)
        #expect(try RGBImage(decoding: ([0, 0] + file)[2...]) == expected)
        #expect(try RGBImage(decoding: ContiguousArray(file)) == expected)
        #expect(try RGBImage(decoding: Data(file)) == expected)
        #expect(try RGBImage(decoding: (Data([0]) + Data(file)).dropFirst()) == expected)
        #expect(throws: CLIPError.self) { try RGBImage(decoding: EmptyCollection()) }
    }

    #if Foundation
        @Test func fileURLsAreRead() throws {
            let path = Fixtures.path("images/rgb.jpg")
            let image = try RGBImage(contentsOfFile: path)
            #expect(try RGBImage(contentsOf: URL(fileURLWithPath: path)) == image)

            let folder = Fixtures.path("models/seeded")
            let model = try CLIPModel(path: folder)
            for isDirectory in [false, true] {
                let url = URL(fileURLWithPath: folder, isDirectory: isDirectory)
                #expect(try CLIPModel(contentsOf: url).fingerprint == model.fingerprint)
            }
            let copies = try TemporaryFolder()
            let copy = URL(fileURLWithPath: copies.path + "/a copy.safetensors")
            try model.write(safetensors: copy)
            #expect(
                try CLIPModel(contentsOf: copy).encode(image: image) == model.encode(image: image))
        }

        @Test func otherURLsAreRefused() throws {
            for text in ["https://example.org/a.jpg", "data:,x", "a.jpg"] {
                let url = try #require(URL(string: text))
                let reason = "it is not the URL of a file"
                #expect(throws: CLIPError.unreadableFile(path: text, reason: reason)) {
                    try RGBImage(contentsOf: url)
                }
                #expect(throws: CLIPError.unreadableFile(path: text, reason: reason)) {
                    try CLIPModel(contentsOf: url)
                }
                let model = try CLIPModel(path: Fixtures.path("models/seeded"))
                #expect(throws: CLIPError.unwritableFile(path: text, reason: reason)) {
                    try model.write(safetensors: url)
                }
            }
        }
    #endif
}
