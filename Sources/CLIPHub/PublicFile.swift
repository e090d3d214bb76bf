internal import CHTTP
internal import Files

/// A file on the public internet whose URL comes from an untrusted client.
///
/// Only public IP addresses outside of this machine's own networks are connected to, whatever a
/// name resolves to and wherever a host redirects. No credentials are sent, and no proxy is used.
package struct PublicFile: Sendable {
    /// The reason why a file was not downloaded.
    package enum Failure: Error, Equatable {
        /// libcurl is not installed.
        case noTransport
        /// The file has more bytes than the limit.
        case tooLarge
        /// The URL is invalid, or the host does not send the file; the text is a clause.
        case failed(String)
        case cancelled
    }

    private let address: WebAddress
    private let isPublicOnly: Bool
    private static let redirectLimit = 3
    /// Some hosts refuse requests without a User-Agent.
    private static let headers = [
        "User-Agent: swift-clip", "Accept: image/*", "Accept-Encoding: identity",
    ]

    /// Parses a URL.
    ///
    /// - Throws: `Failure.failed` if it is not an http or https URL, or has credentials.
    package init(url: String) throws(Failure) {
        try self.init(url: url, publicOnly: true)
    }

    /// Parses a URL, which may be one of this machine if `publicOnly` is false.
    init(url: String, publicOnly: Bool) throws(Failure) {
        guard let address = WebAddress(url) else {
            throw .failed(
                "expected an http or https URL of printable ASCII without credentials")
        }
        (self.address, isPublicOnly) = (address, publicOnly)
    }

    /// Returns true if an IP address is one of the public internet.
    static func isPublic(address: String) -> Bool { clip_http_is_public(address) != 0 }

    /// Downloads the file.
    ///
    /// - Parameters:
    ///   - limit: The largest size in bytes.
    ///   - seconds: The time for the whole download, redirects included.
    ///   - isCancelled: Returns true to stop the download.
    /// - Returns: The bytes of the file.
    /// - Throws: `Failure`.
    package func read(
        limit: Int, seconds: Int = 10, isCancelled: () -> Bool = { false }
    ) throws(Failure) -> [UInt8] {
        let end = SuspendingClock.now + .seconds(seconds)
        func isOver() -> Bool { isCancelled() || SuspendingClock.now >= end }
        var bytes: [UInt8] = []
        let request: HTTPRequest
        do throws(HubError) {
            request = try follow(seconds, isCancelled: isOver)
        } catch {
            throw isOver() ? Self.failure(isCancelled(), seconds) : Self.failure(error)
        }
        while !isOver() {
            switch request.read() {
            case .bytes(let count):
                guard count <= limit - bytes.count else { throw .tooLarge }
                bytes += request.buffer[..<count]
            case .waiting: break
            case .end: return bytes
            case .failed(let reason): throw .failed(reason)
            }
        }
        throw Self.failure(isCancelled(), seconds)
    }

    /// Requests the URL, and returns the response with status 200 to which redirects lead.
    private func follow(
        _ seconds: Int, isCancelled: () -> Bool
    ) throws(HubError) -> HTTPRequest {
        var policy = TransferPolicy()
        policy.stall = seconds + 1
        let certificates = Certificates(environment: environmentVariables())
        let request = try HTTPRequest.following(
            address, redirects: Self.redirectLimit, policy: policy, certificates: certificates,
            publicOnly: isPublicOnly, isCancelled: isCancelled
        ) { _ in Self.headers }
        let status = try request.status(isCancelled: isCancelled)
        guard status == 200 else {
            throw .refused(url: request.shownURL, status: status, hasToken: false)
        }
        return request
    }

    /// The failure of a download that was stopped by its caller, or because its time was over.
    private static func failure(_ isCancelled: Bool, _ seconds: Int) -> Failure {
        isCancelled ? .cancelled : .failed("it did not arrive within \(seconds) seconds")
    }

    private static func failure(_ error: HubError) -> Failure {
        switch error {
        case .noTransport: .noTransport
        case .cancelled: .cancelled
        case .refused(_, let status, _): .failed("the host responded with status \(status)")
        case .unreachable(_, let reason), .badRedirect(_, let reason): .failed(reason)
        case .untrusted: .failed("the certificate of the host is not trusted")
        default: .failed("\(error)")
        }
    }
}
