internal import CImageCodecs

/// The versions of the libraries that decode images; nil for one that was left out of the build.
package enum CodecVersions {
    package static var jpeg: String { clip_jpeg_version().map { String(cString: $0) } ?? "" }
    package static var png: String { clip_png_version().map { String(cString: $0) } ?? "" }

    package static var webP: String? {
        let version = clip_webp_version()
        guard version != 0 else { return nil }
        return "\(version >> 16).\(version >> 8 & 255).\(version & 255)"
    }
}
