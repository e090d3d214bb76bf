internal import CImageCodecs

/// The pixels of a decoded image, in the sample format of its file.
///
/// The samples stay in the memory that the decoder allocated. They are converted to RGB in parts,
/// when `copy` is called.
package struct DecodedImage: Sendable {
    /// The sample format of a pixel.
    package enum Kind: Sendable {
        /// Red, green and blue, or one byte of grey; followed by a byte of alpha if `hasMask`.
        case rgb
        /// Red, green, blue and alpha; or grey and alpha.
        case rgba
        /// An index into the palette, which black-and-white images have too.
        case indexed
        /// Cyan, magenta, yellow and black; 0 is no ink.
        case cmyk
        /// Grey of 16 bits, the high byte first.
        case grey16
    }

    /// The three bytes per pixel that `copy` writes.
    package enum View: Sendable {
        /// Red, green, blue; 16-bit grey is clipped to 255.
        case colours
        /// Red, green, blue, each multiplied by alpha and rounded as Pillow does.
        case premultiplied
        /// The alpha value, three times; 255 if the image has no alpha.
        case alpha
        /// The colours composited on white, as Pillow's `alpha_composite` does.
        case onWhite
        /// Cyan, magenta, yellow.
        case inks
        /// The black ink, three times.
        case black
    }

    /// The width in pixels, after `upright` if that was called.
    package private(set) var width: Int
    /// The height in pixels, after `upright` if that was called.
    package private(set) var height: Int
    /// The sample format.
    package let kind: Kind
    /// True if alpha comes from a transparent colour or from palette entries; resizing ignores such
    /// alpha, as in Pillow.
    package let hasMask: Bool
    /// The number of bytes of a pixel in memory, 1 to 4.
    package let bytesPerPixel: Int
    /// The EXIF orientation, 1...8; 1 if the file has none or once it is applied.
    package private(set) var orientation: Int
    private let storage: PixelStorage
    private let palette: [UInt8]
    /// The offset of the top left pixel and the strides to the right and downwards, in pixels.
    private var walk: (start: Int, right: Int, below: Int)

    /// True if pixels have alpha, including alpha that resizing ignores.
    package var hasAlpha: Bool { kind == .rgba || hasMask }

    /// Creates an image from `width * height * bytesPerPixel` bytes of samples, row by row from
    /// the top.
    ///
    /// The palette of an indexed image has 256 entries of red, green, blue and alpha.
    package init(
        width: Int, height: Int, kind: Kind, hasMask: Bool = false, bytesPerPixel: Int,
        samples: [UInt8], palette: [UInt8] = [], orientation: Int = 1
    ) {
        precondition(
            samples.count == width * height * bytesPerPixel
                && (kind != .indexed || palette.count == 4 * 256),
            """
            expected \(width * height * bytesPerPixel) bytes, and a palette of 1024 if indexed, \
            found \(samples.count) and \(palette.count)
            """)
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

/// An error in decoding an image.
package enum ImageDecodingError: Error, Equatable {
    /// The file is empty.
    case empty
    /// The bytes are not an image of a supported format.
    case unknownFormat
    /// The file ends before the image does.
    case truncated
    /// The file is corrupt; the text is the decoder's message.
    case damaged(String)
    /// The image has more pixels than `Options.maximumPixels`.
    case tooLarge(width: Int, height: Int)
    /// The format is known and not supported by this build; the text names it.
    case unsupported(String)
    /// The allocation of the pixels failed.
    case outOfMemory(width: Int, height: Int)
    /// A side of a PNG is longer than `DecodedImage.longestSide`.
    case sideTooLong(width: Int, height: Int)
    /// Decoding needs more bytes than `Options.memoryLimit`.
    case needsMemory(width: Int, height: Int, bytes: Int)
    /// A JPEG has more scans than `maximum`.
    case tooManyScans(maximum: Int)
}

extension DecodedImage {
    /// The longest side of a PNG, in pixels: the default limit of libpng.
    package static let longestSide = Int(CLIP_IMAGE_LONGEST_SIDE)

    /// The limits and options of decoding.
    package struct Options: Sendable {
        /// The largest number of pixels; larger images are refused before memory is allocated.
        package var maximumPixels: Int
        /// The number of bytes that the images of all threads may take together.
        ///
        /// An image that alone needs more is refused. Otherwise decoding waits until other threads
        /// have released enough. The Huffman code groups of a lossless WebP are not counted.
        package var memoryLimit = ImageMemory.defaultLimit
        /// The largest number of scans of a JPEG.
        ///
        /// JPEGs of more than 67 million samples are allowed proportionally fewer.
        package var maximumScans = 500
        /// True to accept a JPEG, PNG, GIF or BMP that ends early.
        ///
        /// The missing rows are grey (JPEG), the transparent colour (GIF) or zero (black,
        /// transparent, or the first colour of the palette).
        package var allowsTruncated = false
        /// True to reduce 16-bit grey to its high byte, false to keep 16 bits.
        package var scales16Bits = false
        /// True to convert pixels from the embedded ICC profile to sRGB, if Little CMS 2 is
        /// installed.
        ///
        /// CMYK becomes RGB. Pixels stay as they are if the profile is invalid or equal to sRGB
        /// within one level, and those of 16-bit grey always.
        package var convertsColours = false
        /// The least length of the shorter side, in pixels, that a JPEG may have when it is decoded
        /// at 1/2, 1/4 or 1/8 of its size; nil for full size.
        package var smallestSide: Int?

        /// Creates options with a limit on the number of pixels, and defaults for the rest.
        package init(maximumPixels: Int) { self.maximumPixels = maximumPixels }
    }

    /// Decodes a whole file, whose format is recognised by its content.
    ///
    /// The orientation of a TIFF is applied, as Pillow does when it loads one, and that of HEIF and
    /// JPEG XL by their libraries; that of other formats is left to `upright`.
    ///
    /// Safe to call from any thread. Waits while other threads hold so much image memory that this
    /// image does not fit below the limit.
    package init(decoding bytes: [UInt8], options: Options) throws(ImageDecodingError) {
        guard !bytes.isEmpty else { throw .empty }
        let share = ImageMemory.Share.current.get()
        var choices = clip_image_options(
            max_pixels: UInt64(max(0, options.maximumPixels)),
            memory_limit: UInt64(max(0, options.memoryLimit)),
            holds_memory: share.map { !$0.isEmpty } ?? false,
            max_scans: UInt32(clamping: options.maximumScans),
            allow_truncated: options.allowsTruncated, scale_16: options.scales16Bits,
            reads_profile: options.convertsColours,
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
        image.pixels = nil
        clip_image_free(&image)
        if image.is_always_turned { turn() }
    }

    private static func message(of image: clip_image) -> String {
        withUnsafeBytes(of: image.message) {
            // The libraries' messages may have several lines.
            $0.prefix { $0 != 0 }.split { $0 <= UInt8(ascii: " ") }
                .map { String(decoding: $0, as: UTF8.self) }.joined(separator: " ")
        }
    }
}

extension DecodedImage {
    /// Returns the image with its EXIF orientation applied, in constant time: only the strides
    /// change.
    ///
    /// Orientations 2, 4, 5 and 7 mirror; 3 rotates by 180°, 6 by 90° clockwise, 8
    /// counter-clockwise.
    package func upright() -> DecodedImage {
        var image = self
        image.turn()
        return image
    }

    /// Applies the orientation to the strides.
    private mutating func turn() {
        guard (2...8).contains(orientation) else { return }
        let last = (width - 1) * walk.right
        let below = (height - 1) * walk.below
        walk =
            switch orientation {
            case 2: (walk.start + last, -walk.right, walk.below)
            case 3: (walk.start + below + last, -walk.right, -walk.below)
            case 4: (walk.start + below, walk.right, -walk.below)
            case 5: (walk.start, walk.below, walk.right)
            case 6: (walk.start + below, -walk.below, walk.right)
            case 7: (walk.start + below + last, -walk.below, -walk.right)
            default: (walk.start + last, walk.below, -walk.right)
            }
        if orientation >= 5 { (width, height) = (height, width) }
        orientation = 1
    }

    /// Converts a part of the image and writes its `3 * rows.count * columns.count` bytes, row by
    /// row, to the beginning of an array.
    ///
    /// `inks` and `black` are for CMYK images only.
    package func copy(
        _ view: View, rows: Range<Int>, columns: Range<Int>, into target: inout [UInt8]
    ) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= height && columns.lowerBound >= 0
                && columns.upperBound <= width && target.count >= 3 * rows.count * columns.count
                && (kind == .cmyk || (view != .inks && view != .black)),
            """
            expected a view of \(kind), columns within 0..<\(width), rows within 0..<\(height) and \
            a target of 3 bytes per pixel, found \(view), \(columns), \(rows) and \
            \(target.count) bytes
            """)
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

    /// Writes the samples of a part of a 16-bit grey image, row by row, to the beginning of an
    /// array.
    package func copy16(
        rows: Range<Int>, columns: Range<Int>, into target: inout [UInt16]
    ) {
        precondition(
            rows.lowerBound >= 0 && rows.upperBound <= height && columns.lowerBound >= 0
                && columns.upperBound <= width && target.count >= rows.count * columns.count
                && kind == .grey16,
            """
            expected grey16, columns within 0..<\(width), rows within 0..<\(height) and a target \
            of 1 number per pixel, found \(kind), \(columns), \(rows) and \(target.count) numbers
            """)
        target.withUnsafeMutableBufferPointer { target in
            withPixels {
                clip_pixels_copy_16(
                    &$0, columns.lowerBound, columns.count, rows.lowerBound, rows.count,
                    target.baseAddress)
            }
        }
    }

    /// Calls `body` with the samples if they already are the RGB of the view, row by row;
    /// otherwise returns nil.
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

/// Returns true if bytes begin with the signature of a known image format.
package func isImage(_ bytes: some Collection<UInt8>) -> Bool {
    // A HEIF file lists its brands in the first bytes.
    let beginning = Array(bytes.prefix(64))
    return beginning.withUnsafeBufferPointer { clip_image_recognized($0.baseAddress, $0.count) }
}
