internal import CHTTP

/// The version of libcurl, such as "7.88.1"; nil if it is not installed. Loads it.
package func libcurlVersion() -> String? {
    clip_http_version().map {
        let name = String(cString: $0).prefix { $0 != " " }
        return String(name.drop { $0 != "/" }.dropFirst())
    }
}

/// One request and its response, read piece by piece: the only place that knows libcurl's shim.
final class HTTPRequest {
    enum Event {
        /// So many bytes are in the buffer.
        case bytes(Int)
        /// Nothing has come for a fifth of a second.
        case waiting
        case end
        case failed(String)
    }

    private let address: WebAddress
    /// The address as messages may show it.
    var shownURL: String { address.shown }
    private let response: OpaquePointer
    private(set) var buffer = [UInt8](repeating: 0, count: 1 << 18)
    /// What the first read brought, before anyone asked for the body.
    private var first: Event?
    private let certificates: Certificates
    /// Seconds in which the status and all headers have to come.
    private let headerSeconds: Double

    /// - Throws: `HubError.noTransport` if there is no libcurl.
    init(
        _ address: WebAddress, isHead: Bool = false, headers: [String], policy: TransferPolicy,
        certificates: Certificates
    ) throws(HubError) {
        self.address = address
        self.certificates = certificates
        headerSeconds = Double(policy.stall) + policy.slowSeconds
        guard clip_http_is_available() != 0 else { throw .noTransport }
        let lines = headers.joined(separator: "\n")
        guard
            let response = clip_http_begin(
                address.url, isHead ? 1 : 0, lines, policy.stall, certificates.file,
                certificates.folder)
        else {
            throw .unreachable(url: address.shown, reason: "libcurl does not take this address")
        }
        self.response = response
    }

    deinit { clip_http_end(response) }

    /// Waits for the status and the headers.
    ///
    /// - Throws: `HubError.unreachable`, `.untrusted` or `.cancelled`.
    func status(isCancelled: () -> Bool) throws(HubError) -> Int {
        let start = SuspendingClock.now
        while true {
            if isCancelled() { throw .cancelled }
            let event = read()
            if case .waiting = event {
                guard SuspendingClock.now - start < .seconds(headerSeconds) else {
                    throw .unreachable(
                        url: shownURL,
                        reason: "no complete header came within \(Int(headerSeconds)) seconds")
                }
                continue
            }
            first = event
            let status = clip_http_status(response)
            guard status == 0 else { return status }
            if case .failed(let reason) = event {
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

    /// The value of a header, by its name in lower case.
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

    /// The size in a header; nil if the header is missing.
    ///
    /// - Throws: `HubError.malformed` if it is no size.
    func size(_ name: String) throws(HubError) -> Int? {
        guard let text = header(name) else { return nil }
        guard let size = byteCount(text) else {
            throw .malformed(
                url: shownURL,
                reason: "wrong header \(name): expected a size in bytes, found \(text.prefix(80))")
        }
        return size
    }

    /// The next of the body.
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
    /// Without space at either end.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        return String(start.reversed().drop { $0.isWhitespace }.reversed())
    }
}
