internal import Files

/// A method and path that the server answers.
struct Endpoint: Sendable {
    /// The shape of JSON in which the clients of an endpoint expect errors.
    enum ErrorShape: Sendable {
        /// OpenAI's: `{"error": {"message", "type", "param", "code"}}`.
        case openAI
        /// FastAPI's, which immich uses: `{"detail": message}`.
        case fastAPI
        /// Weaviate's: `{"error": message}`.
        case weaviate
        /// Text Embeddings Inference's: `{"error": message, "error_type": type}`.
        case textEmbeddings
    }

    let method: String
    /// The path; if it ends in `/*`, every path that begins with the part before the asterisk.
    let path: String
    var errors = ErrorShape.openAI
    /// True if the endpoint needs no API key.
    var isOpen = false
    let handle: @Sendable (ServerRequest, Services) async throws -> ServerResponse

    func matches(_ path: String) -> Bool {
        self.path.hasSuffix("/*") ? path.hasPrefix(self.path.dropLast()) : path == self.path
    }
}

extension RequestError {
    /// Returns the response for clients that expect errors in the given shape.
    func response(_ shape: Endpoint.ErrorShape) -> ServerResponse {
        let body: JSONValue
        switch shape {
        case .openAI:
            let type =
                switch status {
                case 401: "authentication_error"
                case 403: "permission_error"
                case 429: "rate_limit_error"
                case 500...: "server_error"
                default: "invalid_request_error"
                }
            body = .object([
                "error": .object([
                    "message": .string(message), "type": .string(type),
                    "param": parameter.map { .string($0) } ?? .null, "code": .string(code),
                ])
            ])
        case .fastAPI: body = .object(["detail": .string(message)])
        case .weaviate: body = .object(["error": .string(message)])
        case .textEmbeddings:
            let type =
                switch status {
                case 429: "Overloaded"
                case 500...: "Backend"
                default: "Validation"
                }
            body = .object(["error": .string(message), "error_type": .string(type)])
        }
        var response = ServerResponse.json(body, status: status)
        if let retryAfter { response.headers.append(("Retry-After", "\(retryAfter)")) }
        if status == 401 { response.headers.append(("WWW-Authenticate", "Bearer")) }
        return response
    }
}
