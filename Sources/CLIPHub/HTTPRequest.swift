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

    /// - Parameter stall: after how many seconds without a byte to give up.
    /// - Throws: `HubError.noTransport` if there is no libcurl.
    init(
        _ address: WebAddress, isHead: Bool = false, headers: [String], stall: Int
    ) throws(HubError) {
        self.address = address
        guard clip_http_is_available() != 0 else { throw .noTransport }
        let lines = headers.joined(separator: "\n")
        guard let response = clip_http_begin(address.url, isHead ? 1 : 0, lines, stall) else {
            throw .unreachable(url: address.shown, reason: "libcurl does not take this address")
        }
        self.response = response
    }

    deinit { clip_http_end(response) }

    /// Waits for the status and the headers.
    ///
    /// - Throws: `HubError.unreachable`, or `.cancelled`.
    func status(isCancelled: () -> Bool) throws(HubError) -> Int {
        while true {
            if isCancelled() { throw .cancelled }
            let event = read()
            if case .waiting = event { continue }
            first = event
            let status = clip_http_status(response)
            guard status == 0 else { return status }
            if case .failed(let reason) = event {
                throw .unreachable(url: shownURL, reason: reason)
            }
            throw .unreachable(url: shownURL, reason: "the answer is cut off or none of HTTP")
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
