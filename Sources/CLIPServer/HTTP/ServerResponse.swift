internal import Files

/// A complete HTTP response.
struct ServerResponse: Sendable {
    var status = 200
    /// Headers beside `Content-Length`, `Date` and `Connection`, which the connection adds.
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
    /// The model that made the response and the number of its images and texts, for the access log.
    var work: (model: String, inputs: Int)?

    /// Makes a response with a body of a media type.
    init(status: Int = 200, _ body: some Sequence<UInt8>, type: String) {
        self.status = status
        self.body = Array(body)
        headers = [("Content-Type", type)]
    }

    /// Makes a response without a body.
    init(status: Int) { self.status = status }

    /// Returns a JSON response.
    static func json(_ value: JSONValue, status: Int = 200) -> ServerResponse {
        ServerResponse(status: status, "\(value)".utf8, type: "application/json")
    }

    /// Returns a response of plain text.
    static func text(_ text: String, status: Int = 200) -> ServerResponse {
        ServerResponse(status: status, text.utf8, type: "text/plain; charset=utf-8")
    }
}
