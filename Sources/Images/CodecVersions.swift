internal import CImageCodecs

/// The versions of the libraries that decode images.
package enum CodecVersions {
    /// The version of libjpeg that the package was compiled against.
    package static var jpeg: String { clip_jpeg_version().map { String(cString: $0) } ?? "" }
    /// The version of libpng that is loaded.
    package static var png: String { clip_png_version().map { String(cString: $0) } ?? "" }

    /// The version of libwebp that is loaded; nil if the package was built without WebP.
    package static var webP: String? {
        let version = clip_webp_version()
        guard version != 0 else { return nil }
        return "\(version >> 16).\(version >> 8 & 255).\(version & 255)"
    }

    /// The version of Little CMS 2, which converts colours; nil if it is not installed.
    ///
    /// The library is loaded when this or a conversion first needs it.
    package static var lcms: String? {
        let version = clip_lcms_version()
        guard version != 0 else { return nil }
        // 2140 is 2.14, and 2131 is 2.13.1.
        let revision = version % 10 == 0 ? "" : ".\(version % 10)"
        return "\(version / 1000).\(version % 1000 / 10)\(revision)"
    }
    /// The version of libheif; nil if it is missing or too old; loads the library.
    package static var heif: String? { clip_heif_version().map { String(cString: $0) } }
    /// The version of libtiff; nil if it is missing or too old; loads the library.
    package static var tiff: String? { clip_tiff_version().map { String(cString: $0) } }
    /// The version of libjxl; nil if it is missing or too old; loads the library.
    package static var jpegXL: String? { clip_jxl_version().map { String(cString: $0) } }
}
