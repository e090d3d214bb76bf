internal import Files

/// An image in a JSON request.
enum ImageReference: Sendable, Equatable {
    /// The bytes of an image file, which have not been examined.
    case bytes([UInt8])
    /// An `http` or `https` URL, from which `Services` fetches the image if that is allowed.
    ///
    /// `parameter` is the field of the request that holds the URL, for errors.
    case url(String, parameter: String)

    /// True for an image that must be downloaded.
    var isURL: Bool { bytes == nil }

    /// The bytes of an image file; nil for a URL.
    var bytes: [UInt8]? { if case .bytes(let bytes) = self { bytes } else { nil } }

    /// The largest length of a URL to download, and of the header of a `data:` URL, in bytes.
    private static let (urlLimit, headerLimit) = (8192, 256)

    /// Reads a `data:` URL, the URL of an image, or the base64 text of an image file.
    ///
    /// - Parameters:
    ///   - text: The value of the field.
    ///   - parameter: The field of the request that holds the text, for errors.
    ///   - options: The settings of the server, which say if other URLs are allowed.
    /// - Throws: `RequestError` with status 400.
    init(_ text: String, parameter: String, _ options: ServerOptions) throws(RequestError) {
        let bytes = text.utf8
        // Base64 has no colon, so there is none in the beginning of a bare image.
        guard let colon = bytes.prefix(Self.headerLimit).firstIndex(of: UInt8(ascii: ":")) else {
            guard let image = Base64.decode(bytes), !image.isEmpty else {
                throw .invalid(
                    "\(parameter) is not an image: expected base64 or a data:, http: or https: URL",
                    parameter: parameter)
            }
            self = .bytes(image)
            return
        }
        switch text[..<colon].trimmed.lowercased() {
        case "data":
            self = .bytes(try Self.image(bytes[bytes.index(after: colon)...], parameter))
        case "http", "https":
            guard options.allowsURLs else {
                throw RequestError(
                    400, "urls_not_allowed",
                    """
                    \(parameter): the server does not fetch URLs: expected the image in base64 or \
                    as a data: URL
                    """, parameter: parameter)
            }
            let url = bytes.count <= Self.urlLimit ? text.trimmed : ""
            let isPrintable = url.utf8.allSatisfy { !$0.isControl && $0 != UInt8(ascii: " ") }
            guard !url.isEmpty, isPrintable else {
                throw .invalid(
                    "the URL in \(parameter) is longer than \(Self.urlLimit) bytes or contains "
                        + "spaces or control characters", parameter: parameter)
            }
            self = .url(url, parameter: parameter)
        default:
            throw .invalid(
                "unsupported URL scheme in \(parameter): expected data:, http: or https:",
                parameter: parameter)
        }
    }

    /// Returns the content of a `data:` URL (RFC 2397).
    private static func image(
        _ url: Substring.UTF8View, _ parameter: String
    ) throws(RequestError) -> [UInt8] {
        guard let comma = url.prefix(headerLimit).firstIndex(of: UInt8(ascii: ",")) else {
            throw .invalid(
                "the data: URL in \(parameter) has no comma in its first \(headerLimit) bytes",
                parameter: parameter)
        }
        let header = String(Substring(url[..<comma])).lowercased().split(
            separator: ";", omittingEmptySubsequences: false
        ).map(\.trimmed)
        // Without a media type, the bytes of the image say what it is.
        let type = header.first ?? ""
        guard type.hasPrefix("image/") || ["", "application/octet-stream"].contains(type) else {
            throw .invalid(
                "expected an image in the data: URL in \(parameter), found another media type",
                parameter: parameter)
        }
        let isBase64 = header.count > 1 && header.last == "base64"
        let data = Array(url[url.index(after: comma)...])
        let image: [UInt8]?
        if !isBase64 {
            image = percentDecoded(data)
        } else if data.contains(UInt8(ascii: "%")) {
            image = percentDecoded(data).flatMap { Base64.decode($0) }
        } else {
            image = Base64.decode(data)
        }
        guard let image, !image.isEmpty else {
            throw .invalid(
                "the data: URL in \(parameter) is empty or not valid "
                    + (isBase64 ? "base64" : "percent-encoding"), parameter: parameter)
        }
        return image
    }
}
