internal import CImageCodecs

/// The pixels of an image as its file holds them, in the decoder's own memory.
package struct DecodedImage: Sendable {
    /// The samples of a pixel.
    package enum Kind: Sendable {
        /// Red, green, blue; or one byte of grey. One colour may be named as transparent.
        case rgb
        /// Red, green, blue, alpha; or grey and alpha.
        case rgba
        /// The entry of a palette, or black or white.
        case indexed
        /// Cyan, magenta, yellow, black; 0 is no ink.
        case cmyk
        /// A number of two bytes, the high one first.
        case grey16
    }

    /// The three bytes that `copy` makes of a pixel.
    package enum View: Sendable {
        /// Red, green, blue; 16-bit grey is clipped to 255.
        case colours
        /// The same times alpha, as Pillow rounds it.
        case premultiplied
        /// The opacity, three times; 255 without alpha.
        case alpha
        /// The colours on a white ground, as Pillow's `alpha_composite` has it.
        case onWhite
        /// Cyan, magenta, yellow.
        case inks
        /// Black, three times.
        case black
    }

    package private(set) var width: Int
    package private(set) var height: Int
    package let kind: Kind
    /// True if pixels have an opacity that does not count where the image is resized: of a colour
    /// that is named as transparent, or of a palette's entries.
    package let hasMask: Bool
    package let bytesPerPixel: Int
    /// The EXIF orientation, 1...8; 1 where the file does not say, and once it is applied.
    package private(set) var orientation: Int
    private let storage: PixelStorage
    private let palette: [UInt8]
    /// The place of the first pixel and the steps to its neighbours on the right and below, in
    /// pixels.
    private var walk: (start: Int, right: Int, below: Int)

    /// True if pixels have an opacity.
    package var hasAlpha: Bool { kind == .rgba || hasMask }

    /// An image of samples: `width * height * bytesPerPixel` bytes, row by row from the top.
    ///
    /// - Parameter palette: 256 entries of red, green, blue and alpha, of an indexed image.
    package init(
        width: Int, height: Int, kind: Kind, hasMask: Bool = false, bytesPerPixel: Int,
        samples: [UInt8], palette: [UInt8] = [], orientation: Int = 1
    ) {
        precondition(
            samples.count == width * height * bytesPerPixel
                && (kind != .indexed || palette.count == 4 * 256),
            "\(samples.count) bytes for \(width) x \(height) of \(bytesPerPixel)")
        self.width = width
        self.height = height
        self.kind = kind
        self.hasMask = hasMask
        self.bytesPerPixel = bytesPerPixel
        self.palette = palette
        self.orientation = orientation
        storage = PixelStorage(samples)
        walk = (0, 1, width)
    }
}

/// The reason why bytes are not an image that can be read.
package enum ImageDecodingError: Error, Equatable {
    case empty
    case unknownFormat
    case truncated
    case damaged(String)
    case tooLarge(width: Int, height: Int)
    case unsupported(String)
    case outOfMemory(width: Int, height: Int)
    /// A side of a PNG is longer than `DecodedImage.longestSide`.
    case sideTooLong(width: Int, height: Int)
    /// Decoding would hold more bytes than the limit on image memory.
    case needsMemory(width: Int, height: Int, bytes: Int)
    /// A JPEG has more scans than allowed.
    case tooManyScans(maximum: Int)
}

extension DecodedImage {
    /// The longest side of a PNG, in pixels: the default limit of libpng.
    package static let longestSide = Int(CLIP_IMAGE_LONGEST_SIDE)

    /// The limits and choices of decoding.
    package struct Options: Sendable {
        /// Larger images are refused before memory is taken for them.
        package var maximumPixels: Int
        /// The bytes that the images of all threads may take together. An image that alone needs
        /// more is refused, one that fits waits until enough is free. The groups of Huffman codes
        /// of a lossless WebP are not covered.
        package var memoryLimit = ImageMemory.defaultLimit
        /// JPEGs with more scans are refused. Of more than 64 million pixels fewer are allowed, in
        /// proportion.
        package var maximumScans = 500
        /// Accept a JPEG or PNG that ends early, with what is there of it, the rest grey or black.
        package var allowsTruncated = false
        /// Reduce 16-bit grey to its high byte; else it is kept.
        package var scales16Bits = false
        /// If given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as neither side
        /// gets shorter than this.
        package var smallestSide: Int?

        package init(maximumPixels: Int) { self.maximumPixels = maximumPixels }
    }

    /// Decodes JPEG, PNG or WebP, recognised by content.
    ///
    /// - Parameter bytes: a whole file.
    package init(decoding bytes: [UInt8], options: Options) throws(ImageDecodingError) {
        guard !bytes.isEmpty else { throw .empty }
        let share = ImageMemory.Share.current.get()
        var choices = clip_image_options(
            max_pixels: UInt64(max(0, options.maximumPixels)),
            memory_limit: UInt64(max(0, options.memoryLimit)),
            holds_memory: share.map { !$0.isEmpty } ?? false,
            max_scans: UInt32(clamping: options.maximumScans),
            allow_truncated: options.allowsTruncated, scale_16: options.scales16Bits,
            smallest_side: UInt32(clamping: options.smallestSide ?? 0))
        var image = clip_image()
        let status = bytes.withUnsafeBufferPointer {
            clip_image_decode($0.baseAddress, $0.count, &choices, &image)
        }
        if let share {
            share.add(image.reserved_memory)
        } else {
            clip_memory_release(image.reserved_memory)
        }

        width = Int(image.width)
        height = Int(image.height)
        switch status {
        case CLIP_IMAGE_OK: break
        case CLIP_IMAGE_UNKNOWN: throw .unknownFormat
        case CLIP_IMAGE_TRUNCATED: throw .truncated
        case CLIP_IMAGE_TOO_LARGE: throw .tooLarge(width: width, height: height)
        case CLIP_IMAGE_UNSUPPORTED: throw .unsupported(Self.message(of: image))
        case CLIP_IMAGE_OUT_OF_MEMORY: throw .outOfMemory(width: width, height: height)
        case CLIP_IMAGE_SIDE_TOO_LONG: throw .sideTooLong(width: width, height: height)
        case CLIP_IMAGE_OVER_MEMORY:
            throw .needsMemory(
                width: width, height: height, bytes: Int(clamping: image.needed_memory))
        case CLIP_IMAGE_TOO_MANY_SCANS:
            throw .tooManyScans(maximum: Int(image.allowed_scans))
        default: throw .damaged(Self.message(of: image))
        }
        kind =
            switch image.kind {
            case CLIP_IMAGE_RGBA: .rgba
            case CLIP_IMAGE_INDEXED: .indexed
            case CLIP_IMAGE_CMYK: .cmyk
            case CLIP_IMAGE_GREY16: .grey16
            default: .rgb
            }
        hasMask = image.has_mask
        bytesPerPixel = Int(image.channels)
        palette = kind == .indexed ? withUnsafeBytes(of: image.palette) { Array($0) } : []
        orientation = Int(image.orientation)
        walk = (0, 1, width)
        guard let pixels = image.pixels else { throw .outOfMemory(width: width, height: height) }
        storage = PixelStorage(takingOver: pixels, count: bytesPerPixel * width * height)
    }

    private static func message(of image: clip_image) -> String {
        withUnsafeBytes(of: image.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

extension DecodedImage {
    /// The image the way its camera was held: its EXIF orientation applied, without moving a pixel.
    ///
    /// Orientations 2, 4, 5 and 7 mirror; 3 turns by 180°, 6 by 90° clockwise, 8 counter-clockwise.
    package func upright() -> DecodedImage {
        guard (2...8).contains(orientation) else { return self }
        var turned = self
        turned.orientation = 1
        if orientation >= 5 { (turned.width, turned.height) = (height, width) }
        let last = (width - 1) * walk.right
        let below = (height - 1) * walk.below
        turned.walk =
            switch orientation {
            case 2: (walk.start + last, -walk.right, walk.below)
            case 3: (walk.start + below + last, -walk.right, -walk.below)
            case 4: (walk.start + below, walk.right, -walk.below)
            case 5: (walk.start, walk.below, walk.right)
            case 6: (walk.start + below, -walk.below, walk.right)
            case 7: (walk.start + below + last, -walk.below, -walk.right)
            default: (walk.start + last, walk.below, -walk.right)
            }
        return turned
    }

    /// Writes `3 * rows.count * columns.count` bytes of a part of the image to the beginning of an
    /// array.
    package func copy(
        _ view: View, rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8]
    ) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= height && columns.lowerBound >= 0
                && columns.upperBound <= width && target.count >= 3 * rows.count * columns.count
                && (kind == .cmyk || (view != .inks && view != .black)),
            "\(view) of \(columns) x \(rows) of \(width) x \(height) into \(target.count) bytes")
        let how =
            switch view {
            case .colours: CLIP_VIEW_COLOURS
            case .premultiplied: CLIP_VIEW_PREMULTIPLIED
            case .alpha: CLIP_VIEW_ALPHA
            case .onWhite: CLIP_VIEW_ON_WHITE
            case .inks: CLIP_VIEW_INKS
            case .black: CLIP_VIEW_BLACK
            }
        target.withUnsafeMutableBufferPointer { target in
            withPixels {
                clip_pixels_copy(
                    &$0, how, columns.lowerBound, columns.count, rows.lowerBound, rows.count,
                    target.baseAddress)
            }
        }
    }

    /// Writes the numbers of a part of a 16-bit image to the beginning of an array.
    package func copy16(
        rows: Range<Int>, columns: Range<Int>, into target: inout [UInt16]
    ) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= height && columns.lowerBound >= 0
                && columns.upperBound <= width && target.count >= rows.count * columns.count
                && kind == .grey16,
            "\(columns) x \(rows) of \(width) x \(height) into \(target.count) numbers")
        target.withUnsafeMutableBufferPointer { target in
            withPixels {
                clip_pixels_copy_16(
                    &$0, columns.lowerBound, columns.count, rows.lowerBound, rows.count,
                    target.baseAddress)
            }
        }
    }

    /// Calls a function with the bytes of an image that already are RGB, row by row; nil if they
    /// are not.
    package func withRGB<Result>(
        _ view: View, _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result? {
        let isTurned = walk.start != 0 || walk.right != 1
        let isRGB = kind == .rgb && bytesPerPixel == 3 && (view == .colours || view == .onWhite)
        return isRGB && !isTurned ? storage.withBytes(body) : nil
    }

    private func withPixels(_ body: (inout clip_pixels) -> Void) {
        let kind =
            switch kind {
            case .rgb: CLIP_IMAGE_RGB
            case .rgba: CLIP_IMAGE_RGBA
            case .indexed: CLIP_IMAGE_INDEXED
            case .cmyk: CLIP_IMAGE_CMYK
            case .grey16: CLIP_IMAGE_GREY16
            }
        storage.withBytes { samples in
            palette.withUnsafeBufferPointer { palette in
                var pixels = clip_pixels(
                    samples: samples.baseAddress, kind: kind, channels: Int32(bytesPerPixel),
                    has_mask: hasMask, palette: palette.baseAddress, start: walk.start,
                    step_x: walk.right, step_y: walk.below)
                body(&pixels)
            }
        }
    }
}

/// True if bytes begin as an image does that can be read.
package func isImage(_ bytes: some Collection<UInt8>) -> Bool {
    let beginning = Array(bytes.prefix(16))
    return beginning.withUnsafeBufferPointer { clip_image_recognized($0.baseAddress, $0.count) }
}
