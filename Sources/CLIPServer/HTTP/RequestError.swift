/// The reason why a request is not answered with success.
struct RequestError: Error, Equatable, Sendable {
    /// The HTTP status, 400 to 599.
    let status: Int
    /// A short word for programs and metrics, such as `unknown_model`.
    let code: String
    /// A sentence for people.
    let message: String
    /// The field of the request at fault; nil for none.
    var parameter: String?
    /// The value of the header `Retry-After`, in seconds; nil to omit it.
    var retryAfter: Int?

    init(
        _ status: Int, _ code: String, _ message: String, parameter: String? = nil,
        retryAfter: Int? = nil
    ) {
        (self.status, self.code, self.message) = (status, code, message)
        (self.parameter, self.retryAfter) = (parameter, retryAfter)
    }

    /// 400: the request cannot be understood.
    static func invalid(_ message: String, parameter: String? = nil) -> RequestError {
        RequestError(400, "invalid_request", message, parameter: parameter)
    }

    /// 413: the request exceeds a limit.
    static func tooLarge(_ message: String, parameter: String? = nil) -> RequestError {
        RequestError(413, "too_large", message, parameter: parameter)
    }

    /// 404: a model is not installed, or its name is unknown.
    static func unknownModel(_ message: String) -> RequestError {
        RequestError(404, "unknown_model", message, parameter: "model")
    }

    /// 429: the queue is full.
    static let busy = RequestError(
        429, "busy", "the server has too many requests in its queue; try again later",
        retryAfter: 1)

    /// 503: the system does not allow another thread, `CLIPError.noThread`.
    static let noThread = RequestError(
        503, "no_thread", "the system does not allow another thread", retryAfter: 1)

    /// 503: the server finishes the accepted requests and accepts no others.
    static let shuttingDown = RequestError(503, "shutting_down", "the server is shutting down")
}
