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
    /// The file has another SHA-256 than the hub or OpenAI says.
    case wrongChecksum(url: String, expected: String, found: String)
    /// The disk has too little room.
    case diskFull(path: String, needed: Int, available: Int)
    /// A file or folder of the cache cannot be written.
    case unwritable(path: String, reason: String)
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
            let size = bytes.map { " (about \(($0 + 500_000) / 1_000_000) MB)" } ?? ""
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
        case .refused(let url, let status, let hasToken):
            switch status {
            case 401, 403:
                return """
                    \(url) is not given out (status \(status)): there is no such repository, or \
                    \(hasToken
                        ? "HF_TOKEN has no access to it; ask for access on the model's page"
                        : "HF_TOKEN must be set to a token that has access to it")
                    """
            case 404, 410: return "\(url) is not there (status \(status))"
            default: return "cannot fetch \(url): the server answers with status \(status)"
            }
        case .busy(let url, let status, let seconds):
            let wait = seconds.map { " for \($0) seconds" } ?? ""
            return "the server has no time for \(url)\(wait) (status \(status)): try again later"
        case .badRedirect(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .wrongSize(let url, let expected, let found):
            return "\(url) has \(found) bytes, not the \(expected) that it should; nothing was kept"
        case .wrongChecksum(let url, let expected, let found):
            return """
                \(url) is not the file it should be: its SHA-256 is \(found), not \(expected); \
                nothing was kept
                """
        case .diskFull(let path, let needed, let available):
            return """
                too little room in \(path): \(megabytes(needed)) are needed, \(megabytes(available)) are \
                free; make room, or have HF_HUB_CACHE (or CLIP_HOME) name a folder on another disk
                """
        case .unwritable(let path, let reason): return "cannot write \(path): \(reason)"
        case .cancelled:
            return "stopped; what has come so far is kept, and the next try goes on there"
        }
    }

    private func megabytes(_ bytes: Int) -> String { "\((bytes + 999_999) / 1_000_000) MB" }
}
