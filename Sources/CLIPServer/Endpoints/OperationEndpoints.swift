internal import Files

/// The endpoints for those who operate the server: health, metrics, version and description.
enum OperationEndpoints {
    static let all: [Endpoint] = [
        Endpoint(method: "GET", path: "/health", isOpen: true) { _, _ in health(unixTime()) },
        Endpoint(method: "GET", path: "/metrics") { _, services in metrics(services) },
        Endpoint(method: "GET", path: "/version") { _, services in version(services.options) },
        Endpoint(method: "GET", path: "/openapi.json") { _, services in
            try openAPI(services.options)
        },
    ]

    /// Returns the time in the form that infinity's clients read.
    static func health(_ time: Double) -> ServerResponse {
        .json(.object(["status": .string("ok"), "unix": .number(time)]))
    }

    private static func metrics(_ services: Services) -> ServerResponse {
        let options = services.options
        let text = services.metrics.text(version: options.version, commit: options.commit)
        return ServerResponse(text.utf8, type: MetricsText.mediaType)
    }

    private static func version(_ options: ServerOptions) -> ServerResponse {
        func text(_ value: String) -> JSONValue { value.isEmpty ? .null : .string(value) }
        return .json(
            .object([
                "name": .string("clip"), "version": text(options.version),
                "commit": text(options.commit),
            ]))
    }

    private static func openAPI(_ options: ServerOptions) throws -> ServerResponse {
        .json(try OpenAPIDescription(options).value())
    }
}
