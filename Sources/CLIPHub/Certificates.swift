internal import Files

/// The certificates that connections trust: the system's, or those that an environment variable
/// names.
///
/// The variables and their precedence are those of Hugging Face's libraries: first the variables of
/// Python's requests, then those of httpx and OpenSSL. As in these libraries, the named
/// certificates replace the system's.
struct Certificates: Sendable, Equatable {
    /// The environment variable that names the certificates; nil if the system's are used.
    let variable: String?
    /// The path of the PEM file that the variable names; nil if it names none.
    let file: String?
    /// The path of the certificate folder that the variable names, or a colon-separated list of
    /// such folders; nil if it names none.
    let folder: String?

    /// The environment variables that can name certificates, in order of precedence.
    ///
    /// The first that is not empty is used.
    static let variables = [
        "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR",
    ]

    /// Chooses the certificates that the environment variables name.
    init(environment: [String: String]) {
        variable = Self.variables.first { environment[$0]?.isEmpty == false }
        let path = variable.flatMap { environment[$0] }
        // SSL_CERT_DIR may list several folders, and the variables of requests may name a folder.
        let isFolder = variable == "SSL_CERT_DIR" || path.map(isDirectory) == true
        (file, folder) = isFolder ? (nil, path) : (path, nil)
    }
}
