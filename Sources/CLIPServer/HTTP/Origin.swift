/// The host and port of a request, as in the header `Host`.
struct HostAndPort: Equatable, Sendable {
    /// The name in lower case or the IP address; IPv6 addresses keep their brackets.
    let host: String
    /// The port; nil for the scheme's default.
    let port: Int?

    /// The largest length of a DNS name, a colon and a port, in bytes.
    private static let lengthLimit = 260

    /// Parses `host`, `host:port`, `[address]` or `[address]:port`; nil for other text.
    init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.lengthLimit else { return nil }
        let bytes = Array(text.utf8)
        let end: Int
        if bytes.first == UInt8(ascii: "[") {
            guard let bracket = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            let address = bytes[1..<bracket]
            let isAddress = address.allSatisfy {
                $0.isDigit || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0 | 0x20)
                    || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".")
            }
            guard isAddress, address.count(where: { $0 == UInt8(ascii: ":") }) > 1 else {
                return nil
            }
            end = bracket + 1
        } else {
            end = bytes.firstIndex(of: UInt8(ascii: ":")) ?? bytes.count
            guard end > 0,
                bytes[..<end].allSatisfy({
                    $0.isLetter || $0.isDigit || "-._".utf8.contains($0)
                })
            else { return nil }
        }
        host = String(decoding: bytes[..<end], as: UTF8.self).lowercased()
        guard end < bytes.count else {
            port = nil
            return
        }
        let digits = bytes[(end + 1)...]
        guard bytes[end] == UInt8(ascii: ":"), digits.count <= 5, digits.allSatisfy(\.isDigit)
        else { return nil }
        port = Int(String(decoding: digits, as: UTF8.self))
        guard (port ?? 0) < 1 << 16 else { return nil }
    }

    /// True for hosts that no foreign DNS server can name: IP addresses, `localhost`, names below
    /// it, and names without a dot.
    var isLocal: Bool {
        if host.hasPrefix("[") || !host.contains(".") || host.hasSuffix(".localhost") {
            return true
        }
        let octets = host.split(separator: ".", omittingEmptySubsequences: false)
        return octets.count == 4
            && octets.allSatisfy { $0.utf8.allSatisfy(\.isDigit) && UInt8($0) != nil }
    }
}

/// The origin of a page: a scheme, a host and a port (RFC 6454).
struct Origin: Hashable, Sendable {
    /// The scheme in lower case.
    let scheme: String
    let host: String
    /// The port; the default one of `http` and `https`, or nil, if none is given.
    let port: Int?

    /// Parses an origin such as `https://example.com:8443`; nil for other text and for `null`.
    init?(_ text: some StringProtocol) {
        let pieces = text.utf8.split(
            separator: UInt8(ascii: ":"), maxSplits: 1, omittingEmptySubsequences: false)
        guard pieces.count == 2, pieces[0].count <= 32, pieces[0].first?.isLetter == true,
            pieces[0].allSatisfy({ $0.isLetter || $0.isDigit || "+-.".utf8.contains($0) }),
            pieces[1].starts(with: "//".utf8),
            let address = HostAndPort(String(decoding: pieces[1].dropFirst(2), as: UTF8.self))
        else { return nil }
        self.init(
            scheme: String(decoding: pieces[0], as: UTF8.self).lowercased(), address: address)
    }

    init(scheme: String, address: HostAndPort) {
        self.scheme = scheme
        host = address.host
        port = address.port ?? ["http": 80, "https": 443][scheme]
    }
}
