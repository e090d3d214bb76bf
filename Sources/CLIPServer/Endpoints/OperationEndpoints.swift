internal import Files

/// The endpoints for those who operate the server: health, metrics, version and description.
enum OperationEndpoints {
    static let all: [Endpoint] = [
        Endpoint(method: "GET", path: "/health", isOpen: true) { _, _ in health(unixTime()) },
        Endpoint(method: "GET", path: "/metrics") { _, services in metrics(services) },
        Endpoint(method: "GET", path: "/version") { _, services in version(services.options) },
        Endpoint(method: "GET", path: "/openapi.json") { _, services in
            openAPI(basePath: services.options.basePath)
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

    /// Returns the OpenAPI description with the base path as its server.
    ///
    /// Its limits are the default ones of `ServerOptions`.
    static func openAPI(basePath: String) -> ServerResponse {
        let type = "application/json"
        guard !basePath.isEmpty, let description = try? JSONValue(parsing: ServerFile.openAPI.bytes),
            let members = description.members
        else { return ServerResponse(ServerFile.openAPI.bytes, type: type) }
        let servers = JSONValue.array([.object(["url": .string(basePath)])])
        return .json(.object(members.map { ($0.key, $0.key == "servers" ? servers : $0.value) }))
    }
}
