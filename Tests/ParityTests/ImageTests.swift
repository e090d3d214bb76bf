import TestSupport
import Testing

@testable import CLIP

/// Compares pixels with Pillow's and torchvision's, to the bit.
@Suite struct ImageTests {
    static let names: [String] = {
        (try? Goldens("images/images.safetensors"))?.names.filter { $0.contains("@") } ?? []
    }()

    @Test func goldensExist() { #expect(Self.names.count > 100) }

    /// Each name is FILE@RESOLUTION, the same with the suffix @exif, @hf or @cut, or FILE@decoded.
    @Test(arguments: names) func equalsPillow(_ name: String) throws {
        let parts = name.split(separator: "@").map(String.init)
        #if !WebP
            if parts[0].hasSuffix(".webp") { return }
        #endif
        let expected = try Goldens("images/images.safetensors").bytes(name)
        var options: RGBImage.DecodingOptions = parts.last == "exif" ? .init() : .reference
        options.allowsTruncated = parts.last == "cut"
        let image = try RGBImage(
            contentsOfFile: Fixtures.path("images/\(parts[0])"), options: options)
        guard let resolution = Int(parts[1]) else {
            #expect(firstDifference(image.pixels, expected) == nil)
            return
        }
        var preprocessor = ImagePreprocessor(resolution: resolution)
        preprocessor.rules = parts.last == "hf" ? .huggingFace : .openAI
        let pixels = preprocessor.resizedAndCropped(image)
        let worst = worstDifference(pixels.map(Float.init), expected.map(Float.init), limit: 0)
        #expect(worst == nil)
    }

    @Test func normalisedFloatsAreEqual() throws {
        let expected = try Goldens("images/images.safetensors").floats("normalised")
        let image = try RGBImage(contentsOfFile: Fixtures.path("images/rgb.jpg"))
        let found = ImagePreprocessor(resolution: 32)(image)
        #expect(firstDifference(found, expected) == nil)
    }
}
