/// A URL, split into the parts that determine redirects and the use of credentials.
struct WebAddress: Equatable {
    /// The scheme, `http` or `https`.
    let scheme: String
    /// The host and port, in lower case.
    let authority: String
    /// The path with query and fragment; begins with a slash.
    let path: String

    /// The complete URL.
    var url: String { "\(scheme)://\(authority)\(path)" }

    /// The URL for messages, without the query, which may contain a signature.
    var shown: String { "\(scheme)://\(authority)\(path.prefix { !"?#".contains($0) })" }

    /// Parses a URL; nil if it is not http or https, has no host, contains credentials, or has
    /// characters other than printable ASCII without the space.
    init?(_ url: String) {
        guard let separator = url.firstRange(of: "://") else { return nil }
        let rest = url[separator.upperBound...]
        let end = rest.firstIndex { "/?#".contains($0) } ?? rest.endIndex
        scheme = url[..<separator.lowerBound].lowercased()
        authority = rest[..<end].lowercased()
        let path = String(rest[end...])
        self.path = path.hasPrefix("/") ? path : "/" + path
        guard ["http", "https"].contains(scheme), !authority.isEmpty, !authority.contains("@"),
            url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
    }

    /// Returns the target of a redirect: an absolute URL, or one relative to the scheme (`//…`) or
    /// to the host (`/…`); nil for any other location.
    func following(_ location: String) -> WebAddress? {
        if location.hasPrefix("//") { return WebAddress("\(scheme):\(location)") }
        if location.hasPrefix("/") { return WebAddress("\(scheme)://\(authority)\(location)") }
        return WebAddress(location)
    }

    /// Returns true if another address has the same scheme, host and port.
    func isSameOrigin(as other: WebAddress) -> Bool {
        (scheme, authority) == (other.scheme, other.authority)
    }
}
