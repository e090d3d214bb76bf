import TestSupport
import Testing

@testable import CLIP
@testable import Images

/// A file of Tests/Fixtures/codecs and its pixels, which Scripts/parity/goldens_codecs.py wrote.
private struct CodecFile: Sendable, CustomTestStringConvertible {
    let name: String
    let width: Int
    let height: Int
    let offset: Int
    /// The largest difference that versions of the libraries may make.
    let tolerance: Int

    var testDescription: String { name }
    var path: String { Fixtures.path("codecs/\(name)") }

    /// Returns the files of an extension; none if their library is missing.
    static func files(_ suffixes: [String], _ library: String?) -> [CodecFile] {
        guard library != nil, let bytes = try? bytes(ofFile: Fixtures.path("codecs/images.txt"))
        else { return [] }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").compactMap { line in
            let fields = line.split(separator: " ")
            let numbers = fields.dropFirst().compactMap { Int($0) }
            guard numbers.count == 4, suffixes.contains(where: { fields[0].hasSuffix($0) }) else {
                return nil
            }
            return CodecFile(
                name: String(fields[0]), width: numbers[0], height: numbers[1],
                offset: numbers[2], tolerance: numbers[3])
        }
    }

    static let heif = files([".heic", ".avif"], CodecVersions.heif)
    static let tiff = files([".tif"], CodecVersions.tiff)
    static let jpegXL = files([".jxl"], CodecVersions.jpegXL)
}

/// Tests the formats that are decoded by libraries loaded at run time.
@Suite struct LibraryFormatTests {
    private func decoded(
        _ bytes: [UInt8], maximumPixels: Int = 1 << 20, memoryLimit: Int = 64 << 20
    ) throws -> DecodedImage {
        var options = DecodedImage.Options(maximumPixels: maximumPixels)
        options.scales16Bits = true
        options.memoryLimit = memoryLimit
        return try DecodedImage(decoding: bytes, options: options)
    }

    private func compare(_ file: CodecFile) throws {
        let pixels = try bytes(ofFile: Fixtures.path("codecs/pixels.bin"))
        let image = try decoded(bytes(ofFile: file.path))
        try #require(image.width == file.width && image.height == file.height)
        #expect(image.orientation == 1)
        let count = file.width * file.height
        var colours = [UInt8](repeating: 0, count: 3 * count)
        var alpha = colours
        let (rows, columns) = (0..<file.height, 0..<file.width)
        image.copy(.colours, rows: rows, columns: columns, into: &colours)
        image.copy(.alpha, rows: rows, columns: columns, into: &alpha)
        var worst = 0
        for i in 0..<count {
            let expected = pixels[(file.offset + 4 * i)..<(file.offset + 4 * i + 4)]
            let found = [colours[3 * i], colours[3 * i + 1], colours[3 * i + 2], alpha[3 * i]]
            for (one, other) in zip(found, expected) {
                worst = max(worst, abs(Int(one) - Int(other)))
            }
        }
        #expect(worst <= file.tolerance)
    }

    /// Decodes damaged copies of a file: bytes are replaced, removed and repeated.
    private func damage(_ files: [CodecFile]) throws {
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        func random(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(bound))
        }
        for i in 0..<300 {
            var bytes = try bytes(ofFile: files[i % files.count].path)
            for _ in 0...random(6) { bytes[random(bytes.count)] = UInt8(random(256)) }
            switch random(4) {
            case 0: bytes.removeLast(random(bytes.count))
            case 1: bytes.insert(contentsOf: bytes.suffix(random(64)), at: random(bytes.count))
            default: break
            }
            // An image or a typed error, and no crash.
            _ = try? decoded(bytes, maximumPixels: 1 << 16)
        }
    }

    @Test(.enabled(if: CodecVersions.heif != nil), arguments: CodecFile.heif)
    fileprivate func heifEqualsPillow(_ file: CodecFile) throws { try compare(file) }

    @Test(.enabled(if: CodecVersions.tiff != nil), arguments: CodecFile.tiff)
    fileprivate func tiffEqualsPillow(_ file: CodecFile) throws { try compare(file) }

    @Test(.enabled(if: CodecVersions.jpegXL != nil), arguments: CodecFile.jpegXL)
    fileprivate func jpegXLEqualsDjxl(_ file: CodecFile) throws { try compare(file) }

    @Test(.enabled(if: CodecVersions.heif != nil)) func damagedHEIFIsSurvived() throws {
        try damage(CodecFile.heif)
    }

    @Test(.enabled(if: CodecVersions.tiff != nil)) func damagedTIFFIsSurvived() throws {
        try damage(CodecFile.tiff)
    }

    @Test(.enabled(if: CodecVersions.jpegXL != nil)) func damagedJPEGXLIsSurvived() throws {
        try damage(CodecFile.jpegXL)
    }

    @Test func signaturesAreRecognised() throws {
        for name in ["rgb.heic", "444-8.avif", "rgb-8-little.tif", "container.jxl", "rgb.jxl"] {
            #expect(try isImage(bytes(ofFile: Fixtures.path("codecs/\(name)"))), "\(name)")
        }
        let film = [0, 0, 0, 24] + Array("ftypisom\0\0\0\u{1}mp42isom".utf8)
        #expect(!isImage(film))
    }

    /// Without a library, the error names the library and its package.
    @Test func missingLibrariesAreNamed() throws {
        for (name, version, library) in [
            ("rgb.heic", CodecVersions.heif, "libheif"),
            ("rgb-8-little.tif", CodecVersions.tiff, "libtiff"),
            ("rgb.jxl", CodecVersions.jpegXL, "libjxl"),
        ] where version == nil {
            do {
                _ = try decoded(bytes(ofFile: Fixtures.path("codecs/\(name)")))
                Issue.record("\(name) was decoded without \(library)")
            } catch ImageDecodingError.unsupported(let text) {
                #expect(text.contains(library) && text.contains("Debian"), "\(text)")
            }
        }
    }

    @Test(
        .enabled(if: CodecVersions.tiff != nil),
        arguments: [
            ("float-16", "TIFF of 16-bit floating-point samples"),
            ("signed-16", "TIFF of 16-bit signed samples"),
            ("lab", "TIFF of CIE L*a*b* colours"),
            ("seven-samples", "TIFF of 7 samples per pixel"),
        ])
    func unsupportedTIFFsAreNamed(_ name: String, _ message: String) throws {
        let bytes = try bytes(ofFile: Fixtures.path("codecs/unsupported/\(name).tif"))
        #expect(throws: ImageDecodingError.unsupported(message)) { try decoded(bytes) }
    }

    @Test func limitsAreCheckedBeforeDecoding() throws {
        for (name, version) in [
            ("rgb-even.heic", CodecVersions.heif), ("rgb-8-little.tif", CodecVersions.tiff),
            ("rgb.jxl", CodecVersions.jpegXL),
        ] where version != nil {
            let bytes = try bytes(ofFile: Fixtures.path("codecs/\(name)"))
            let image = try decoded(bytes)
            let (width, height) = (image.width, image.height)
            #expect(throws: ImageDecodingError.tooLarge(width: width, height: height)) {
                try decoded(bytes, maximumPixels: width * height - 1)
            }
            do {
                _ = try decoded(bytes, memoryLimit: 3 * width * height)
                Issue.record("\(name) was decoded in too little memory")
            } catch ImageDecodingError.needsMemory(_, _, let needed) {
                #expect(needed > 3 * width * height)
            }
        }
    }

    /// A stream that would take gigabytes is refused.
    ///
    /// Its size is also found in the data of an image, and no
    /// refusal comes from bytes that are only similar.
    @Test(.enabled(if: CodecVersions.heif != nil)) func largeHEVCStreamIsRefused() throws {
        let refusal = ImageDecodingError.damaged(
            "its HEVC stream states 16384 x 16384 pixels, its header 64 x 64")
        let large = try bytes(ofFile: Fixtures.path("codecs/large-stream.heic"))
        #expect(throws: refusal) { try decoded(large) }

        // The parameter set in a further box, behind a length of 4 bytes.
        let small = try bytes(ofFile: Fixtures.path("codecs/rgb.heic"))
        let start = try #require(
            large.indices.dropLast().first { large[$0] == 0x42 && large[$0 + 1] == 1 })
        let count = Int(large[start - 1])
        let unit = Array(large[start..<(start + count)])
        func file(_ unit: [UInt8], length: Int) -> [UInt8] {
            let box = [0, 0, 0, UInt8(12 + unit.count)] + Array("mdat".utf8)
            return small + box + [0, 0, 0, UInt8(length)] + unit
        }
        #expect(throws: refusal) { try decoded(file(unit, length: count)) }
        #expect(throws: Never.self) { try decoded(file(unit, length: count + 1)) }
        #expect(throws: Never.self) { try decoded(file(Array(unit.prefix(19)), length: 19)) }
    }

    @Test(.enabled(if: CodecVersions.tiff != nil)) func truncatedTIFFIsRefused() throws {
        let whole = try bytes(ofFile: Fixtures.path("codecs/rgb-8-little.tif"))
        for count in stride(from: 8, to: whole.count - 160, by: 31) {
            #expect(throws: ImageDecodingError.self) { try decoded(Array(whole.prefix(count))) }
        }
    }

    /// The reference is Pillow: `I;16` is not inverted, and 12 bits are not scaled.
    @Test(.enabled(if: CodecVersions.tiff != nil)) func grey16IsKeptOnRequest() throws {
        let bytes = try bytes(ofFile: Fixtures.path("codecs/grey-16.tif"))
        let image = try DecodedImage(decoding: bytes, options: .init(maximumPixels: 1 << 20))
        #expect(image.kind == .grey16)
        let high = try decoded(bytes)
        var samples = [UInt16](repeating: 0, count: image.width)
        var colours = [UInt8](repeating: 0, count: 3 * image.width)
        image.copy16(rows: 0..<1, columns: 0..<image.width, into: &samples)
        high.copy(.colours, rows: 0..<1, columns: 0..<image.width, into: &colours)
        for (i, sample) in samples.enumerated() { #expect(UInt8(sample >> 8) == colours[3 * i]) }
    }
}
