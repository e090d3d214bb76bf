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
    /// How opaque each pixel is, if the picture says: `width * height` bytes. Where a picture is
    /// resized, transparent pixels count less; the result is opaque.
    public let alpha: [UInt8]?

    /// How a file becomes pixels.
    public struct DecodingOptions: Sendable {
        /// Whether pictures are turned the way EXIF says their camera was held.
        public var appliesOrientation = true
        /// Whether the result is what the reference's Python would see: EXIF is ignored, and a
        /// picture whose kind is not decoded as there yet is refused.
        public var isReference = false
        /// Pictures with more pixels than this are refused.
        public var maximumPixels = RGBImage.defaultMaximumPixels

        /// The defaults.
        public init() {}

        /// What the reference's Python would see.
        public static var reference: DecodingOptions {
            var options = DecodingOptions()
            options.appliesOrientation = false
            options.isReference = true
            return options
        }
    }

    /// Twice what Pillow warns at, where it refuses a "decompression bomb": 178,956,970.
    public static let defaultMaximumPixels = 178_956_970

    /// No picture file is larger: 1 GiB.
    private static let maximumFileSize = 1 << 30

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
            image = try DecodedImage(decoding: bytes, maximumPixels: options.maximumPixels)
        } catch {
            switch error {
            case .empty: throw unreadable("the file is empty")
            case .unknownFormat: throw unreadable("it is not a JPEG, PNG or WebP file")
            case .truncated: throw unreadable("the file ends before the picture does")
            case .damaged(let how): throw unreadable("the file is damaged (\(how))")
            case .unsupported(let what): throw unreadable("it needs \(what)")
            case .tooLarge(let width, let height):
                throw .imageTooLarge(
                    path: path, width: width, height: height, maximumPixels: options.maximumPixels)
            case .outOfMemory(let width, let height):
                throw unreadable("there is no memory for \(width) x \(height) pixels")
            }
        }
        if options.isReference, let kind = image.specialKind {
            throw unreadable("\(kind) pictures are not read as the reference reads them yet")
        }
        if options.appliesOrientation { image = image.upright() }
        width = image.width
        height = image.height
        pixels = image.pixels
        alpha = image.alpha
    }
}
