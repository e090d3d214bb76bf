internal import Files

/// The rules that decide which clients and pages may use the server.
///
/// A server on the user's own machine is in reach of each page that the user visits. The rules stop
/// pages of other origins, and pages whose host name was made to resolve to the server's address
/// (DNS rebinding).
struct AccessControl: Sendable {
    private let allowedHosts: Set<String>
    private let origins: Set<Origin>
    private let allowsAllOrigins: Bool
    private let keyDigest: [UInt8]?

    /// Takes the allowed hosts, the CORS origins and the API key of the server.
    init(_ options: ServerOptions) {
        allowedHosts = Set(options.allowedHosts.compactMap { HostAndPort($0)?.host })
        origins = Set(
            options.corsOrigins.compactMap { Origin($0.hasSuffix("/") ? $0.dropLast() : $0[...]) })
        allowsAllOrigins = options.corsOrigins.contains("*")
        keyDigest = options.apiKey.map { sha256(Array($0.utf8)) }
    }

    /// Checks the host and the origin of a request, and the API key if the endpoint is not open.
    ///
    /// - Throws: `RequestError` with status 400 for a missing or malformed `Host`, 403 for a host
    ///   or an origin that is not allowed, 401 for a missing or wrong API key.
    func check(
        method: String, path: String, headers: [(name: String, value: String)], isOpen: Bool
    ) throws(RequestError) {
        let headers = RequestHeaders(headers)
        let host = try checkedHost(headers)
        try checkOrigin(headers, host: host, method: method)
        if !isOpen { try checkKey(headers) }
    }

    /// Returns the headers that let the page of an origin read a response.
    func corsHeaders(origin: String?) -> [(name: String, value: String)] {
        if allowsAllOrigins {
            return [
                ("Access-Control-Allow-Origin", "*"),
                ("Access-Control-Expose-Headers", "Retry-After"),
            ]
        }
        guard !origins.isEmpty else { return [] }
        let vary = ("Vary", "Origin")
        // Parsed, so it has no characters that could end a header.
        guard let origin, let parsed = Origin(origin), origins.contains(parsed) else {
            return [vary]
        }
        return [
            vary, ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", "Retry-After"),
        ]
    }

    /// Returns the response to a preflight request of an allowed origin; nil for other requests,
    /// which `check` then judges.
    func preflight(
        method: String, headers: [(name: String, value: String)],
        methods: [String] = ["GET", "HEAD", "POST"]
    ) -> ServerResponse? {
        let headers = RequestHeaders(headers)
        guard method == "OPTIONS", let origin = headers.only("Origin"),
            !headers["Access-Control-Request-Method"].isEmpty,
            allowsAllOrigins || Origin(origin).map(origins.contains) == true,
            (try? checkedHost(headers)) != nil
        else { return nil }
        var response = ServerResponse(status: 204)
        response.headers = corsHeaders(origin: origin)
        response.headers += [
            ("Access-Control-Allow-Methods", methods.joined(separator: ", ")),
            ("Access-Control-Allow-Headers", Self.allowedHeaders(headers)),
            ("Access-Control-Max-Age", "600"),
        ]
        return response
    }

    /// Returns the names of the headers that a preflight request asks for, because clients have
    /// some of their own; those of any request if the names are missing or malformed.
    private static func allowedHeaders(_ headers: RequestHeaders) -> String {
        let standard = "authorization, content-type"
        guard let requested = headers.only("Access-Control-Request-Headers"),
            requested.utf8.count <= 1024
        else { return standard }
        let names = requested.split(separator: ",").map(\.trimmed)
        guard !names.isEmpty,
            names.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(\.isToken) })
        else { return standard }
        return names.joined(separator: ", ")
    }

    private func checkedHost(_ headers: RequestHeaders) throws(RequestError) -> HostAndPort {
        guard let text = headers.only("Host") else {
            throw .invalid("expected the header Host once, found it \(headers["Host"].count) times")
        }
        guard let host = HostAndPort(text) else {
            throw .invalid("the header Host is not a host name with an optional port")
        }
        guard host.isLocal || allowedHosts.contains(host.host) else {
            throw RequestError(
                403, "host_not_allowed",
                "the host name \(host.host) is not allowed; start the server with "
                    + "--allow-host \(host.host) if this name is its own")
        }
        return host
    }

    private func checkOrigin(
        _ headers: RequestHeaders, host: HostAndPort, method: String
    ) throws(RequestError) {
        if allowsAllOrigins { return }
        let foreign = RequestError(
            403, "origin_not_allowed", "pages of other origins may not send this request")
        if !headers["Origin"].isEmpty {
            guard let origin = headers.only("Origin").flatMap({ Origin($0) }) else { throw foreign }
            if origins.contains(origin) { return }
            // A proxy may have removed TLS, so both schemes are the server's own.
            guard ["http", "https"].contains(origin.scheme),
                origin == Origin(scheme: origin.scheme, address: host)
            else { throw foreign }
        }
        // Browsers send no Origin for images and scripts, but they say where the page is from.
        guard !headers["Sec-Fetch-Site"].contains("cross-site") else {
            // Links lead here; forms and frames of foreign pages do not.
            guard headers.only("Sec-Fetch-Mode") == "navigate", ["GET", "HEAD"].contains(method),
                headers["Sec-Fetch-Dest"].allSatisfy({ $0 == "document" })
            else { throw foreign }
            return
        }
    }

    private func checkKey(_ headers: RequestHeaders) throws(RequestError) {
        guard let keyDigest else { return }
        let scheme = "bearer "
        let value = headers.only("Authorization") ?? ""
        let isBearer = value.prefix(scheme.count).lowercased() == scheme
        let key = isBearer ? value.dropFirst(scheme.count).trimmed : ""
        // Digests have equal lengths, and all their bytes are compared, so that the time does not
        // depend on the key.
        let digest = sha256(Array(key.utf8))
        let difference = zip(digest, keyDigest).reduce(0 as UInt8) { $0 | ($1.0 ^ $1.1) }
        guard difference == 0, isBearer else {
            throw RequestError(
                401, "invalid_api_key",
                "expected a valid API key in the header Authorization: Bearer KEY")
        }
    }
}

/// The values of headers by their names in lower case.
private struct RequestHeaders {
    private var values: [String: [String]] = [:]

    init(_ headers: [(name: String, value: String)]) {
        for header in headers {
            values[header.name.lowercased(), default: []].append(header.value.trimmed)
        }
    }

    subscript(name: String) -> [String] { values[name.lowercased()] ?? [] }

    /// Returns the value of a header that occurs exactly once; otherwise nil.
    func only(_ name: String) -> String? {
        let values = self[name]
        return values.count == 1 ? values[0] : nil
    }
}
