internal import CHTTP

/// Loads libcurl and returns its version, such as "7.88.1"; nil if it is not installed.
package func libcurlVersion() -> String? {
    clip_http_version().map {
        let name = String(cString: $0).prefix { $0 != " " }
        return String(name.drop { $0 != "/" }.dropFirst())
    }
}

/// An HTTP request and its response, which is read in pieces on the caller's thread.
///
/// This is the only wrapper of libcurl.
final class HTTPRequest {
    /// The result of a read.
    enum Event {
        /// Bytes arrived; the given number of them is at the beginning of `buffer`.
        case bytes(Int)
        /// No bytes of the body arrived during the read, which waits up to 0.2 seconds.
        case waiting
        /// The body is complete.
        case end
        /// The transfer failed; the text is libcurl's message.
        case failed(String)
    }

    private let address: WebAddress
    /// The URL for messages, without its query.
    var shownURL: String { address.shown }
    private let response: OpaquePointer
    /// The buffer with the bytes of the last read at its beginning.
    private(set) var buffer = [UInt8](repeating: 0, count: 1 << 18)
    /// The event that `status` read; the next `read` returns it.
    private var first: Event?
    private let certificates: Certificates
    private let isPublicOnly: Bool
    /// The longest wait for the complete response header, in seconds.
    private let headerSeconds: Double

    /// Begins a request.
    ///
    /// With `publicOnly`, only addresses of the public internet are connected to, without a proxy.
    ///
    /// Throws `HubError.noTransport` if libcurl is not installed, and `HubError.unreachable` if
    /// libcurl rejects the URL or a header.
    init(
        _ address: WebAddress, isHead: Bool = false, headers: [String], policy: TransferPolicy,
        certificates: Certificates, publicOnly: Bool = false
    ) throws(HubError) {
        self.address = address
        self.certificates = certificates
        isPublicOnly = publicOnly
        headerSeconds = Double(policy.stall) + policy.slowSeconds
        guard clip_http_is_available() != 0 else { throw .noTransport }
        let lines = headers.joined(separator: "\n")
        guard
            let response = clip_http_begin(
                address.url, isHead ? 1 : 0, lines, policy.stall, publicOnly ? 1 : 0,
                certificates.file, certificates.folder)
        else {
            throw .unreachable(url: address.shown, reason: "libcurl rejects the URL or a header")
        }
        self.response = response
    }

    deinit { clip_http_end(response) }

    /// Waits until the response header is complete, and returns the HTTP status.
    ///
    /// Throws `HubError.unreachable`, `.untrusted` or `.cancelled`.
    func status(isCancelled: () -> Bool) throws(HubError) -> Int {
        let start = SuspendingClock.now
        while true {
            if isCancelled() { throw .cancelled }
            let event = read()
            if case .waiting = event {
                guard SuspendingClock.now - start < .seconds(headerSeconds) else {
                    throw .unreachable(
                        url: shownURL,
                        reason: """
                            no complete response header arrived within \(Int(headerSeconds)) \
                            seconds
                            """)
                }
                continue
            }
            first = event
            let status = clip_http_status(response)
            guard status == 0 else { return status }
            if case .failed(let reason) = event {
                // One reason for both, which does not tell names of a private network.
                let isUnknown = isPublicOnly && reason.hasPrefix("Could not resolve")
                guard clip_http_is_private(response) == 0, !isUnknown else {
                    throw .unreachable(
                        url: shownURL,
                        reason: "the host is unknown, or its IP address is not public")
                }
                guard clip_http_is_untrusted(response) == 0 else {
                    throw .untrusted(
                        url: shownURL, reason: reason, variable: certificates.variable)
                }
                throw .unreachable(url: shownURL, reason: reason)
            }
            throw .unreachable(
                url: shownURL, reason: "the server's response is truncated or not HTTP")
        }
    }

    /// Requests a URL, follows redirects, and returns the first response that is not a redirect.
    ///
    /// A redirect from https to http is an error.
    ///
    /// - Parameters:
    ///   - start: The URL.
    ///   - redirects: The largest number of redirects.
    ///   - policy: The timeouts of each request.
    ///   - certificates: The certificates to trust.
    ///   - publicOnly: As in the initialiser.
    ///   - isCancelled: Returns true to stop waiting.
    ///   - headers: Returns the header lines for a URL.
    /// - Returns: The response, whose status is known.
    /// - Throws: `HubError.badRedirect`, and the errors of the initialiser and of `status`.
    static func following(
        _ start: WebAddress, redirects: Int, policy: TransferPolicy, certificates: Certificates,
        publicOnly: Bool = false, isCancelled: () -> Bool, headers: (WebAddress) -> [String]
    ) throws(HubError) -> HTTPRequest {
        var address = start
        for _ in 0...redirects {
            let request = try HTTPRequest(
                address, headers: headers(address), policy: policy, certificates: certificates,
                publicOnly: publicOnly)
            let status = try request.status(isCancelled: isCancelled)
            guard [301, 302, 303, 307, 308].contains(status) else { return request }
            guard let next = request.header("location").flatMap(address.following) else {
                throw .badRedirect(
                    url: address.shown, reason: "the redirect has no valid Location header")
            }
            guard next.scheme == "https" || address.scheme == "http" else {
                throw .badRedirect(
                    url: address.shown,
                    reason: "the redirect leaves https for http at \(next.authority)")
            }
            address = next
        }
        throw .badRedirect(url: start.shown, reason: "too many redirects")
    }

    /// Returns the value of a header, by its name in lower case; nil if it is missing.
    func header(_ name: String) -> String? {
        String(cString: clip_http_headers(response)).split(separator: "\n").lazy
            .compactMap { line -> String? in
                guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name
                else {
                    return nil
                }
                return line[line.index(after: colon)...].trimmed
            }.first
    }

    /// Returns the size in bytes that a header states; nil if the header is missing.
    ///
    /// Throws `HubError.malformed` if the value is not a size.
    func size(_ name: String) throws(HubError) -> Int? {
        guard let text = header(name) else { return nil }
        guard let size = byteCount(text) else {
            throw .malformed(
                url: shownURL,
                reason: "wrong header \(name): expected a size in bytes, found \(text.prefix(80))")
        }
        return size
    }

    /// Waits up to 0.2 seconds for the next bytes of the body.
    func read() -> Event {
        if let event = first {
            first = nil
            return event
        }
        var count = 0
        switch clip_http_read(response, &buffer, buffer.count, &count) {
        case CLIP_HTTP_OK: return .bytes(count)
        case CLIP_HTTP_WAITING: return .waiting
        case CLIP_HTTP_END: return .end
        default: return .failed(String(cString: clip_http_message(response)))
        }
    }
}

extension Substring {
    /// The text without leading and trailing whitespace.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }
}
