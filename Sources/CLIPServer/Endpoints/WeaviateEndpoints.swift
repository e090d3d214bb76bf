internal import Files

/// The endpoints of Weaviate's container `multi2vec-clip-inference`, as its module calls them.
///
/// ```
/// POST /vectorize {"texts": ["a dog"], "images": ["BASE64"]}
///   -> {"textVectors":[[0.01,-0.04]],"imageVectors":[[0.02,0.03]]}
/// ```
///
/// Requests name no model, so the first one is used. Vectors have unit length.
enum WeaviateEndpoints {
    static let all = [
        Endpoint(method: "POST", path: "/vectorize", errors: .weaviate, handle: vectorize),
        Endpoint(method: "GET", path: "/.well-known/live", errors: .weaviate, isOpen: true) {
            _, _ in ServerResponse(status: 204)
        },
        Endpoint(method: "GET", path: "/.well-known/ready", errors: .weaviate, isOpen: true) {
            _, services in
            do {
                _ = try services.models.resolve(nil, for: .embedding)
            } catch let error as RequestError where error.status == 404 {
                throw RequestError(503, "no_model", error.message)
            }
            return ServerResponse(status: 204)
        },
        Endpoint(method: "GET", path: "/meta", errors: .weaviate) { _, services in
            let served = try await services.models.model(named: nil, for: .embedding)
            return meta(
                model: served.name, dimension: served.model.configuration.embeddingDimension)
        },
    ]

    @Sendable private static func vectorize(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        let inputs = try await services.offloaded(request.body.count) {
            try Self.inputs(of: request, services.options)
        }
        let model = try await services.models.model(named: nil, for: .embedding)
        let result = try await services.embeddings(of: inputs, by: model, truncating: true)
        return try await services.response(with: result.vectors, model: model.name) {
            response(result.vectors, textCount: inputs.texts.count)
        }
    }

    /// Parses a request.
    ///
    /// - Returns: The texts, followed by the images. Both may be empty, and so may a text, as in
    ///   Weaviate's container.
    static func inputs(
        of request: ServerRequest, _ options: ServerOptions
    ) throws(RequestError) -> EmbeddingInputs {
        let body = try JSONBody(request)
        var inputs = EmbeddingInputs(options)
        for (index, value) in (try body.array("texts") ?? []).enumerated() {
            guard let text = value.string else {
                throw body.mismatch("texts[\(index)]", expected: "a string", found: value)
            }
            try inputs.add(text: text, parameter: "texts[\(index)]")
        }
        for (index, value) in (try body.array("images") ?? []).enumerated() {
            guard let text = value.string else {
                throw body.mismatch("images[\(index)]", expected: "a string", found: value)
            }
            try inputs.add(image: text, parameter: "images[\(index)]")
        }
        return inputs
    }

    /// Returns the response with the vectors of texts, which come first, and images.
    static func response(_ vectors: [[Float]], textCount: Int) -> ServerResponse {
        .compact(
            .object([
                "textVectors": .array(vectors.prefix(textCount).map { .vector($0) }),
                "imageVectors": .array(vectors.dropFirst(textCount).map { .vector($0) }),
            ]))
    }

    /// Returns the description of the model, which may be any JSON object.
    static func meta(model: String, dimension: Int) -> ServerResponse {
        .compact(.object(["model": .string(model), "dimensions": .integer(dimension)]))
    }
}
