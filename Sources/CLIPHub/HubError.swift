internal import Files

/// An error in finding or downloading the weights of a model or a data set.
///
/// Its description is one line.
///
/// ```swift
/// do {
///     let installed = try ModelHub().fetch("ViT-B/32")
///     print(installed.path)
/// } catch let error as HubError {
///     print(error)
/// }
/// ```
@nonexhaustive
public enum HubError: Error, Equatable, Sendable {
    /// The name is neither in the registry nor that of a repository (`owner/name`), or OpenAI's own
    /// file was requested of a model that has none.
    ///
    /// `similar` lists the names that may be meant; it may be empty.
    case unknownModel(name: String, similar: [String])
    /// The model is not installed, and no download was allowed; its weights have about `bytes`
    /// bytes, nil if their size is unknown.
    case notInstalled(name: String, bytes: Int?)
    /// The model is not installed, and `HF_HUB_OFFLINE` forbids downloads.
    case offline(name: String)
    /// OpenAI's own file of the model was requested; it is not on this machine, and
    /// `HF_HUB_OFFLINE` forbids downloads.
    case offlineOfficial(name: String, file: String)
    /// The name of a data set is neither `wds/…` nor that of a repository, `owner/name`, or the
    /// split is not the name of a folder.
    case unknownDataset(name: String, split: String)
    /// The split of a data set is not on this machine, and `HF_HUB_OFFLINE` forbids downloading it.
    case offlineDataset(name: String, split: String)
    /// The repository of a data set was not found, or lacks one of its files.
    case incompleteDataset(url: String, missing: String)
    /// libcurl is not installed.
    case noTransport
    /// The request or its response failed; retries failed too, or could not help.
    case unreachable(url: String, reason: String)
    /// The server sent fewer than `bytesPerSecond` bytes per second for `seconds` seconds; the
    /// received part is kept.
    case tooSlow(url: String, bytesPerSecond: Int, seconds: Int)
    /// The server's certificate is not trusted, or the trusted certificates cannot be read.
    ///
    /// `variable` is the environment variable that names the trusted certificates, if one is set.
    case untrusted(url: String, reason: String, variable: String?)
    /// The server's response is inconsistent or violates the protocol.
    case malformed(url: String, reason: String)
    /// The file has more bytes than `limit`, the limit for its kind.
    case tooLarge(url: String, limit: Int)
    /// The repository was not found, or has none of the weight files `files`.
    case noWeights(url: String, files: [String])
    /// The model has a vocabulary of its own, and the repository was not found or has none of the
    /// tokenizer files `files`.
    case noTokenizer(url: String, files: [String])
    /// The server responded with an error status such as 401, 403 or 404.
    case refused(url: String, status: Int, hasToken: Bool)
    /// The server responded with an error status such as 401 or 403 to a request for a data set.
    case refusedDataset(url: String, status: Int, hasToken: Bool)
    /// The server stayed busy, or asks for too long a wait; `seconds` is the wait that it asks for,
    /// if any.
    case busy(url: String, status: Int, seconds: Int?)
    /// A redirect is invalid or leaves https, there are too many redirects, a response lacks the
    /// headers of a hub, or an endpoint is not a URL.
    case badRedirect(url: String, reason: String)
    /// The size of the file, in bytes, differs from the size that the server states.
    case wrongSize(url: String, expected: Int, found: Int)
    /// The SHA-256 or git SHA-1 of the file differs from the one that the hub or OpenAI states.
    case wrongChecksum(url: String, expected: String, found: String)
    /// The checksum of an installed file is wrong, and `HF_HUB_OFFLINE` forbids downloading it
    /// again.
    case damaged(path: String, expected: String, found: String)
    /// The disk has fewer free bytes than the file needs.
    case diskFull(path: String, needed: Int, available: Int)
    /// A file or folder of the cache cannot be written.
    case unwritable(path: String, reason: String)
    /// A file of the cache cannot be read.
    case unreadable(path: String, reason: String)
    /// The caller cancelled the download; the received part is kept.
    case cancelled
}

extension HubError: CustomStringConvertible {
    /// The error as one line of English.
    public var description: String {
        switch self {
        case .unknownModel(let name, let similar):
            let others =
                similar.isEmpty ? "" : "; similar names: \(similar.joined(separator: ", "))"
            return "no model \(name): no such file or folder, and not a known name\(others)"
        case .notInstalled(let name, let bytes):
            let size =
                bytes.map { " (about \($0 / 1_000_000 + ($0 % 1_000_000 >= 500_000 ? 1 : 0)) MB)" }
                ?? ""
            return "the weights of \(name)\(size) are not on this machine"
        case .offline(let name):
            return "the weights of \(name) are not on this machine, and HF_HUB_OFFLINE is set"
        case .offlineOfficial(let name, let file):
            return """
                OpenAI's file \(file) of \(name) is not on this machine, and HF_HUB_OFFLINE is set
                """
        case .unknownDataset(let name, let split):
            return """
                invalid name of a data set or a split: expected wds/NAME or OWNER/NAME, and a \
                split such as test, found \(name) and \(split)
                """
        case .offlineDataset(let name, let split):
            return """
                the split \(split) of the data set \(name) is not on this machine, and \
                HF_HUB_OFFLINE is set
                """
        case .incompleteDataset(let url, let missing):
            guard missing.hasSuffix("/\(ArchiveCount.fileName)") else {
                return "the data set at \(url) is incomplete: \(missing) is missing (status 404)"
            }
            return """
                no data set found at \(url): \(missing) is missing (status 404); check the name, \
                the split and HF_ENDPOINT
                """
        case .noTransport:
            return "libcurl was not found, and downloads need it: install it (Debian: libcurl4)"
        case .unreachable(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .noWeights(let url, let files):
            let names = files.joined(separator: " or ")
            return "no weights found at \(url) (status 404): expected \(names)"
        case .noTokenizer(let url, let files):
            let names = files.joined(separator: " or ")
            return "no tokenizer found at \(url) (status 404): expected \(names)"
        case .tooSlow(let url, let bytesPerSecond, let seconds):
            return """
                cannot fetch \(url): too slow: several attempts received fewer than \
                \(bytesPerSecond) bytes per second for \(seconds) seconds; the received part is \
                kept, and the next attempt resumes there
                """
        case .untrusted(let url, let reason, let variable):
            let hint =
                variable.map {
                    "the environment variable \($0) names the trusted certificates; check its value"
                }
                ?? "SSL_CERT_FILE can name a file of trusted certificates"
            return """
                cannot fetch \(url): the server's certificate is not trusted (\(reason)); \(hint)
                """
        case .malformed(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .tooLarge(let url, let limit):
            return """
                \(url) is too large: expected at most \(megabytes(limit)); nothing was kept
                """
        case .refused(let url, let status, let hasToken):
            switch status {
            case 401, 403:
                return """
                    access to \(url) was denied (status \(status)): the repository does not exist, \
                    or \(hasToken
                        ? "HF_TOKEN has no access to it; ask for access on the model's page"
                        : "HF_TOKEN must be set to a token that has access to it")
                    """
            case 404, 410: return "\(url) was not found (status \(status))"
            default: return "cannot fetch \(url): the server responded with status \(status)"
            }
        case .refusedDataset(let url, let status, let hasToken):
            switch status {
            case 401, 403:
                return """
                    access to \(url) was denied (status \(status)): the data set does not exist, \
                    or \(hasToken
                        ? "HF_TOKEN has no access to it; ask for access on the data set's page"
                        : "HF_TOKEN must be set to a token that has access to it"); check the name \
                    and HF_ENDPOINT
                    """
            case 404, 410:
                return """
                    \(url) of the data set was not found (status \(status)); check the name and \
                    HF_ENDPOINT
                    """
            default:
                return """
                    cannot fetch \(url) of the data set: the server responded with status \(status)
                    """
            }
        case .busy(let url, let status, let seconds):
            let wait = seconds.map { " for \($0) seconds" } ?? ""
            return """
                the server is busy\(wait) and did not send \(url) (status \(status)): try again \
                later
                """
        case .badRedirect(let url, let reason): return "cannot fetch \(url): \(reason)"
        case .wrongSize(let url, let expected, let found):
            return
                "wrong size of \(url): expected \(expected) bytes, found \(found); nothing was kept"
        case .wrongChecksum(let url, let expected, let found):
            return """
                wrong checksum of \(url): expected the \(kind(of: expected)) \(expected), found \
                \(found); nothing was kept
                """
        case .damaged(let path, let expected, let found):
            return """
                \(path) is damaged: expected the \(kind(of: expected)) \(expected), found \
                \(found); unset HF_HUB_OFFLINE to fetch it again, or remove it
                """
        case .diskFull(let path, let needed, let available):
            return """
                the disk of \(path) is full: \(megabytes(needed)) are needed, \
                \(megabytes(available)) are free; free some space, or set HF_HUB_CACHE (or \
                CLIP_HOME) to a folder on another disk
                """
        case .unwritable(let path, let reason): return "cannot write \(path): \(reason)"
        case .unreadable(let path, let reason): return "cannot read \(path): \(reason)"
        case .cancelled:
            return "cancelled; the received part is kept, and the next attempt resumes there"
        }
    }

    /// Formats a size in units of 10⁶ bytes, rounded up.
    ///
    /// The computation is safe against overflow, because a server may state any size.
    private func megabytes(_ bytes: Int) -> String {
        "\(bytes / 1_000_000 + (bytes % 1_000_000 > 0 ? 1 : 0)) MB"
    }

    /// Returns the name of the algorithm of a checksum, by its number of digits.
    private func kind(of checksum: String) -> String {
        checksum.utf8.count == 40 ? "git SHA-1" : "SHA-256"
    }
}
