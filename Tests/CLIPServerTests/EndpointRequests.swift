@testable import CLIPServer
import Testing

/// Requests and expectations for the tests of endpoints.
enum EndpointRequests {
    /// Makes a request with a body.
    static func post(_ body: String, type: String? = "application/json") -> ServerRequest {
        ServerRequest(
            method: "POST", path: "/", headers: type.map { [("Content-Type", $0)] } ?? [],
            body: Array(body.utf8))
    }

    /// Makes a multipart form with the given fields.
    static func form(_ fields: [(name: String, value: [UInt8])]) -> ServerRequest {
        var body: [UInt8] = []
        for (name, value) in fields {
            body += "--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n".utf8
            body += value + "\r\n".utf8
        }
        body += "--b--\r\n".utf8
        return ServerRequest(
            method: "POST", path: "/predict",
            headers: [("content-type", "multipart/form-data; boundary=b")], body: body)
    }

    /// Makes a multipart form with fields of text.
    static func form(_ fields: KeyValuePairs<String, String>) -> ServerRequest {
        form(fields.map { ($0.key, Array($0.value.utf8)) })
    }

    /// Returns the error that an expression throws; nil if it returns.
    static func error(_ work: () throws -> Void) -> RequestError? {
        do {
            try work()
            return nil
        } catch {
            return error as? RequestError
        }
    }
}

extension ServerResponse {
    /// The body as text.
    var text: String { String(decoding: body, as: UTF8.self) }
}
