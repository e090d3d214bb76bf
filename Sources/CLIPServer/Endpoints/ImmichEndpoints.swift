internal import Files

/// The endpoints of immich's machine-learning container, as immich's server calls them.
///
/// immich's server posts a form with the JSON text `entries`, and either an `image` or a `text`:
///
/// ```
/// entries={"clip": {"visual": {"modelName": "ViT-B-32__openai"}}}   image=…
/// ```
///
/// The vector in the response is a string that holds a JSON array:
/// `{"clip":"[0.01,-0.04]","imageHeight":1080,"imageWidth":1440}`. immich goes on to its next
/// machine-learning URL if the status is not 2xx, so the tasks that this server does not have are
/// rejected as a whole.
enum ImmichEndpoints {
    static let all = [
        Endpoint(method: "POST", path: "/predict", errors: .fastAPI, handle: predict),
        Endpoint(method: "GET", path: "/ping", errors: .fastAPI, isOpen: true) { _, _ in
            .text("pong")
        },
    ]

    @Sendable private static func predict(
        _ request: ServerRequest, _ services: Services
    ) async throws -> ServerResponse {
        let job = try await services.offloaded(request.body.count) { try Job(request) }
        let model = try await services.models.model(named: job.model, for: .embedding)
        switch job.input {
        case .image(let bytes):
            guard let image = try await model.embeddings(ofImages: [bytes]).first else { break }
            return try await services.response(with: [image.vector], model: model.name) {
                response(image.vector, size: (image.width, image.height))
            }
        case .text(let text):
            let result = try await model.embeddings(ofTexts: [text], truncating: true)
            guard let vector = result.vectors.first else { break }
            return try await services.response(with: [vector], model: model.name) {
                response(vector)
            }
        }
        throw RequestError(500, "internal_error", "the model returned no vector")
    }

    /// Returns the response with a vector, and the width and height of an image.
    static func response(_ vector: [Float], size: (width: Int, height: Int)? = nil)
        -> ServerResponse
    {
        let text = JSONValue.vector(vector).bytes
        var members: [JSONValue.Member] = [("clip", .unescaped(text))]
        if let size {
            members.append(("imageHeight", .integer(size.height)))
            members.append(("imageWidth", .integer(size.width)))
        }
        return .compact(.object(members))
    }

    /// A request to encode an image or a text.
    struct Job: Equatable, Sendable {
        enum Input: Equatable, Sendable {
            /// The bytes of an image file.
            case image([UInt8])
            case text(String)
        }

        /// The name of the model, as immich writes it: `ViT-B-32__openai`.
        let model: String
        let input: Input

        /// Parses a form.
        ///
        /// As in immich's container, the image counts if there is a text too, and an empty text is
        /// a missing one.
        ///
        /// - Throws: `RequestError` with status 422 for `entries` that are missing, malformed or
        ///   not for CLIP, 400 without an image or text, and 415 for bodies that are no form.
        init(_ request: ServerRequest) throws(RequestError) {
            guard request.mediaType == "multipart/form-data" else {
                throw request.unsupportedMediaType(expected: "multipart/form-data")
            }
            let form = try MultipartForm(
                request.body, contentType: request.header("Content-Type") ?? "")
            guard let entries = form.first("entries")?.body else {
                throw ImmichEndpoints.invalid("the form has no field entries")
            }
            let kind: Kind
            (kind, model) = try ImmichEndpoints.entry(in: Array(entries))
            let image = form.first("image")?.body
            let text = form.first("text")?.body
            guard image != nil || text.map({ !$0.isEmpty }) ?? false else {
                throw .invalid("either image or text must be provided")
            }
            if let text, text.count > EmbeddingInputs.maximumTextBytes {
                throw .tooLarge(
                    """
                    the text is too long: found \(text.count) bytes, the limit is \
                    \(EmbeddingInputs.maximumTextBytes)
                    """, parameter: "text")
            }
            switch kind {
            case .visual:
                guard let image else {
                    throw .invalid("clip.visual needs an image, found a text", parameter: "image")
                }
                input = .image(Array(image))
            case .textual:
                guard image == nil, let text else {
                    throw .invalid("clip.textual needs a text, found an image", parameter: "text")
                }
                guard let text = String(validating: text, as: UTF8.self) else {
                    throw .invalid("the text is not UTF-8", parameter: "text")
                }
                input = .text(text)
            }
        }
    }

    /// The tower of an entry.
    enum Kind: String, Sendable { case visual, textual }

    private static func invalid(_ message: String) -> RequestError {
        RequestError(422, "invalid_request", message, parameter: "entries")
    }

    /// Parses `entries`, which must have a single entry: `clip.visual` or `clip.textual`.
    static func entry(in text: [UInt8]) throws(RequestError) -> (kind: Kind, model: String) {
        let entries = try JSONBody(parsing: text, name: "entries", path: "entries", status: 422)
        if let task = entries.keys.first(where: { $0 != "clip" }) {
            throw RequestError(
                422, "unsupported_task",
                "unsupported task \(JSONBody.quoted(task)): this server has clip only",
                parameter: "entries")
        }
        guard let clip = try entries.object("clip") else {
            throw invalid("entries has no task: expected clip")
        }
        guard clip.keys.count == 1, let name = clip.keys.first else {
            throw invalid(
                "entries.clip: expected one of visual and textual, found \(clip.keys.count) types")
        }
        guard let kind = Kind(rawValue: name) else {
            throw invalid("entries.clip: unknown type \(JSONBody.quoted(name))")
        }
        guard let entry = try clip.object(name) else {
            throw invalid("entries.clip.\(name): expected an object, found null")
        }
        guard let model = try entry.string("modelName"), !model.isEmpty else {
            throw invalid("entries.clip.\(name): modelName is missing")
        }
        // `options` may have a language, which matters to NLLB models only.
        _ = try entry.object("options")
        return (kind, model)
    }
}
