internal import Files

/// The certificates that connections trust: the system's, or those that a variable of the
/// environment names.
///
/// The variables are those of Hugging Face's libraries, in their order: first those of requests,
/// then those of httpx and OpenSSL. As there, the certificates replace the system's.
struct Certificates: Sendable, Equatable {
    /// The variable that names them; nil for the system's.
    let variable: String?
    let file: String?
    let folder: String?

    /// The variables in order of precedence; the first one set is used.
    static let variables = [
        "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    ]

    init(environment: [String: String]) {
        variable = Self.variables.first { environment[$0]?.isEmpty == false }
        let path = variable.flatMap { environment[$0] }
        // SSL_CERT_DIR may list several folders, and the variables of requests may name one.
        let isFolder = variable == "SSL_CERT_DIR" || path.map(isDirectory) == true
        (file, folder) = isFolder ? (nil, path) : (path, nil)
    }
}
