/// The server of a hub, which states the size, hash and URL of each file in its repositories.
struct HubServer: Sendable {
    /// The URL of the hub, without a slash at its end.
    let endpoint: String
    /// The access token, if the user has one.
    let token: String?
    /// The certificates to trust.
    let certificates: Certificates
    /// The timeouts and limits of requests.
    var policy = TransferPolicy()

    /// Creates a server; slashes at the end of the URL are removed.
    init(endpoint: String, token: String?, certificates: Certificates) {
        self.certificates = certificates
        self.endpoint = String(endpoint.reversed().drop { $0 == "/" }.reversed())
        self.token = token
    }

    /// The header line with the access token, sent to this server only; empty without a token.
    var credentials: [String] { token.map { ["Authorization: Bearer \($0)"] } ?? [] }

    /// Returns the metadata of the first of the named files that the repository has.
    ///
    /// Throws `HubError.noWeights` if it has none of them.
    func describe(
        anyOf names: [String], of repository: HubRepository, isCancelled: () -> Bool
    ) throws(HubError) -> RemoteFile {
        for name in names {
            if let file = try describe(name, of: repository, isCancelled: isCancelled) {
                return file
            }
        }
        throw .noWeights(url: "\(endpoint)/\(repository.path)", files: names)
    }

    /// Returns the metadata of a file; nil if the repository has no file of that name.
    ///
    /// Failed requests are repeated as the policy allows.
    func describe(
        _ name: String, of repository: HubRepository, isCancelled: () -> Bool
    ) throws(HubError) -> RemoteFile? {
        guard let start = WebAddress("\(endpoint)/\(repository.path)/resolve/main/\(name)") else {
            throw .badRedirect(url: endpoint, reason: "HF_ENDPOINT is not an http or https URL")
        }
        var failures = 0
        while true {
            let error: HubError
            do throws(HubError) {
                return try describe(name, at: start, isCancelled: isCancelled)
            } catch let failure {
                error = failure
            }
            failures += 1
            guard let wait = policy.wait(after: error, failures: failures) else { throw error }
            try pause(wait, isCancelled: isCancelled)
        }
    }

    /// Requests the metadata of a file once, following redirects within the hub.
    private func describe(
        _ name: String, at start: WebAddress, isCancelled: () -> Bool
    ) throws(HubError) -> RemoteFile? {
        var address = start
        for _ in 0..<10 {
            let request = try HTTPRequest(
                address, isHead: true, headers: ["Accept-Encoding: identity"] + credentials,
                policy: policy, certificates: certificates)
            let status = try request.status(isCancelled: isCancelled)
            let etag = request.header("x-linked-etag") ?? request.header("etag")
            switch status {
            case 200, 301, 302, 303, 307, 308:
                // The hub redirects a renamed repository to another URL of its own, and a large
                // file to another server.
                if status != 200, request.header("x-linked-etag") == nil {
                    guard let next = request.header("location").flatMap(address.following),
                        next.isSameOrigin(as: start)
                    else {
                        throw .badRedirect(
                            url: address.shown,
                            reason: """
                                expected a redirect within the hub, or one with the file's hash in \
                                an X-Linked-ETag header
                                """)
                    }
                    address = next
                    continue
                }
                guard let hash = etag.flatMap(Self.hash),
                    let commit = request.header("x-repo-commit").flatMap(Self.hash)
                else {
                    throw .badRedirect(
                        url: address.shown,
                        reason: "the response lacks a valid ETag or X-Repo-Commit header of a hub")
                }
                var size = try request.size("x-linked-size")
                // The content length of a redirect is that of its own body.
                if size == nil, status == 200 { size = try request.size("content-length") }
                return RemoteFile(
                    name: name, address: address, etag: hash, commit: commit,
                    size: size)
            case 404, 410: return nil
            case 400..<500 where ![408, 429].contains(status):
                throw .refused(url: address.shown, status: status, hasToken: token != nil)
            default:
                let wait = request.header("retry-after").flatMap { Int($0) }
                throw .busy(url: address.shown, status: status, seconds: wait)
            }
        }
        throw .badRedirect(url: start.shown, reason: "too many redirects")
    }

    /// Returns the hexadecimal digits of an etag, `"…"` or `W/"…"`, in lower case; nil if it has
    /// other characters, fewer than 8 digits, or more than 128.
    ///
    /// The result is safe as a file name.
    private static func hash(_ etag: String) -> String? {
        let text = (etag.hasPrefix("W/") ? etag.dropFirst(2) : etag[...]).filter { $0 != "\"" }
        let isName = (8...128).contains(text.utf8.count) && text.utf8.allSatisfy(isHexadecimal)
        return isName ? text.lowercased() : nil
    }
}
