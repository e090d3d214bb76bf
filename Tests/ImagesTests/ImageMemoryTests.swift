import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// Tests the memory that decoding takes, and its limit.
@Suite(.timeLimit(.minutes(15))) struct ImageMemoryTests {
    private let side = 13377

    /// The error of decoding with the default limits, unless others are given.
    private func error(
        _ bytes: [UInt8], limit: Int = ImageMemory.defaultLimit
    ) -> ImageDecodingError? {
        var options = DecodedImage.Options(maximumPixels: RGBImage.defaultMaximumPixels)
        options.memoryLimit = limit
        do {
            _ = try DecodedImage(decoding: bytes, options: options)
            return nil
        } catch { return error }
    }

    /// Expects a refusal that states the needed bytes: those of the pixels and the coefficients,
    /// and a little for the decoder itself.
    private func expectRefusal(
        _ bytes: [UInt8], of name: String, bytesPerPixel: Double, side: Int,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let found = error(bytes, limit: 10_000_000)
        guard case .needsMemory(let width, let height, let needed) = found else {
            Issue.record(
                "\(name): expected needsMemory, found \(String(describing: found))",
                sourceLocation: sourceLocation)
            return
        }
        #expect(
            width == side, "\(name): \(width) x \(height)",
            sourceLocation: sourceLocation)
        #expect(
            height == side, "\(name): \(width) x \(height)",
            sourceLocation: sourceLocation)
        let least = Int(bytesPerPixel * Double(side * side))
        #expect(
            (least...(least + least / 50 + 4_000_000)).contains(needed),
            "\(name): \(needed) bytes, expected \(least) and some more",
            sourceLocation: sourceLocation)
    }

    @Test(arguments: [
        (1, 0, 1), (4, 0, 1), (8, 0, 1), (16, 0, 2), (8, 4, 2), (16, 4, 2), (8, 3, 1), (8, 2, 3),
        (16, 2, 3), (8, 6, 4), (16, 6, 4),
    ])
    func memoryOfAPNGIsKnownFromItsHeader(depth: Int, colours: Int, bytesPerPixel: Int) {
        let file = TestImages.png(
            side, side, depth: depth, colours: colours, rows: [],
            before: colours == 3 ? [TestImages.chunk("PLTE", [1, 2, 3])] : [])
        expectRefusal(
            file, of: "PNG of \(depth) bits, colour type \(colours)",
            bytesPerPixel: Double(bytesPerPixel), side: side)
    }

    @Test func scaledGrey16TakesOneByteAPixel() throws {
        let file = TestImages.png(
            64, 32, depth: 16, colours: 0,
            rows: Array(
                repeatElement(
                    [0] + (0..<64).flatMap { [UInt8($0), 99] }, count: 32
                ).joined()))
        var options = DecodedImage.Options(maximumPixels: 10_000)
        #expect(try DecodedImage(decoding: file, options: options).bytesPerPixel == 2)
        options.scales16Bits = true
        let image = try DecodedImage(decoding: file, options: options)
        #expect(image.bytesPerPixel == 1)
        #expect(image.kind == .rgb)
        let row = (0..<64).flatMap { [UInt8](repeating: $0, count: 3) }
        #expect(
            firstDifference(RGBImage(image).pixels, Array(repeatElement(row, count: 32).joined()))
                == nil)
    }

    @Test func jpegMemoryIsKnownFromTheHeader() throws {
        for (name, bytesPerPixel) in [
            ("rgb.jpg", 3.0), ("grey.jpg", 1), ("kinds/cmyk.jpg", 4), ("rgb-444.jpg", 3),
            // Three bytes for the result, and coefficients of two bytes: one and a half a pixel for
            // 4:2:0.
            ("rgb-progressive.jpg", 6),
        ] {
            let file = try bytes(ofFile: Fixtures.path("images/\(name)"))
            expectRefusal(
                TestImages.resized(jpeg: file, width: 8000, height: 8000), of: name,
                bytesPerPixel: bytesPerPixel, side: 8000)
        }
        expectRefusal(
            TestImages.resized(
                jpeg: TestImages.progressiveJPEG(scans: 2), width: 8000, height: 8000),
            of: "progressive grey", bytesPerPixel: 3, side: 8000)
    }

    #if WebP
        @Test func losslessWebPMemoryIsKnownFromTheHeader() throws {
            let file = TestImages.webP([TestImages.lossless(8000, 8000)])
            // Three bytes for the result, four for the decoder, and one for its tables.
            expectRefusal(file, of: "WebP", bytesPerPixel: 8, side: 8000)
            let small = TestImages.webP([TestImages.lossless(5, 4)])
            let image = try RGBImage(decoding: small)
            #expect(
                firstDifference(
                    image.pixels, Array(repeatElement([160, 80, 240], count: 20).joined())) == nil)
        }
    #endif

    @Test func refusalStatesNeedAndLimit() throws {
        let file = try bytes(ofFile: Fixtures.path("images/rgb.png"))
        var options = RGBImage.DecodingOptions()
        options.memoryLimit = 1000
        let error = #expect(throws: CLIPError.self) {
            try RGBImage(decoding: file, path: "a.png", options: options)
        }
        guard case .imageNeedsMemory("a.png", 61, 47, let bytes, 1000) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(bytes > 3 * 61 * 47)
        #expect(
            error?.description == """
                the image a.png has 61 x 47 pixels, which take 1.1 MB to decode, more than the \
                0.1 MB that images may take
                """)
        options.memoryLimit = bytes
        #expect(try RGBImage(decoding: file, options: options).width == 61)
    }

    @Test func tooLongPNGSideIsRejected() throws {
        let rows = [UInt8](repeating: 0, count: 125_001)
        let fits = TestImages.png(1_000_000, 1, depth: 1, colours: 0, rows: rows)
        #expect(error(fits) == nil)
        for (width, height) in [
            (1_000_001, 1), (1, 1_000_001), (1, 178_000_000), (178_000_000, 1),
        ] {
            let file = TestImages.png(width, height, depth: 1, colours: 0, rows: rows)
            #expect(error(file) == .sideTooLong(width: width, height: height))
        }
        let file = TestImages.png(1_000_001, 1, depth: 1, colours: 0, rows: rows)
        #expect(
            throws: CLIPError.imageSideTooLong(
                path: "a.png", width: 1_000_001, height: 1, maximumSide: 1_000_000)
        ) { try RGBImage(decoding: file, path: "a.png") }
    }

    // MARK: memory of each thread

    /// An image, and a limit that admits one of it but not two.
    private func imageThatFillsTheLimit() throws -> ([UInt8], DecodedImage.Options) {
        let file = TestImages.png(
            400, 300, colours: 0, rows: [UInt8](repeating: 0, count: 401 * 300))
        var options = DecodedImage.Options(maximumPixels: 1_000_000)
        options.memoryLimit = 0
        let error = #expect(throws: ImageDecodingError.self) {
            try DecodedImage(decoding: file, options: options)
        }
        guard case .needsMemory(_, _, let bytes) = error else {
            Issue.record("\(String(describing: error))")
            return (file, options)
        }
        options.memoryLimit = bytes + 100
        return (file, options)
    }

    @Test func memoryIsReleased() throws {
        let (file, options) = try imageThatFillsTheLimit()
        let damaged = Array(file.dropLast(1000))
        // A share that is not released would block the loop for ever.
        for _ in 0..<50 {
            _ = try DecodedImage(decoding: file, options: options)
            #expect(throws: ImageDecodingError.truncated) {
                try DecodedImage(decoding: damaged, options: options)
            }
            _ = try ImageMemory.whileHolding { try DecodedImage(decoding: file, options: options) }
        }
    }

    @Test func threadsWaitForMemory() throws {
        let (file, options) = try imageThatFillsTheLimit()
        // Half of it is kept once the decoder is done.
        let counts = Mutex((now: 0, most: 0, done: 0))
        DispatchQueue.concurrentPerform(iterations: 64) { _ in
            ImageMemory.whileHolding {
                guard let image = try? DecodedImage(decoding: file, options: options) else {
                    return
                }
                counts.withLock {
                    $0.now += 1
                    $0.most = max($0.most, $0.now)
                }
                #expect(ImageMemory.used >= image.width * image.height)
                counts.withLock {
                    $0.now -= 1
                    $0.done += 1
                }
            }
        }
        let result = counts.withLock { $0 }
        #expect(result.done == 64)
        #expect(result.most == 1, "\(result.most) images at once in the memory of one")
    }

    @Test func threadWithAnImageDoesNotWaitForItself() throws {
        let (file, options) = try imageThatFillsTheLimit()
        DispatchQueue.concurrentPerform(iterations: 16) { _ in
            ImageMemory.whileHolding {
                let images = (0..<3).map { _ in
                    try? DecodedImage(decoding: file, options: options)
                }
                #expect(images.allSatisfy { $0?.width == 400 })
            }
        }
        // Outside such a call, kept images do not count.
        let images = try (0..<3).map { _ in try DecodedImage(decoding: file, options: options) }
        #expect(images.count == 3)
    }

    /// The case of an image that is decoded while a stream decodes another one.
    @Test func nestedCallsShareMemory() throws {
        let (file, options) = try imageThatFillsTheLimit()
        DispatchQueue.concurrentPerform(iterations: 16) { _ in
            ImageMemory.whileHolding {
                let outer = try? DecodedImage(decoding: file, options: options)
                let inner = ImageMemory.whileHolding {
                    try? DecodedImage(decoding: file, options: options)
                }
                let next = try? DecodedImage(decoding: file, options: options)
                #expect([outer, inner, next].allSatisfy { $0?.width == 400 })
            }
        }
    }

    /// The inner of two nested calls releases its own part.
    @Test func nestedCallsReleaseTheirOwnMemory() throws {
        let (file, options) = try imageThatFillsTheLimit()
        try ImageMemory.whileHolding {
            let share = try #require(ImageMemory.Share.current.get())
            func decode() throws { _ = try DecodedImage(decoding: file, options: options) }
            try ImageMemory.whileHolding { try decode() }
            #expect(share.isEmpty, "\(share.count) bytes")
            try decode()
            let one = share.count
            #expect(one >= 400 * 300)
            for _ in 0..<3 {
                try ImageMemory.whileHolding {
                    try decode()
                    #expect(share.count == 2 * one)
                }
                #expect(share.count == one)
            }
        }
    }

    // MARK: scans

    @Test func scansAreLimited() throws {
        let image = try RGBImage(decoding: TestImages.progressiveJPEG(scans: 500))
        #expect(firstDifference(image.pixels, [UInt8](repeating: 128, count: 3 * 16 * 16)) == nil)
        let file = TestImages.progressiveJPEG(scans: 501)
        let expected = CLIPError.tooManyScans(path: "a.jpg", maximumScans: 500)
        #expect(throws: expected) { try RGBImage(decoding: file, path: "a.jpg") }
        #expect(
            expected.description == """
                the image a.jpg is a JPEG of more than 500 scans, the limit for its size
                """)
        var options = RGBImage.DecodingOptions()
        options.maximumScans = 501
        #expect(try RGBImage(decoding: file, options: options) == image)
        options.maximumScans = 3
        #expect(throws: CLIPError.tooManyScans(path: "", maximumScans: 3)) {
            try RGBImage(decoding: TestImages.progressiveJPEG(scans: 4), options: options)
        }
        // Images of 128 million samples may have half as many scans.
        let large = TestImages.resized(
            jpeg: TestImages.progressiveJPEG(scans: 251), width: 8192, height: 16384)
        #expect(error(large) == .tooManyScans(maximum: 250))
        // A baseline JPEG has one scan, whatever follows.
        options.maximumScans = 1
        let baseline = try bytes(ofFile: Fixtures.path("images/rgb.jpg"))
        #expect(try RGBImage(decoding: baseline + file, options: options).width == 61)
    }
}
