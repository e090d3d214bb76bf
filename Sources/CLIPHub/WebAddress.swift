/// As much of a URL as redirects and credentials need.
struct WebAddress: Equatable {
    let scheme: String
    /// Host and port.
    let authority: String
    let path: String

    var url: String { "\(scheme)://\(authority)\(path)" }

    /// Without its query, in which servers put signatures.
    var shown: String { "\(scheme)://\(authority)\(path.prefix { !"?#".contains($0) })" }

    /// A URL of http or https without credentials in it.
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

    /// Where a `Location` leads to from here.
    func following(_ location: String) -> WebAddress? {
        if location.hasPrefix("//") { return WebAddress("\(scheme):\(location)") }
        if location.hasPrefix("/") { return WebAddress("\(scheme)://\(authority)\(location)") }
        return WebAddress(location)
    }

    /// Whether another address is the same server, by the same protocol.
    func isSameOrigin(as other: WebAddress) -> Bool {
        (scheme, authority) == (other.scheme, other.authority)
    }
}
