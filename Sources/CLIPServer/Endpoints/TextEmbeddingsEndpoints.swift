internal import CLIP
internal import Files

/// The endpoints of Hugging Face's Text Embeddings Inference (TEI) for embeddings of texts.
///
/// ```
/// POST /embed {"inputs": ["a dog", "a cat"], "normalize": true, "truncate": false}
///   -> [[0.01,-0.04],[0.02,0.03]]
/// ```
///
/// Requests name no model, so the first one is used. `POST /` is the same as `POST /embed`, as for
/// TEI's models of embeddings.
enum TextEmbeddingsEndpoints {
    static let all = [
        Endpoint(method: "POST", path: "/embed", errors: .textEmbeddings, handle: embed),
        Endpoint(method: "POST", path: "/", errors: .textEmbeddings, handle: embed),
        Endpoint(method: "GET", path: "/info", errors: .textEmbeddings) { _, services in
            let served = try await services.models.model(named: nil, for: .embedding)
            return info(name: served.name, served.model, services.options)
        },
    ]

    @Sendable private static func embed(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        let job = try await services.offloaded(request.body.count) {
            try Job(request, services.options)
        }
        let served = try await services.models.model(named: nil, for: .embedding)
        try job.check(dimension: served.model.configuration.embeddingDimension)
        do {
            let result = try await served.embeddings(
                ofTexts: job.inputs.texts, truncating: job.truncates, normalized: job.normalizes)
            return try await services.response(with: result.vectors, model: served.name) {
                response(result.vectors)
            }
        } catch let error as RequestError {
            throw tooLong(error)
        }
    }

    /// Returns the error for a text that exceeds the context length, which has status 413 in TEI.
    static func tooLong(_ error: RequestError) -> RequestError {
        guard error.status == 400 else { return error }
        return RequestError(413, error.code, error.message, parameter: error.parameter)
    }

    /// Returns the response, a list of vectors even for a single text.
    static func response(_ vectors: [[Float]]) -> ServerResponse {
        .compact(.array(vectors.map { .vector($0) }))
    }

    /// A request for embeddings.
    struct Job: Sendable {
        let inputs: EmbeddingInputs
        let normalizes: Bool
        let truncates: Bool
        /// The number of dimensions that the client expects; nil for any.
        let dimensions: Int?

        /// Parses a request.
        ///
        /// `prompt_name` is ignored, because CLIP models have no prompts.
        ///
        /// - Throws: `RequestError` with status 422 for members of the wrong kind and token ids,
        ///   400 for empty inputs, 413 for too many inputs.
        init(_ request: ServerRequest, _ options: ServerOptions) throws(RequestError) {
            let body = try JSONBody(request, status: 422)
            guard let value = body["inputs"] else {
                throw body.error("inputs", "expected a string or a list of strings, found nothing")
            }
            var inputs = EmbeddingInputs(options)
            switch value {
            case .string(let text):
                try Self.add(text, "inputs", to: &inputs)
            case .array(let values):
                guard !values.isEmpty else {
                    throw .invalid("inputs: the list is empty", parameter: "inputs")
                }
                for (index, value) in values.enumerated() {
                    let name = "inputs[\(index)]"
                    switch value {
                    case .string(let text): try Self.add(text, name, to: &inputs)
                    case .integer, .array:
                        throw body.error("inputs", "token ids are unsupported: expected texts")
                    default: throw body.mismatch(name, expected: "a string", found: value)
                    }
                }
            default:
                throw body.mismatch(
                    "inputs", expected: "a string or a list of strings", found: value)
            }
            self.inputs = inputs
            normalizes = try body.boolean("normalize") ?? true
            truncates = try body.boolean("truncate") ?? false
            dimensions = try body.integer("dimensions")
            let side = try body.word(
                "truncation_direction", from: ["right", "Right", "left", "Left"])
            if truncates, let side, side.lowercased() == "left" {
                throw body.error("truncation_direction", "unsupported: texts are cut at the end")
            }
        }

        private static func add(
            _ text: String, _ name: String, to inputs: inout EmbeddingInputs
        ) throws(RequestError) {
            guard !text.isEmpty else {
                throw .invalid("\(name): the text is empty", parameter: name)
            }
            try inputs.add(text: text, parameter: name)
        }

        /// Throws if the client expects other dimensions than the model has.
        func check(dimension: Int) throws(RequestError) {
            guard let dimensions, dimensions != dimension else { return }
            throw RequestError(
                422, "invalid_request",
                "dimensions: the model has \(dimension) dimensions, found \(dimensions)",
                parameter: "dimensions")
        }
    }

    /// Returns the description of the server.
    static func info(name: String, _ model: CLIPModel, _ options: ServerOptions)
        -> ServerResponse
    {
        info(
            name: name, type: dataType(model.precision),
            contextLength: model.configuration.text.contextLength, threads: model.threads, options)
    }

    static func info(
        name: String, type: String, contextLength: Int, threads: Int, _ options: ServerOptions
    ) -> ServerResponse {
        // The end token is TEI's `last_token`. Every text of a request may have the full length.
        let pooling = JSONValue.object(["pooling": .string("last_token")])
        let (tokens, overflows) = contextLength.multipliedReportingOverflow(
            by: options.textsPerRequest)
        return .compact(
            .object([
                "model_id": .string(name), "model_sha": .null, "model_dtype": .string(type),
                "model_type": .object(["embedding": pooling]),
                "max_concurrent_requests": .integer(options.queueLimit),
                "max_input_length": .integer(contextLength),
                "max_batch_tokens": .integer(overflows ? .max : tokens),
                "max_batch_requests": .null,
                "max_client_batch_size": .integer(options.textsPerRequest),
                "auto_truncate": .bool(false), "tokenization_workers": .integer(threads),
                "version": .string(options.version), "sha": .null, "docker_label": .null,
            ]))
    }

    private static func dataType(_ precision: Precision) -> String {
        switch precision {
        case .fp32: "float32"
        case .bf16: "bfloat16"
        case .int8: "int8"
        }
    }
}
