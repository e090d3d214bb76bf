internal import Files

/// The endpoints of OpenAI's embeddings API, with the extensions of servers that speak it too.
///
/// ```
/// POST /v1/embeddings {"model": "ViT-B/32", "input": ["a dog", "a cat"]}
///   -> {"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.01,-0.04]},…],
///       "model":"ViT-B/32","usage":{"prompt_tokens":8,"total_tokens":8},"id":"embd-…","created":…}
/// ```
///
/// `OpenAIRequest` lists the extensions. `/embeddings` and `/models` are the paths of infinity, and
/// of clients whose base URL has no `/v1`.
enum OpenAIEndpoints {
    static let all = [
        Endpoint(method: "POST", path: "/v1/embeddings", handle: embeddings),
        Endpoint(method: "POST", path: "/embeddings", handle: embeddings),
        Endpoint(method: "GET", path: "/v1/models", handle: models),
        Endpoint(method: "GET", path: "/models", handle: models),
        Endpoint(method: "GET", path: "/v1/models/*") { request, services in
            let name = String(request.path.dropFirst("/v1/models/".count))
            return try model(named: name, of: services.models)
        },
    ]

    @Sendable private static func embeddings(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        do {
            let job = try await services.offloaded(request.body.count) {
                try OpenAIRequest(request, services.options)
            }
            let served = try await services.models.model(named: job.model, for: .embedding)
            try job.check(dimension: served.model.configuration.embeddingDimension)
            let result = try await services.embeddings(
                of: job.inputs, by: served, truncating: job.truncates, normalized: job.normalizes)
            let name = served.name
            return try await services.response(with: result.vectors, model: name) {
                response(
                    result.vectors, encoding: job.encoding, model: job.model ?? name,
                    tokenCount: result.tokenCount, id: newID(), created: Int(unixTime()))
            }
        } catch let error as RequestError {
            throw renamed(error)
        }
    }

    @Sendable private static func models(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        list(services.models.names)
    }

    /// Returns the error with OpenAI's code for unknown models, `model_not_found`.
    static func renamed(_ error: RequestError) -> RequestError {
        guard error.code == "unknown_model" else { return error }
        return RequestError(
            error.status, "model_not_found", error.message, parameter: error.parameter,
            retryAfter: error.retryAfter)
    }

    /// Returns a random name for a response.
    private static func newID() -> String {
        let digits = (0..<2).map { _ in
            let text = String(UInt64.random(in: 0...UInt64.max), radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return "embd-" + digits.joined()
    }

    // MARK: responses

    /// Returns the response with the vectors of a request, in the order of its inputs.
    ///
    /// - Parameters:
    ///   - vectors: One vector for each input.
    ///   - encoding: The encoding of the vectors.
    ///   - model: The name of the model, as the client wrote it.
    ///   - tokenCount: The number of tokens of all texts; images count as none.
    ///   - id: The random name of the response.
    ///   - created: The time in seconds since 1970.
    /// - Returns: The response, with status 200.
    static func response(
        _ vectors: [[Float]], encoding: OpenAIRequest.Encoding, model: String, tokenCount: Int,
        id: String, created: Int
    ) -> ServerResponse {
        let data = vectors.enumerated().map { index, vector in
            let embedding: JSONValue =
                switch encoding {
                case .float: .vector(vector)
                case .base64: .unescaped(Base64.encode(vector).utf8)
                }
            return JSONValue.object([
                "object": .string("embedding"), "index": .integer(index), "embedding": embedding,
            ])
        }
        return .compact(
            .object([
                "object": .string("list"), "data": .array(data), "model": .string(model),
                "usage": .object([
                    "prompt_tokens": .integer(tokenCount), "total_tokens": .integer(tokenCount),
                ]),
                "id": .string(id), "created": .integer(created),
            ]))
    }

    /// Returns the list of models.
    static func list(_ names: [String]) -> ServerResponse {
        .compact(
            .object(["object": .string("list"), "data": .array(names.map { description(of: $0) })]))
    }

    /// Returns the description of a model that requests may name, with the name in the list.
    ///
    /// - Parameters:
    ///   - name: The name in any spelling that requests for embeddings may have.
    ///   - models: The models of the server.
    /// - Returns: The response, with status 200.
    /// - Throws: `RequestError` with status 404 if no such request would get the model.
    static func model(named name: String, of models: ModelPool) throws -> ServerResponse {
        if models.names.contains(name) { return .compact(description(of: name)) }
        do {
            return .compact(description(of: try models.resolve(name, for: .embedding).name))
        } catch let error as RequestError {
            throw renamed(error)
        }
    }

    private static func description(of name: String) -> JSONValue {
        .object([
            "id": .string(name), "object": .string("model"), "created": .integer(0),
            "owned_by": .string("clip"),
        ])
    }
}
