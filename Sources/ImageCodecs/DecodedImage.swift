internal import CImageCodecs

/// A picture as its file holds it: 8-bit RGB, before EXIF's orientation is applied.
package struct DecodedImage: Sendable {
    package let width: Int
    package let height: Int
    /// Interleaved red, green, blue, row by row from the top: `3 * width * height` bytes.
    package let pixels: [UInt8]
    /// How opaque each pixel is, if the file says: `width * height` bytes.
    package let alpha: [UInt8]?
    /// EXIF's orientation, 1...8; 1 where the file does not say.
    package let orientation: Int
    /// "palette", "1-bit", "16-bit greyscale" or "CMYK", which Pillow keeps in modes of their own and
    /// resizes there; nil for the kinds that are the same in RGB.
    package let specialKind: String?
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
    package init(decoding bytes: [UInt8], maximumPixels: Int) throws(ImageDecodingError) {
        guard !bytes.isEmpty else { throw .empty }
        var picture = clip_picture()
        let status = bytes.withUnsafeBufferPointer {
            clip_picture_decode(
                $0.baseAddress, $0.count, UInt64(max(0, maximumPixels)), &picture)
        }
        defer { clip_picture_free(&picture) }

        let width = Int(picture.width)
        let height = Int(picture.height)
        switch status {
        case CLIP_PICTURE_OK: break
        case CLIP_PICTURE_UNKNOWN: throw .unknownFormat
        case CLIP_PICTURE_TRUNCATED: throw .truncated
        case CLIP_PICTURE_TOO_LARGE: throw .tooLarge(width: width, height: height)
        case CLIP_PICTURE_UNSUPPORTED: throw .unsupported(Self.message(of: picture))
        case CLIP_PICTURE_OUT_OF_MEMORY: throw .outOfMemory(width: width, height: height)
        default: throw .damaged(Self.message(of: picture))
        }
        self.width = width
        self.height = height
        let channels = Int(picture.channels)
        let all = UnsafeBufferPointer(start: picture.pixels, count: channels * width * height)
        if channels == 4 {
            pixels = Self.colours(of: all)
            alpha = stride(from: 3, to: all.count, by: 4).map { all[$0] }
        } else {
            pixels = Array(all)
            alpha = nil
        }
        orientation = Int(picture.orientation)
        specialKind = picture.special_kind.map { String(cString: $0) }
    }

    private static func colours(of rgba: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        let count = rgba.count / 4 * 3
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for pixel in 0..<(rgba.count / 4) {
                for channel in 0..<3 { buffer[3 * pixel + channel] = rgba[4 * pixel + channel] }
            }
            initialized = count
        }
    }

    private static func message(of picture: clip_picture) -> String {
        withUnsafeBytes(of: picture.message) {
            String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
