internal import Files
internal import Images
internal import Tensors

/// An image of 8-bit RGB.
///
///     let file = try RGBImage(contentsOfFile: "bike.jpg")
///     let frame = try RGBImage(
///         width: 640, height: 480, bytes: buffer, bytesPerRow: 2624, order: .bgra)
///
/// It keeps the decoder's memory: one byte a pixel of grey and palettes, three or four of colours.
public struct RGBImage: Sendable, Equatable {
    /// In pixels, at least 1.
    public var width: Int { decoded.width }
    /// In pixels, at least 1.
    public var height: Int { decoded.height }
    /// The samples, in the way in which the image is resized.
    let decoded: DecodedImage

    /// Interleaved red, green, blue, row by row from the top: `3 * width * height` bytes.
    ///
    /// - Complexity: A new array each time.
    public var pixels: [UInt8] {
        var pixels = [UInt8](repeating: 0, count: 3 * width * height)
        decoded.copy(.colours, rows: 0..<height, columns: 0..<width, into: &pixels)
        return pixels
    }

    /// The opacity of each pixel, if the image has any: `width * height` bytes. Where an image with
    /// an alpha channel is resized, transparent pixels count less; the result is opaque.
    ///
    /// - Complexity: A new array each time.
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

    /// Calls a function with the opacity of each row, three equal bytes a pixel, from the top. It
    /// is not called if the image cannot be transparent.
    package func forEachRowOfAlpha(_ body: (_ row: Int, _ alpha: [UInt8]) -> Void) {
        guard decoded.hasAlpha else { return }
        var alpha = [UInt8](repeating: 0, count: 3 * width)
        for row in 0..<height {
            decoded.copy(.alpha, rows: row..<(row + 1), columns: 0..<width, into: &alpha)
            body(row, alpha)
        }
    }

    /// True if both have the same pixels and are resized in the same way.
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

    /// How a file becomes pixels.
    public struct DecodingOptions: Sendable, Hashable {
        /// Whether images are turned the way EXIF says their camera was held.
        public var appliesOrientation = true
        /// Whether grey of 16 bits is scaled to 8, and not clipped to white above 255.
        public var scales16Bits = true
        /// Whether a JPEG or PNG that ends early is what is there of it, and not an error.
        public var allowsTruncated = false
        /// If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which is faster and a
        /// little different, as long as neither side gets shorter than this. Twice the model's
        /// resolution is `ImagePreprocessor.fastDecodingSide`.
        public var smallestSide: Int?
        /// Images with more pixels than this are refused.
        public var maximumPixels = RGBImage.defaultMaximumPixels
        /// The bytes that the images of all threads of the process may take together while they are
        /// decoded; an image that alone needs more is refused, others wait for each other. Images
        /// that the caller keeps do not count, except within `CLIPModel.encodings(of:decode:)`.
        /// Files that are larger than the limit are not read.
        ///
        /// The need is estimated from an image's header. It does not cover the groups of Huffman
        /// codes of a lossless WebP, 12 KB each: ordinary files have few, but a crafted one may
        /// have 65,536 of them (800 MB).
        public var memoryLimit = RGBImage.defaultMemoryLimit
        /// JPEGs with more scans are refused: each takes as long as the whole image. An image of
        /// more than 64 million samples may have fewer, in proportion.
        public var maximumScans = RGBImage.defaultMaximumScans

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

    /// The default limit on image memory: 310 MB, enough for an RGB image of 100 million pixels.
    public static let defaultMemoryLimit = ImageMemory.defaultLimit

    /// The default limit on the scans of a progressive JPEG, which has about ten.
    public static let defaultMaximumScans = 500

    /// No image file is larger: 1 GiB.
    package static let maximumFileSize = 1 << 30

    init(_ decoded: DecodedImage) { self.decoded = decoded }

    /// An image from its pixels.
    ///
    /// - Parameters:
    ///   - pixels: `3 * width * height` bytes.
    ///   - alpha: `width * height` bytes, if the image is not opaque.
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

    /// A small square of the middle of the image, as a JPEG file. Empty if there is no memory for
    /// it.
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
            quality: quality) ?? []
    }

    /// A small copy of the whole image, as a JPEG file. Transparent parts are white. Empty if there
    /// is no memory for it.
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
            PixelView(decoded, .onWhite), newWidth: columns, newHeight: rows,
            columns: 0..<columns, rows: 0..<rows, filter: .bicubic)
        return jpegFile(pixels: pixels, width: columns, height: rows, quality: quality) ?? []
    }

    /// Decodes a JPEG, PNG or WebP file, recognised by its content.
    ///
    /// - Throws: `CLIPError.unreadableFile` and as of `init(decoding:path:options:)`.
    public init(
        contentsOfFile path: String, options: DecodingOptions = DecodingOptions()
    ) throws(CLIPError) {
        let bytes = try imageFile(
            path: Array(path.utf8), name: path, memoryLimit: options.memoryLimit)
        try self.init(decoding: bytes, path: path, options: options)
    }

    /// Decodes the bytes of a JPEG, PNG or WebP file.
    ///
    ///     let image = try RGBImage(decoding: data)  // [UInt8], ArraySlice<UInt8>, Data
    ///
    /// - Parameters:
    ///   - bytes: The whole file.
    ///   - path: The path of the file, for the messages of errors.
    ///   - options: The limits and choices of decoding.
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

/// The bytes of an image file, of which the first are looked at before the others are read.
///
/// - Parameters:
///   - path: any bytes but 0.
///   - name: the path as messages have it.
///   - memoryLimit: The limit on image memory. A larger file is not read.
/// - Throws: `CLIPError.unreadableFile`, or `.unreadableImage` if it is empty or in no format that
///   is read.
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
    /// The error of an image file that is larger than the limit on image memory.
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
            case .unknownFormat: unreadable("it is not a JPEG, PNG or WebP file")
            case .truncated: unreadable("the file ends before the image does")
            case .damaged(let how): unreadable("the file is damaged (\(how))")
            case .unsupported(let what): unreadable("unsupported: \(what)")
            case .tooLarge(let width, let height):
                .imageTooLarge(
                    path: path, width: width, height: height, maximumPixels: options.maximumPixels)
            case .outOfMemory(let width, let height):
                // Not the image's fault: it may be read when there is memory again.
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
