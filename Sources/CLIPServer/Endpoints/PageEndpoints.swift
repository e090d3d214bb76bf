internal import Files

/// The endpoints of the page for browsers.
///
/// The page needs no API key. It asks for one if its other requests do.
enum PageEndpoints {
    static let all =
        [
            Endpoint(method: "GET", path: "/", isOpen: true) { request, _ in root(request) },
            Endpoint(method: "GET", path: "/page.json") { _, services in
                var response = ServerResponse.json(information(services))
                response.headers.append(("Cache-Control", "no-store"))
                return response
            },
        ]
        + ServerFile.partsOfPage.sorted { $0.key < $1.key }.map { path, file in
            Endpoint(method: "GET", path: path, isOpen: true) { request, _ in
                file.response(to: request)
            }
        }

    /// The policy of the page: its own files and requests, and images that it holds in memory.
    static let contentSecurityPolicy = """
        default-src 'none'; img-src 'self' blob: data:; style-src 'self'; script-src 'self'; \
        connect-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'
        """

    /// Returns the page for browsers, and for all others the JSON by which immich knows its
    /// machine learning server.
    static func root(_ request: ServerRequest) -> ServerResponse {
        let accepted = request.headers.filter { $0.name.lowercased() == "accept" }
        var response: ServerResponse
        if accepted.contains(where: { acceptsHTML($0.value) }) {
            response = ServerFile.page.response(to: request)
            response.headers += [
                ("Content-Security-Policy", contentSecurityPolicy),
                ("Referrer-Policy", "no-referrer"),
            ]
        } else {
            response = .compact(.object(["message": .string("Immich ML")]))
        }
        response.headers.append(("Vary", "Accept"))
        return response
    }

    /// Returns true if a value of the header `Accept` names HTML, as those of browsers do.
    ///
    /// `*/*` and `text/*` do not count, because programs send them.
    static func acceptsHTML(_ value: String) -> Bool {
        value.split(separator: ",").contains { range in
            let parts = range.split(separator: ";").map { $0.trimmed.lowercased() }
            return parts.first == "text/html" && !parts.dropFirst().contains(where: isZeroQuality)
        }
    }

    /// Returns true for a parameter of quality 0, such as `q=0.0`.
    private static func isZeroQuality(_ parameter: String) -> Bool {
        parameter.hasPrefix("q=") && Float(parameter.dropFirst(2)) == 0
    }

    private static func information(_ services: Services) -> JSONValue {
        information(
            indexes: services.indexes.summaries.map { ($0.name, $0.count) },
            models: services.models.names, options: services.options)
    }

    /// Returns the indexes and models for the page.
    ///
    /// - Parameters:
    ///   - indexes: The name and the number of images of each index, by its number.
    ///   - models: The names of the models in `ServerOptions.models` and of the installed ones, in
    ///     this order.
    ///   - options: The settings of the server.
    /// - Returns: An object with the members `indexes`, `models`, `defaultModel` (null for none)
    ///   and `embedding`, which is true if `ServerOptions.models` is not empty.
    static func information(
        indexes: [(name: String, count: Int)], models: [String], options: ServerOptions
    ) -> JSONValue {
        let first = options.models.isEmpty ? options.demonstrationModel : models.first
        var models = models
        if let first, !models.contains(first) { models.insert(first, at: 0) }
        return .object([
            "indexes": .array(
                indexes.map {
                    .object(["name": .string($0.name), "count": .integer($0.count)])
                }),
            "models": .array(models.map { .string($0) }),
            "defaultModel": first.map { .string($0) } ?? .null,
            "embedding": .bool(!options.models.isEmpty),
        ])
    }
}
