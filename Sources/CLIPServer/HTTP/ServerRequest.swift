/// An HTTP request whose body has been received completely.
struct ServerRequest: Sendable {
    /// The method in capitals, such as `POST`.
    var method: String
    /// The percent-decoded path below the base path, such as `/v1/embeddings`.
    var path: String
    /// The percent-decoded parameters of the query string, in order.
    var query: [(name: String, value: String)] = []
    /// The headers, in order.
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []

    /// Returns the first value of a header; nil if it is missing.
    ///
    /// Case is ignored.
    func header(_ name: String) -> String? {
        headers.first { $0.name.lowercased() == name.lowercased() }?.value
    }

    /// Returns the first value of a parameter of the query; nil if it is missing.
    func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// Returns true if a header `If-None-Match` contains an entity tag.
    ///
    /// Comparison is weak.
    ///
    /// - Parameter tag: The tag with its quotation marks.
    /// - Returns: True if the header contains the tag or `*`; false if it is missing.
    func matches(tag: String) -> Bool {
        headers.contains { name, value in
            name.lowercased() == "if-none-match"
                && value.split(separator: ",").contains { candidate in
                    let candidate = candidate.trimmed
                    return candidate == "*" || candidate == tag || candidate == "W/\(tag)"
                }
        }
    }

    /// True if the media type of the body is one of JSON, or if none is given.
    var isJSON: Bool {
        let type = mediaType
        return type.isEmpty || type == "application/json"
            || type.hasPrefix("application/") && type.hasSuffix("+json")
    }

    /// Returns the error for a media type of the body that is not the expected one.
    func unsupportedMediaType(expected: String) -> RequestError {
        RequestError(
            415, "unsupported_media_type",
            "unsupported Content-Type: expected \(expected), found \(JSONBody.quoted(mediaType))")
    }

    /// The media type of the body in lower case, without parameters; empty if none is given.
    var mediaType: String {
        let type = header("Content-Type") ?? ""
        return String(type.prefix { $0 != ";" }).trimmed.lowercased()
    }
}

extension StringProtocol {
    /// The text without spaces and tabs at both ends.
    var trimmed: String {
        let isBlank = { (byte: UInt8) in byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") }
        let text = Substring(self)
        guard let start = text.utf8.firstIndex(where: { !isBlank($0) }),
            let last = text.utf8.lastIndex(where: { !isBlank($0) })
        else { return "" }
        return String(text[start..<text.utf8.index(after: last)])
    }
}
