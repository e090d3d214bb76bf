internal import CImageCodecs

/// A picture as its file holds it, before EXIF's orientation is applied.
package struct DecodedImage: Sendable {
    /// What the samples of a pixel are.
    package enum Kind: Sendable {
        /// Red, green, blue.
        case rgb
        /// Red, green, blue, alpha.
        case rgba
        /// Red, green, blue of a palette's entry, or of black or white.
        case indexed
        /// Cyan, magenta, yellow, black; 0 is no ink.
        case cmyk
        /// One number of two bytes, the high one first.
        case grey16

    }

    package let width: Int
    package let height: Int
    package let kind: Kind
    /// Whether each pixel has another byte, its opacity, which does not count where the picture is
    /// resized.
    package let hasMask: Bool
    package let bytesPerPixel: Int
    /// Interleaved, row by row from the top: `width * height * bytesPerPixel` bytes.
    package let samples: [UInt8]
    /// EXIF's orientation, 1...8; 1 where the file does not say.
    package let orientation: Int
}

/// Why bytes are not a picture.
package enum ImageDecodingError: Error, Equatable {
    case empty
    case unknownFormat
    case truncated
    case damaged(String)
    case tooLarge(width: Int, height: Int)
    case unsupported(String)
    case outOfMemory(width: Int, height: Int)
}

extension DecodedImage {
    /// Decodes JPEG, PNG or WebP, recognised by content.
    ///
    /// - Parameters:
    ///   - bytes: a whole file.
    ///   - maximumPixels: a larger picture is refused before memory is taken for it.
    ///   - allowsTruncated: whether a JPEG or PNG that ends early is what is there of it, the rest of it
    ///     grey or black.
    ///   - smallestSide: where given, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as
    ///     neither side gets shorter than this.
    package init(
        decoding bytes: [UInt8], maximumPixels: Int, allowsTruncated: Bool = false,
        smallestSide: Int? = nil
    ) throws(ImageDecodingError) {
        guard !bytes.isEmpty else { throw .empty }
        var options = clip_picture_options(
            max_pixels: UInt64(max(0, maximumPixels)), allow_truncated: allowsTruncated,
            smallest_side: UInt32(clamping: smallestSide ?? 0))
        var picture = clip_picture()
        let status = bytes.withUnsafeBufferPointer {
            clip_picture_decode($0.baseAddress, $0.count, &options, &picture)
        }
        defer { clip_picture_free(&picture) }

        width = Int(picture.width)
        height = Int(picture.height)
        switch status {
        case CLIP_PICTURE_OK: break
        case CLIP_PICTURE_UNKNOWN: throw .unknownFormat
        case CLIP_PICTURE_TRUNCATED: throw .truncated
        case CLIP_PICTURE_TOO_LARGE: throw .tooLarge(width: width, height: height)
        case CLIP_PICTURE_UNSUPPORTED: throw .unsupported(Self.message(of: picture))
        case CLIP_PICTURE_OUT_OF_MEMORY: throw .outOfMemory(width: width, height: height)
        default: throw .damaged(Self.message(of: picture))
        }
        kind =
            switch picture.kind {
            case CLIP_PICTURE_RGBA: .rgba
            case CLIP_PICTURE_INDEXED: .indexed
            case CLIP_PICTURE_CMYK: .cmyk
            case CLIP_PICTURE_GREY16: .grey16
            default: .rgb
            }
        hasMask = picture.has_mask
        bytesPerPixel = Int(clip_picture_pixel_size(&picture))
        samples = Array(
            UnsafeBufferPointer(start: picture.pixels, count: bytesPerPixel * width * height))
        orientation = Int(picture.orientation)
    }

    private static func message(of picture: clip_picture) -> String {
        withUnsafeBytes(of: picture.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}

/// Whether bytes begin as a picture does that can be read.
package func isPicture(_ bytes: some Collection<UInt8>) -> Bool {
    let beginning = Array(bytes.prefix(16))
    return beginning.withUnsafeBufferPointer { clip_picture_recognized($0.baseAddress, $0.count) }
}
