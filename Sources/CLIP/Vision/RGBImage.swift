internal import ImageCodecs
internal import Tensors

/// A picture of 8-bit RGB.
public struct RGBImage: Sendable, Equatable {
    /// In pixels, at least 1.
    public let width: Int
    /// In pixels, at least 1.
    public let height: Int
    /// Interleaved red, green, blue, row by row from the top: `3 * width * height` bytes.
    public let pixels: [UInt8]
    /// How opaque each pixel is, if the picture says: `width * height` bytes. Where a picture with an
    /// alpha channel is resized, transparent pixels count less; the result is opaque.
    public let alpha: [UInt8]?
    /// What the picture was before, where it is resized as that; nil for all that is resized as RGB.
    let original: OriginalPixels?

    /// How a file becomes pixels.
    public struct DecodingOptions: Sendable {
        /// Whether pictures are turned the way EXIF says their camera was held.
        public var appliesOrientation = true
        /// Whether grey of 16 bits is scaled to 8, and not clipped to white above 255.
        public var scales16Bits = true
        /// Whether a JPEG or PNG that ends early is what is there of it, and not an error.
        public var allowsTruncated = false
        /// Where given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster and a
        /// little different, as long as neither side gets shorter than this. Twice the model's
        /// resolution is `ImagePreprocessor.fastDecodingSide`.
        public var smallestSide: Int?
        /// Pictures with more pixels than this are refused.
        public var maximumPixels = RGBImage.defaultMaximumPixels

        /// The defaults.
        public init() {}

        /// What OpenAI's Python would see: EXIF is ignored, and 16 bits are clipped.
        public static var reference: DecodingOptions {
            var options = DecodingOptions()
            options.appliesOrientation = false
            options.scales16Bits = false
            return options
        }
    }

    /// Twice what Pillow warns at, where it refuses a "decompression bomb": 178,956,970.
    public static let defaultMaximumPixels = 178_956_970

    /// No picture file is larger: 1 GiB.
    package static let maximumFileSize = 1 << 30

    /// A picture from its pixels.
    ///
    /// - Parameters:
    ///   - pixels: `3 * width * height` bytes.
    ///   - alpha: `width * height` bytes, if the picture is not opaque.
    /// - Throws: `CLIPError.wrongPixelCount` if they are not as many, `.unreadableImage` if a side
    ///   is not positive.
    public init(
        width: Int, height: Int, pixels: [UInt8], alpha: [UInt8]? = nil
    ) throws(CLIPError) {
        guard width > 0, height > 0 else {
            throw .unreadableImage(path: "", reason: "it would have \(width) x \(height) pixels")
        }
        let (area, overflow) = width.multipliedReportingOverflow(by: height)
        guard !overflow, area <= Int.max / 3, pixels.count == 3 * area else {
            throw .wrongPixelCount(
                expected: overflow || area > Int.max / 3 ? .max : 3 * area, found: pixels.count)
        }
        if let alpha, alpha.count != area {
            throw .wrongPixelCount(expected: area, found: alpha.count)
        }
        self.width = width
        self.height = height
        self.pixels = pixels
        self.alpha = alpha
        original = nil
    }

    /// A small square of the middle of the picture, as a JPEG file.
    ///
    /// - Parameters:
    ///   - side: in pixels, 1...4096.
    ///   - quality: of JPEG, 1...100.
    public func thumbnail(side: Int, quality: Int = 80) -> [UInt8] {
        precondition(
            (1...4096).contains(side) && (1...100).contains(quality), "\(side), \(quality)")
        var preprocessor = ImagePreprocessor(resolution: side)
        preprocessor.rules = .huggingFace  // what is transparent is white
        return jpegFile(
            pixels: preprocessor.resizedAndCropped(self), width: side, height: side,
            quality: quality)
    }

    /// A small copy of the whole image, as a JPEG file. Transparent parts are white.
    ///
    /// - Parameters:
    ///   - side: The longest that a side may be, in pixels, 1...4096. An image is never enlarged.
    ///   - quality: The quality of JPEG, 1...100.
    public func thumbnail(fitting side: Int, quality: Int = 80) -> [UInt8] {
        precondition(
            (1...4096).contains(side) && (1...100).contains(quality), "\(side), \(quality)")
        let ratio = min(1, Double(side) / Double(max(width, height)))
        let columns = max(1, Int((Double(width) * ratio).rounded()))
        let rows = max(1, Int((Double(height) * ratio).rounded()))
        let pixels = resampled(
            onWhite(self), width: width, height: height, newWidth: columns, newHeight: rows,
            columns: 0..<columns, rows: 0..<rows, filter: .bicubic)
        return jpegFile(pixels: pixels, width: columns, height: rows, quality: quality)
    }

    /// Decodes a JPEG, PNG or WebP file, recognised by its content.
    ///
    /// - Throws: `CLIPError.unreadableFile`, `.unreadableImage` or `.imageTooLarge`.
    public init(
        contentsOfFile path: String, options: DecodingOptions = DecodingOptions()
    ) throws(CLIPError) {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path: path, limit: Self.maximumFileSize)
        } catch {
            throw .unreadableFile(path: path, reason: error.reason)
        }
        try self.init(decoding: bytes, path: path, options: options)
    }

    /// Decodes the bytes of a JPEG, PNG or WebP file.
    ///
    /// - Parameter path: where they are from, for the messages of errors.
    /// - Throws: `CLIPError.unreadableImage` or `.imageTooLarge`.
    public init(
        decoding bytes: [UInt8], path: String = "", options: DecodingOptions = DecodingOptions()
    ) throws(CLIPError) {
        func unreadable(_ reason: String) -> CLIPError {
            .unreadableImage(path: path, reason: reason)
        }
        var image: DecodedImage
        do {
            image = try DecodedImage(
                decoding: bytes, maximumPixels: options.maximumPixels,
                allowsTruncated: options.allowsTruncated, smallestSide: options.smallestSide)
        } catch {
            switch error {
            case .empty: throw unreadable("the file is empty")
            case .unknownFormat: throw unreadable("it is not a JPEG, PNG or WebP file")
            case .truncated: throw unreadable("the file ends before the picture does")
            case .damaged(let how): throw unreadable("the file is damaged (\(how))")
            case .unsupported(let what): throw unreadable("unsupported: \(what)")
            case .tooLarge(let width, let height):
                throw .imageTooLarge(
                    path: path, width: width, height: height, maximumPixels: options.maximumPixels)
            case .outOfMemory(let width, let height):
                throw unreadable("there is no memory for \(width) x \(height) pixels")
            }
        }
        if options.appliesOrientation { image = image.upright() }
        width = image.width
        height = image.height
        switch image.kind {
        case .rgb, .rgba, .indexed:
            if image.bytesPerPixel == 4 {
                pixels = image.samples.everyFourth { red, green, blue, _ in (red, green, blue) }
                alpha = stride(from: 3, to: image.samples.count, by: 4).map { image.samples[$0] }
            } else {
                (pixels, alpha) = (image.samples, nil)
            }
            original = image.kind == .indexed ? .indexed : image.hasMask ? .opaque : nil
        case .cmyk:
            pixels = image.samples.everyFourth(withoutInk)
            (alpha, original) = (nil, .inks(image.samples))
        case .grey16:
            let values = numbers(of: image.samples)
            pixels =
                options.scales16Bits
                ? values.flatMap { [UInt8](repeating: UInt8($0 >> 8), count: 3) } : clipped(values)
            (alpha, original) = (nil, options.scales16Bits ? nil : .grey16(values))
        }
    }
}
