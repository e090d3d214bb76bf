internal import Files

/// The endpoints for those who operate the server: health, metrics, version and description.
enum OperationEndpoints {
    static let all: [Endpoint] = [
        Endpoint(method: "GET", path: "/health", isOpen: true) { _, _ in health(unixTime()) },
        Endpoint(method: "GET", path: "/metrics") { _, services in metrics(services) },
        Endpoint(method: "GET", path: "/version") { _, services in version(services.options) },
        Endpoint(method: "GET", path: "/openapi.json") { _, services in
            try await openAPI(services)
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

    private static func openAPI(_ services: Services) async throws -> ServerResponse {
        // The first name of the options may be a path; that of the pool never is.
        let description = OpenAPIDescription(services.options, model: services.models.names.first)
        return try await services.offloaded(ServerFile.openAPI.bytes.count) {
            .json(try description.value())
        }
    }
}
