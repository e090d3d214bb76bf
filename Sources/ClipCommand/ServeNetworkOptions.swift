import ArgumentParser
import CLIPServer
import Files

/// The options of `clip serve` for connections and requests.
struct ServeNetworkOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Listen on this IP address; 0.0.0.0 or :: for all interfaces.", valueName: "address"))
    var host = ServerOptions().host

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Listen on this port; 0 for any free one.", valueName: "port"))
    var port = ServerOptions().port

    @Option(
        help: ArgumentHelp(
            "Serve all endpoints below PATH, such as /clip, as a reverse proxy forwards them.",
            valueName: "path"))
    var basePath = ServerOptions().basePath

    @Option(
        help: ArgumentHelp(
            """
            Require the header Authorization: Bearer KEY. Other users of this machine can see the \
            key of a running command: prefer --api-key-file. (default: CLIP_API_KEY, else none)
            """, valueName: "key"))
    var apiKey: String?

    @Option(
        help: ArgumentHelp(
            "Require the key in the first line of FILE, as --api-key does.", valueName: "file"),
        completion: .file())
    var apiKeyFile: String?

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            """
            Accept requests to this host name, beside localhost, IP addresses and names without a \
            dot; repeat the option for more.
            """, valueName: "name"))
    var allowHost: [String] = []

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            """
            Let pages of this origin, such as https://example.com, use the server; * for all. \
            Repeat the option for more.
            """, valueName: "origin"))
    var cors: [String] = []

    @Flag(
        name: .customLong("allow-urls"),
        help: "Fetch images that requests give by URL, from public addresses only.")
    var allowURLs = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reject requests whose body is larger than SIZE.", valueName: "size"))
    var maxBody = ByteCount(ServerOptions().bodyLimit)

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reject requests with more than N images.", valueName: "n"))
    var maxImages = ServerOptions().imagesPerRequest

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reject images of more than N pixels.", valueName: "n"))
    var maxPixels = ServerOptions().maximumPixels

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Refuse connections while N are open.", valueName: "n"))
    var maxConnections = ServerOptions().connectionLimit

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Let at most N images and N texts wait for each model; answer 429 to more.",
            valueName: "n"))
    var queue = ServerOptions().queueLimit

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Close connections whose request takes longer than SECONDS to arrive.",
            valueName: "seconds"))
    var requestTimeout = ServerOptions().requestTimeout

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "After SIGTERM or Ctrl-C, finish accepted requests for at most SECONDS.",
            valueName: "seconds"))
    var grace = ServerOptions().grace

    @Option(
        help: ArgumentHelp(
            "Log one line per request to standard output as text, json, or none.",
            valueName: "format"))
    var log = ServerOptions.LogFormat.text

    func validate() throws {
        for (name, value, range) in [
            ("--port", port, 0...65_535), ("--max-images", maxImages, 1...Int.max),
            ("--max-pixels", maxPixels, 1...Int.max),
            ("--max-connections", maxConnections, 1...Int.max), ("--queue", queue, 1...Int.max),
            ("--request-timeout", requestTimeout, 1...86_400), ("--grace", grace, 0...86_400),
        ] where !range.contains(value) {
            let words =
                range.upperBound == .max
                ? "at least \(range.lowerBound)" : "\(range.lowerBound) to \(range.upperBound)"
            throw ValidationError("\(name) must be \(words), not \(value).")
        }
        guard (1024...ServerOptions.largestBodyLimit).contains(maxBody.bytes) else {
            throw ValidationError("--max-body must be 1KiB to 1TiB, not \(maxBody).")
        }
        guard isAddress(host) || host == "localhost" else {
            throw ValidationError(
                "--host must be an IP address or localhost, not \"\(host)\".")
        }
        guard basePath.isEmpty || Self.isPath(basePath) else {
            throw ValidationError(
                """
                --base-path must begin with / and consist of letters, digits, -, _, ., ~ and /, \
                not "\(basePath)".
                """)
        }
        for name in allowHost where !Self.isHostName(name) {
            throw ValidationError(
                "--allow-host must be a host name such as clip.example.com, not \"\(name)\".")
        }
        for origin in cors where origin != "*" && !Self.isOrigin(origin) {
            throw ValidationError(
                "--cors must be * or an origin such as https://example.com, not \"\(origin)\".")
        }
        if apiKey != nil && apiKeyFile != nil {
            throw ValidationError("--api-key and --api-key-file cannot be combined.")
        }
        if let apiKey, !Self.isKey(apiKey) {
            throw ValidationError("--api-key must be \(Self.keyWords).")
        }
    }

    /// The path of `--base-path`, without a slash at its end.
    var path: String { String(basePath.hasSuffix("/") ? basePath.dropLast() : basePath[...]) }

    /// True if the server can be reached only from this machine.
    var isLoopback: Bool { host == "localhost" || host.hasPrefix("127.") || host == "::1" }

    /// Returns the key of `--api-key`, `--api-key-file` or `CLIP_API_KEY`; nil if none is given.
    ///
    /// - Throws: `Failure` if the file cannot be read, or with status 2 if the key cannot be sent
    ///   in a header.
    func key() throws -> String? {
        if let apiKey { return apiKey }
        if let file = apiKeyFile {
            let key = try readLines(file).first ?? ""
            guard Self.isKey(key) else {
                throw Failure("the first line of \(file) must be \(Self.keyWords)", status: 2)
            }
            return key
        }
        guard let key = Environment["CLIP_API_KEY"] else { return nil }
        guard Self.isKey(key) else {
            throw Failure("CLIP_API_KEY must be \(Self.keyWords)", status: 2)
        }
        return key
    }

    private static let keyWords = "a key of printable ASCII characters without spaces"

    /// Sets the members of the server's options, except `apiKey`.
    func apply(to options: inout ServerOptions) {
        (options.host, options.port) = (host, port)
        options.basePath = path
        options.allowedHosts = allowHost
        options.corsOrigins = cors
        options.allowsURLs = allowURLs
        options.bodyLimit = maxBody.bytes
        options.imagesPerRequest = maxImages
        options.maximumPixels = maxPixels
        options.connectionLimit = maxConnections
        options.queueLimit = queue
        options.requestTimeout = requestTimeout
        options.grace = grace
        options.logFormat = log
    }

    private static func isKey(_ key: String) -> Bool {
        !key.isEmpty && key.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    }

    private static func isPath(_ path: String) -> Bool {
        let names = path.split(separator: "/")
        return path.hasPrefix("/") && !path.contains("//")
            && names.allSatisfy { $0 != "." && $0 != ".." }
            && path.unicodeScalars.allSatisfy { isWord($0) || "_.~/".unicodeScalars.contains($0) }
    }

    private static func isHostName(_ name: some StringProtocol) -> Bool {
        !name.isEmpty && name.utf8.count < 254 && name.first != "." && name.first != "-"
            && name.unicodeScalars.allSatisfy { isWord($0) || $0 == "." }
    }

    private static func isOrigin(_ origin: String) -> Bool {
        guard let scheme = ["https://", "http://"].first(where: origin.hasPrefix) else {
            return false
        }
        let place = origin.dropFirst(scheme.count)
        let host: Substring
        var port: Substring?
        if place.hasPrefix("["), let end = place.lastIndex(of: "]") {
            host = place[...end]
            let rest = place[place.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else { return false }
            port = rest.isEmpty ? nil : rest.dropFirst()
            guard isAddress(String(host.dropFirst().dropLast())) else { return false }
        } else {
            let parts = place.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            host = parts[0]
            port = parts.count == 2 ? parts[1] : nil
            guard isHostName(host) else { return false }
        }
        return port.map { UInt16($0) != nil && $0.first?.isNumber == true } ?? true
    }

    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        scalar.isASCII && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar))
            || scalar == "-"
    }
}

extension ServerOptions.LogFormat: ExpressibleByArgument {}
