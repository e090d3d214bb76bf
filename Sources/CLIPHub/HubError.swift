/// What can go wrong between a model's name and its weights on this machine.
public enum HubError: Error, Equatable, Sendable {
    /// Neither a known name nor `owner/name` of a hub.
    case unknownModel(name: String, similar: [String])
    /// Known, but not on this machine.
    case notInstalled(name: String, bytes: Int?)
    /// Something has to be fetched, and `HF_HUB_OFFLINE` forbids it.
    case offline(name: String)
    /// There is no libcurl.
    case noTransport
    /// No connection, or one that broke off again and again.
    case unreachable(url: String, reason: String)
    /// The server brings too few bytes a second; what has come is kept.
    case tooSlow(url: String, bytesPerSecond: Int, seconds: Int)
    /// The server's certificate is not trusted, or the trusted ones cannot be read.
    ///
    /// `variable` is the variable of the environment that names the trusted certificates, if one
    /// does.
    case untrusted(url: String, reason: String, variable: String?)
    /// The server's answer contradicts itself or the protocol.
    case malformed(url: String, reason: String)
    /// The file has more bytes than are taken of one of its kind.
    case tooLarge(url: String, limit: Int)
    /// The repository is not there, or has none of the files that weights have.
    case noWeights(url: String, files: [String])
    /// The server says no: 401, 403, 404 and the like.
    case refused(url: String, status: Int, hasToken: Bool)
    /// The server asks to come later, and later than is worth waiting for.
    case busy(url: String, status: Int, seconds: Int?)
    /// A redirect that would leave HTTPS, or one too many.
    case badRedirect(url: String, reason: String)
    /// The file has another size than the hub says.
    case wrongSize(url: String, expected: Int, found: Int)
    /// The file has another checksum than the hub or OpenAI says: a SHA-256, or git's SHA-1.
    case wrongChecksum(url: String, expected: String, found: String)
    /// A file on this machine has another checksum than its name says, and may not be fetched anew.
    case damaged(path: String, expected: String, found: String)
    /// The disk has too little room.
    case diskFull(path: String, needed: Int, available: Int)
    /// A file or folder of the cache cannot be written.
    case unwritable(path: String, reason: String)
    /// A file of the cache cannot be read.
    case unreadable(path: String, reason: String)
    /// The caller stopped it; what has come is kept.
    case cancelled
}

extension HubError: CustomStringConvertible {
    /// One line for a person.
    public var description: String {
        switch self {
        case .unknownModel(let name, let similar):
            let hint =
                similar.isEmpty
                ? "clip models lists them" : "perhaps \(similar.joined(separator: ", "))"
            return """
                no model \(name): there is no such file or folder, and it is no name that is known \
                (\(hint); tiny is built in)
                """
        case .notInstalled(let name, let bytes):
            let size =
                bytes.map { " (about \($0 / 1_000_000 + ($0 % 1_000_000 >= 500_000 ? 1 : 0)) MB)" }
                ?? ""
            return """
                the weights of \(name) are not on this machine: clip pull \(name) fetches them\(size); \
                --model tiny is built in
                """
        case .offline(let name):
            return """
                the weights of \(name) are not on this machine, and HF_HUB_OFFLINE is set: unset it and run \
                clip pull \(name); --model tiny is built in
                """
        case .noTransport:
            return "downloads need libcurl, which is not there: install it (Debian: libcurl4)"
        case .unreachable(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .noWeights(let url, let files):
            return "\(url) is not there or has no \(files.joined(separator: ", ")) (status 404)"
        case .tooSlow(let url, let bytesPerSecond, let seconds):
            return """
                cannot fetch \(url): less than \(bytesPerSecond) bytes a second came for \(seconds) seconds, \
                several times; what has come so far is kept, and the next try goes on there
                """
        case .untrusted(let url, let reason, let variable):
            let hint =
                variable.map { "\($0) names the certificates that are trusted" }
                ?? "SSL_CERT_FILE can name a file of certificates to trust"
            return "cannot fetch \(url): its certificate is not trusted (\(reason)); \(hint)"
        case .malformed(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .tooLarge(let url, let limit):
            return """
                \(url) has more than \(megabytes(limit)), the most that is taken of such a file; \
                nothing was kept
                """
        case .refused(let url, let status, let hasToken):
            switch status {
            case 401, 403:
                return """
                    access to \(url) was denied (status \(status)): the repository does not exist, or \
                    \(hasToken
                        ? "HF_TOKEN has no access to it; ask for access on the model's page"
                        : "HF_TOKEN must be set to a token that has access to it")
                    """
            case 404, 410: return "\(url) is not there (status \(status))"
            default: return "cannot fetch \(url): the server answers with status \(status)"
            }
        case .busy(let url, let status, let seconds):
            let wait = seconds.map { " for \($0) seconds" } ?? ""
            return """
                the server is busy\(wait) and did not send \(url) (status \(status)): try again later
                """
        case .badRedirect(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .wrongSize(let url, let expected, let found):
            return "\(url) has \(found) bytes, not the \(expected) that it should; nothing was kept"
        case .wrongChecksum(let url, let expected, let found):
            return """
                \(url) is not the file it should be: its \(kind(of: expected)) is \(found), not \
                \(expected); nothing was kept
                """
        case .damaged(let path, let expected, let found):
            return """
                \(path) is damaged: its \(kind(of: expected)) is \(found), not \(expected); unset \
                HF_HUB_OFFLINE to fetch it anew, or remove it
                """
        case .diskFull(let path, let needed, let available):
            return """
                too little room in \(path): \(megabytes(needed)) are needed, \(megabytes(available)) are \
                free; make room, or have HF_HUB_CACHE (or CLIP_HOME) name a folder on another disk
                """
        case .unwritable(let path, let reason): return "cannot write \(path): \(reason)"
        case .unreadable(let path, let reason): return "cannot read \(path): \(reason)"
        case .cancelled:
            return "stopped; what has come so far is kept, and the next try goes on there"
        }
    }

    /// Rounded up, without a sum that could overflow: some of these numbers are a server's.
    private func megabytes(_ bytes: Int) -> String {
        "\(bytes / 1_000_000 + (bytes % 1_000_000 > 0 ? 1 : 0)) MB"
    }

    private func kind(of checksum: String) -> String {
        checksum.utf8.count == 40 ? "git SHA-1" : "SHA-256"
    }
}
