internal import Files
internal import Images
internal import Tensors

/// An 8-bit RGB image.
///
/// ```swift
/// let file = try RGBImage(contentsOfFile: "bike.jpg")
/// let frame = try RGBImage(
///     width: 640, height: 480, bytes: buffer, bytesPerRow: 2624, order: .bgra)
/// ```
///
/// It stores the decoded samples: one byte per pixel for a palette or 8-bit grey image, two for
/// 16-bit grey or grey with alpha, three or four for colour.
public struct RGBImage: Sendable, Equatable {
    /// The width in pixels, at least 1.
    public var width: Int { decoded.width }
    /// The height in pixels, at least 1.
    public var height: Int { decoded.height }
    /// The samples in the mode of the file (such as palette, grey or CMYK), in which an image is
    /// resized by OpenAI's rules.
    let decoded: DecodedImage

    /// The `3 * width * height` bytes of interleaved red, green and blue, row by row from the top.
    ///
    /// - Complexity: O(width · height): each access makes a new array.
    public var pixels: [UInt8] {
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        decoded.copy(.colours, rows: 0..<height, columns: 0..<width, into: &pixels)
        return pixels
    }

    /// The alpha of each pixel, `width * height` bytes; nil if the image has no transparency.
    ///
    /// By OpenAI's rules, `ImagePreprocessor` weights pixels by alpha when it resizes an image.
    /// Like Pillow, it ignores alpha that comes from a palette or a single transparent colour.
    ///
    /// - Complexity: O(width · height): each access makes a new array.
    public var alpha: [UInt8]? {
        guard decoded.hasAlpha else { return nil }
        var alpha: [UInt8] = []
        alpha.reserveCapacity(width * height)
        var row = [UInt8](repeating: 0, count: 3 * width)
        for y in 0..<height {
            decoded.copy(.alpha, rows: y..<(y + 1), columns: 0..<width, into: &row)
            for x in 0..<width { alpha.append(row[3 * x]) }
        }
        return alpha
    }

    /// Calls a function with the alpha of each row, from the top, as three equal bytes a pixel.
    ///
    /// The function is not called if the image has no transparency.
    package func forEachRowOfAlpha(_ body: (_ row: Int, _ alpha: [UInt8]) -> Void) {
        guard decoded.hasAlpha else { return }
        var alpha = [UInt8](repeating: 0, count: 3 * width)
        for row in 0..<height {
            decoded.copy(.alpha, rows: row..<(row + 1), columns: 0..<width, into: &alpha)
            body(row, alpha)
        }
    }

    /// Returns true if both images have the same pixels and the same mode (such as RGB or palette),
    /// which affects resizing.
    public static func == (one: RGBImage, other: RGBImage) -> Bool {
        let (a, b) = (one.decoded, other.decoded)
        guard one.width == other.width, one.height == other.height, a.kind == b.kind,
            a.hasMask == b.hasMask
        else { return false }
        let views: [DecodedImage.View] =
            a.kind == .cmyk ? [.inks, .black] : a.hasAlpha ? [.colours, .alpha] : [.colours]
        var rows = ([UInt8](repeating: 0, count: 3 * one.width), [UInt8]())
        var numbers = ([UInt16](repeating: 0, count: a.kind == .grey16 ? one.width : 0), [UInt16]())
        (rows.1, numbers.1) = (rows.0, numbers.0)
        for y in 0..<one.height {
            let (row, columns) = (y..<(y + 1), 0..<one.width)
            for view in views {
                a.copy(view, rows: row, columns: columns, into: &rows.0)
                b.copy(view, rows: row, columns: columns, into: &rows.1)
                guard rows.0 == rows.1 else { return false }
            }
            guard a.kind == .grey16 else { continue }
            a.copy16(rows: row, columns: columns, into: &numbers.0)
            b.copy16(rows: row, columns: columns, into: &numbers.1)
            guard numbers.0 == numbers.1 else { return false }
        }
        return true
    }

    /// The limits and options for decoding an image file.
    ///
    /// ```swift
    /// var options = RGBImage.DecodingOptions()
    /// options.smallestSide = ImagePreprocessor(resolution: 224).fastDecodingSide
    /// let image = try RGBImage(contentsOfFile: "bike.jpg", options: options)
    /// ```
    public struct DecodingOptions: Sendable, Hashable {
        /// True to turn images upright according to their EXIF orientation.
        ///
        /// TIFF, HEIC, AVIF and JPEG XL are turned as the file says in any case.
        public var appliesOrientation = true
        /// True to scale 16-bit grey to 8 bits; false to clip values above 255, as Pillow does.
        public var scales16Bits = true
        /// True to convert pixels from an embedded ICC profile to sRGB; false to ignore profiles,
        /// as Pillow does.
        ///
        /// The conversion is that of Pillow's `ImageCms.profileToProfile`: the perceptual intent,
        /// without black point compensation. It needs Little CMS 2 (liblcms2.so.2); without it
        /// profiles are ignored. Images without a profile, and those whose profile is equal to sRGB
        /// within one level, keep their pixels exactly.
        public var convertsColours = true
        /// True to accept the decodable part of a truncated JPEG, PNG, GIF or BMP; false to throw
        /// an error.
        public var allowsTruncated = false
        /// The shortest side, in pixels, to which a JPEG may be reduced while it is decoded.
        ///
        /// The decoder then reduces a JPEG to 1/2, 1/4 or 1/8, which is faster and changes the
        /// pixels a little. Nil, the default, decodes the full size. A good value is
        /// `ImagePreprocessor.fastDecodingSide`, twice the model's resolution.
        public var smallestSide: Int?
        /// The largest number of pixels of an image; larger images throw an error.
        public var maximumPixels = RGBImage.defaultMaximumPixels
        /// The largest number of bytes that all images together may take while the process decodes
        /// them.
        ///
        /// An image that needs more by itself throws an error; otherwise, decoding waits until
        /// other images need less. An image that the caller keeps no longer counts, except within
        /// `CLIPModel.encodings(of:decode:)`. Files larger than the limit are not read.
        ///
        /// The memory that an image needs is estimated from its header. The estimate does not cover
        /// the Huffman code groups of a lossless WebP, 12 KB each: ordinary files have few, but a
        /// crafted one may have 65,536 of them (800 MB).
        public var memoryLimit = RGBImage.defaultMemoryLimit
        /// The largest number of scans of a progressive JPEG; a file with more throws an error.
        ///
        /// Decoding a scan takes as long as decoding a whole image. For images of more than 67
        /// million samples the limit is lower, in proportion.
        public var maximumScans = RGBImage.defaultMaximumScans

        /// Makes the default options.
        public init() {}

        /// The behaviour of OpenAI's Python code: EXIF and ICC profiles are ignored, and 16-bit
        /// grey is clipped.
        public static var reference: DecodingOptions {
            var options = DecodingOptions()
            options.appliesOrientation = false
            options.scales16Bits = false
            options.convertsColours = false
            return options
        }
    }

    /// The default limit on pixels, 178,956,970, above which Pillow throws its "decompression bomb"
    /// error.
    public static let defaultMaximumPixels = 178_956_970

    /// The default limit on image memory: 310 MB, enough for an RGB image of 100 million pixels.
    public static let defaultMemoryLimit = ImageMemory.defaultLimit

    /// The default limit on the scans of a progressive JPEG, 500; usual files have about ten.
    public static let defaultMaximumScans = 500

    /// The largest size of an image file, 1 GiB.
    package static let maximumFileSize = 1 << 30

    init(_ decoded: DecodedImage) { self.decoded = decoded }

    /// Makes an image from RGB pixels, with alpha or without.
    ///
    /// - Parameters:
    ///   - width: The number of columns, at least 1.
    ///   - height: The number of rows, at least 1.
    ///   - pixels: The `3 * width * height` bytes of red, green and blue, from the top.
    ///   - alpha: The `width * height` bytes of alpha; nil if the image is opaque.
    /// - Throws: `CLIPError.wrongPixelCount` if an array has another length, `.unreadableImage` if
    ///   a side is not positive.
    public init(
        width: Int, height: Int, pixels: [UInt8], alpha: [UInt8]? = nil
    ) throws(CLIPError) {
        guard width > 0, height > 0 else {
            throw .unreadableImage(
                path: "", reason: "expected at least 1 x 1 pixels, found \(width) x \(height)")
        }
        let (area, overflow) = width.multipliedReportingOverflow(by: height)
        guard !overflow, area <= Int.max / 3, pixels.count == 3 * area else {
            throw .wrongPixelCount(
                expected: overflow || area > Int.max / 3 ? .max : 3 * area, found: pixels.count)
        }
        if let alpha, alpha.count != area {
            throw .wrongPixelCount(expected: area, found: alpha.count)
        }
        guard let alpha else {
            decoded = DecodedImage(
                width: width, height: height, kind: .rgb, bytesPerPixel: 3, samples: pixels)
            return
        }
        var samples: [UInt8] = []
        samples.reserveCapacity(4 * area)
        for i in 0..<area {
            samples += pixels[(3 * i)..<(3 * i + 3)]
            samples.append(alpha[i])
        }
        decoded = DecodedImage(
            width: width, height: height, kind: .rgba, bytesPerPixel: 4, samples: samples)
    }

    /// Returns the centre of the image as a small, square JPEG file.
    ///
    /// Transparent parts are white.
    ///
    /// - Parameters:
    ///   - side: The side in pixels, 1...4096.
    ///   - quality: The JPEG quality, 1...100.
    /// - Returns: The bytes of the file; an empty array if memory runs out.
    public func thumbnail(side: Int, quality: Int = 80) -> [UInt8] {
        precondition(
            (1...4096).contains(side) && (1...100).contains(quality),
            "expected a side of 1...4096 and a quality of 1...100, found \(side) and \(quality)")
        var preprocessor = ImagePreprocessor(resolution: side)
        preprocessor.rules = .huggingFace  // transparent pixels are white
        return jpegFile(
            pixels: preprocessor.resizedAndCropped(self), width: side, height: side,
            quality: quality) ?? []
    }

    /// Returns the whole image as a small JPEG file.
    ///
    /// Transparent parts are white.
    ///
    /// - Parameters:
    ///   - side: The largest length of a side in pixels, 1...4096. An image is never enlarged.
    ///   - quality: The JPEG quality, 1...100.
    /// - Returns: The bytes of the file; an empty array if memory runs out.
    public func thumbnail(fitting side: Int, quality: Int = 80) -> [UInt8] {
        precondition(
            (1...4096).contains(side) && (1...100).contains(quality),
            "expected a side of 1...4096 and a quality of 1...100, found \(side) and \(quality)")
        let small = pixels(fitting: side, side)
        return jpegFile(
            pixels: small.pixels, width: small.width, height: small.height, quality: quality) ?? []
    }

    /// Returns the RGB pixels of the whole image in a smaller size; transparent parts are white.
    ///
    /// - Parameters:
    ///   - largestWidth: The largest number of columns, at least 1.
    ///   - largestHeight: The largest number of rows, at least 1.
    /// - Returns: The size and the pixels. An image is never enlarged.
    package func pixels(
        fitting largestWidth: Int, _ largestHeight: Int
    ) -> (width: Int, height: Int, pixels: [UInt8]) {
        let ratio = min(
            1, Double(largestWidth) / Double(width), Double(largestHeight) / Double(height))
        let columns = max(1, Int((Double(width) * ratio).rounded()))
        let rows = max(1, Int((Double(height) * ratio).rounded()))
        let pixels = resampled(
            PixelView(decoded, .onWhite), newWidth: columns, newHeight: rows,
            columns: 0..<columns, rows: 0..<rows, filter: .bicubic)
        return (columns, rows, pixels)
    }

    /// Decodes an image file, whose format is recognised by its content.
    ///
    /// ```swift
    /// let image = try RGBImage(contentsOfFile: "bike.jpg")
    /// ```
    ///
    /// - Throws: `CLIPError.unreadableFile` if the file cannot be read, `.imageFileNeedsMemory` if
    ///   it is larger than `options.memoryLimit`, and the errors of `init(decoding:path:options:)`.
    public init(
        contentsOfFile path: String, options: DecodingOptions = DecodingOptions()
    ) throws(CLIPError) {
        let bytes = try imageFile(
            path: Array(path.utf8), name: path, memoryLimit: options.memoryLimit)
        try self.init(decoding: bytes, path: path, options: options)
    }

    /// Decodes the bytes of an image file.
    ///
    /// ```swift
    /// let image = try RGBImage(decoding: data)  // [UInt8], ArraySlice<UInt8>, Data
    /// ```
    ///
    /// - Parameters:
    ///   - bytes: The bytes of the whole file.
    ///   - path: The path of the file, for error messages.
    ///   - options: The limits and options for decoding.
    /// - Throws: `CLIPError.unreadableImage`, `.imageTooLarge`, `.imageSideTooLong`,
    ///   `.imageNeedsMemory` or `.tooManyScans`.
    public init(
        decoding bytes: some Collection<UInt8>, path: String = "",
        options: DecodingOptions = DecodingOptions()
    ) throws(CLIPError) {
        var choices = DecodedImage.Options(maximumPixels: options.maximumPixels)
        choices.memoryLimit = options.memoryLimit
        choices.maximumScans = options.maximumScans
        choices.allowsTruncated = options.allowsTruncated
        choices.scales16Bits = options.scales16Bits
        choices.convertsColours = options.convertsColours
        choices.smallestSide = options.smallestSide
        let image: DecodedImage
        do {
            image = try DecodedImage(decoding: Array(bytes), options: choices)
        } catch {
            throw CLIPError(error, path: path, options: options)
        }
        decoded = options.appliesOrientation ? image.upright() : image
    }
}

/// Reads an image file, but only its first bytes if they are not those of a supported format.
///
/// - Parameters:
///   - path: The bytes of the path, none of which is 0.
///   - name: The path for error messages.
///   - memoryLimit: The limit on image memory, in bytes. A larger file is not read.
/// - Returns: The bytes of the file.
/// - Throws: `CLIPError.unreadableFile`, `.imageFileNeedsMemory` if the file is larger than
///   `memoryLimit`, or `.unreadableImage` if it is empty or in an unsupported format.
package func imageFile(
    path: [UInt8], name: String, memoryLimit: Int = RGBImage.maximumFileSize
) throws(CLIPError) -> [UInt8] {
    let bytes: [UInt8]?
    let limit = min(RGBImage.maximumFileSize, max(0, memoryLimit))
    do {
        bytes = try readFile(path: path, limit: limit) { $0.isEmpty || isImage($0) }
    } catch {
        if error.isTooLarge, limit < RGBImage.maximumFileSize {
            throw .imageFileNeedsMemory(path: path, name: name, memoryLimit: limit)
        }
        throw .unreadableFile(path: name, reason: error.reason)
    }
    guard let bytes else {
        throw CLIPError(.unknownFormat, path: name, options: RGBImage.DecodingOptions())
    }
    return bytes
}

extension CLIPError {
    /// Returns the error of an image file that is larger than the limit on image memory.
    fileprivate static func imageFileNeedsMemory(
        path: [UInt8], name: String, memoryLimit: Int
    ) -> CLIPError {
        // A pipe has no size.
        let status = try? FileStatus(path: path)
        let size = status.flatMap { $0.isRegular ? $0.size : nil }
        return .imageFileNeedsMemory(path: name, bytes: size, memoryLimit: memoryLimit)
    }

    fileprivate init(
        _ error: ImageDecodingError, path: String, options: RGBImage.DecodingOptions
    ) {
        func unreadable(_ reason: String) -> CLIPError {
            .unreadableImage(path: path, reason: reason)
        }
        self =
            switch error {
            case .empty: unreadable("the file is empty")
            case .unknownFormat: unreadable("it is not an image of a supported format")
            case .truncated: unreadable("the file ends before the image does")
            case .damaged(let how): unreadable("the file is damaged (\(how))")
            case .unsupported(let what): unreadable("unsupported: \(what)")
            case .tooLarge(let width, let height):
                .imageTooLarge(
                    path: path, width: width, height: height, maximumPixels: options.maximumPixels)
            case .outOfMemory(let width, let height):
                // The image is not at fault: it may be read when there is memory again.
                .unreadableFile(
                    path: path, reason: "there is no memory for \(width) x \(height) pixels")
            case .sideTooLong(let width, let height):
                .imageSideTooLong(
                    path: path, width: width, height: height, maximumSide: DecodedImage.longestSide)
            case .needsMemory(let width, let height, let bytes):
                .imageNeedsMemory(
                    path: path, width: width, height: height, bytes: bytes,
                    memoryLimit: options.memoryLimit)
            case .tooManyScans(let maximum): .tooManyScans(path: path, maximumScans: maximum)
            }
    }
}
