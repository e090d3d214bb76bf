internal import Files

/// A request for embeddings in OpenAI's shape.
///
/// `input` is a string or a list of strings. The extensions:
///
/// - infinity: `"modality": "image"` makes the strings of `input` images.
/// - Jina: elements of `input` may be `{"text": …}` and `{"image": …}`; `normalized`, and
///   `embedding_type` for `encoding_format`.
/// - vLLM: `messages` with a single text or image instead of `input`; `normalize`, `embed_dtype`,
///   `endianness`, and `truncate_prompt_tokens` of -1.
/// - Ours: `"truncate": true` cuts off texts at the context length. Without it a long text is an
///   error.
///
/// Images are in base64 or URLs. Members that do not change the vectors of CLIP models,
/// such as `user`, are ignored. Members that would change them are rejected.
struct OpenAIRequest: Sendable {
    /// The encoding of vectors in the response.
    enum Encoding: String, Sendable {
        /// A list of numbers.
        case float
        /// A string: the float32 numbers, little-endian, in base64.
        case base64
    }

    /// The name of the model; nil for the first one.
    let model: String?
    /// The texts and images, at least one, in the order of the request.
    private(set) var inputs: EmbeddingInputs
    let encoding: Encoding
    /// The number of dimensions that the client expects; nil for any.
    let dimensions: Int?
    let normalizes: Bool
    let truncates: Bool

    /// Parses a request.
    ///
    /// - Throws: `RequestError` with status 400 for malformed or empty inputs and unsupported
    ///   values of members, 413 for too many inputs, and those of `JSONBody`.
    init(_ request: ServerRequest, _ options: ServerOptions) throws(RequestError) {
        let body = try JSONBody(request)
        model = try body.string("model")
        encoding = try Self.encoding(of: body)
        dimensions = try body.integer("dimensions")
        normalizes =
            try Self.agreed(
                "normalize", try body.boolean("normalize"), "normalized",
                try body.boolean("normalized"), body) ?? true
        truncates = try Self.truncates(body)
        try Self.rejectUnsupported(body)
        inputs = EmbeddingInputs(options)
        let isImage = try Self.isImage(body)
        switch (body["input"], try body.array("messages")) {
        case (nil, nil):
            throw body.error("input", "expected a string or a list of strings, found nothing")
        case (_?, _?): throw body.error("messages", "expected either input or messages, found both")
        case (let input?, nil): try add(input, isImage: isImage, body)
        case (nil, let messages?): try add(messages: messages, body)
        }
    }

    /// Throws if the client expects other dimensions than the model has.
    func check(dimension: Int) throws(RequestError) {
        guard let dimensions, dimensions != dimension else { return }
        throw .invalid(
            "dimensions: the model has \(dimension) dimensions, found \(dimensions)",
            parameter: "dimensions")
    }

    // MARK: options

    /// Returns the value of two members with the same meaning; nil if both are missing.
    private static func agreed<Value: Equatable>(
        _ first: String, _ a: Value?, _ second: String, _ b: Value?, _ body: JSONBody
    ) throws(RequestError) -> Value? {
        if let a, let b, a != b { throw body.error(second, "contradicts \(first)") }
        return a ?? b
    }

    private static func encoding(of body: JSONBody) throws(RequestError) -> Encoding {
        let words = ["float", "base64"]
        let word = try agreed(
            "encoding_format", try body.word("encoding_format", from: words),
            "embedding_type", try body.word("embedding_type", from: words), body)
        return word.flatMap { Encoding(rawValue: $0) } ?? .float
    }

    private static func truncates(_ body: JSONBody) throws(RequestError) -> Bool {
        let limit = try body.integer("truncate_prompt_tokens")
        if let limit, limit != -1 {
            throw body.error(
                "truncate_prompt_tokens",
                "expected -1, the context length of the model, found \(limit)")
        }
        return try body.boolean("truncate") ?? (limit != nil)
    }

    private static func isImage(_ body: JSONBody) throws(RequestError) -> Bool {
        try body.word("modality", from: ["text", "image"]) == "image"
    }

    /// Throws if a member asks for vectors that the server does not have.
    private static func rejectUnsupported(_ body: JSONBody) throws(RequestError) {
        _ = try body.word("embed_dtype", from: ["float32"])
        _ = try body.word("endianness", from: ["native", "little"])
        for key in ["late_chunking", "return_multivector"] where try body.boolean(key) == true {
            throw body.error(key, "unsupported: expected false")
        }
    }

    // MARK: input

    private mutating func add(
        _ input: JSONValue, isImage: Bool, _ body: JSONBody
    ) throws(RequestError) {
        switch input {
        case .string, .object: try add(element: input, "input", isImage: isImage, body)
        case .array(let values):
            guard let first = values.first else {
                throw body.error("input", "the list is empty")
            }
            switch first {
            case .integer, .array:
                throw body.error(
                    "input",
                    """
                    token ids are unsupported: expected texts. LangChain's OpenAIEmbeddings sends \
                    texts with check_embedding_ctx_length=False
                    """)
            default: break
            }
            for (index, value) in values.enumerated() {
                try add(element: value, "input[\(index)]", isImage: isImage, body)
            }
        default:
            throw body.mismatch(
                "input", expected: "a string or a list of strings", found: input)
        }
    }

    /// Adds a string, or an object with a text or an image.
    private mutating func add(
        element: JSONValue, _ name: String, isImage: Bool, _ body: JSONBody
    ) throws(RequestError) {
        switch element {
        case .string(let image) where isImage: try inputs.add(image: image, parameter: name)
        case .string(let text): try add(text: text, name)
        case .object(let members):
            let object = JSONBody(members, path: name)
            switch (try object.string("text"), try object.string("image")) {
            case (let text?, nil): try add(text: text, "\(name).text")
            case (nil, let image?): try inputs.add(image: image, parameter: "\(name).image")
            case (nil, nil):
                throw body.error(name, "expected a member text or image, found neither")
            case (_?, _?):
                throw body.error(name, "expected a member text or image, found both")
            }
        default:
            throw body.mismatch(
                name, expected: "a string or an object with text or image", found: element)
        }
    }

    private mutating func add(text: String, _ name: String) throws(RequestError) {
        guard !text.isEmpty else {
            throw .invalid("\(name): the text is empty", parameter: name)
        }
        try inputs.add(text: text, parameter: name)
    }

    // MARK: messages

    /// Adds the text or image of a conversation, which must be a single message of a user.
    private mutating func add(messages: [JSONValue], _ body: JSONBody) throws(RequestError) {
        guard messages.count == 1, let first = messages.first else {
            throw body.error("messages", "expected one message, found \(messages.count)")
        }
        guard let members = first.members else {
            throw body.mismatch("messages[0]", expected: "an object", found: first)
        }
        let message = JSONBody(members, path: "messages[0]")
        _ = try message.word("role", from: ["user"])
        switch message["content"] {
        case .string(let text): try add(text: text, "messages[0].content")
        case .array(let parts): try add(parts: parts, message)
        case .some(let value):
            throw message.mismatch("content", expected: "a string or a list", found: value)
        case nil: throw message.error("content", "expected a string or a list, found nothing")
        }
    }

    /// Adds the parts of a message: one text, or one image.
    ///
    /// As in vLLM, an empty text beside an image is ignored.
    private mutating func add(parts: [JSONValue], _ message: JSONBody) throws(RequestError) {
        var texts: [(name: String, text: String)] = []
        var images: [(name: String, text: String)] = []
        guard parts.count <= 16 else {
            throw message.error("content", "too many parts: found \(parts.count), the limit is 16")
        }
        for (index, value) in parts.enumerated() {
            let key = "content[\(index)]"
            if let text = value.string {
                texts.append((message.name(key), text))
                continue
            }
            guard let members = value.members else {
                throw message.mismatch(key, expected: "an object", found: value)
            }
            let part = JSONBody(members, path: message.name(key))
            let types = ["text", "input_text", "image_url", "input_image"]
            switch try part.word("type", from: types) {
            case "text", "input_text":
                guard let text = try part.string("text") else {
                    throw part.error("text", "expected a string, found nothing")
                }
                texts.append((part.name("text"), text))
            case .some: images.append((part.name("image_url"), try Self.imageURL(of: part)))
            case nil: throw part.error("type", "expected text or image_url, found nothing")
            }
        }
        if !images.isEmpty { texts.removeAll { $0.text.isEmpty } }
        guard texts.count + images.count == 1 else {
            throw message.error(
                "content",
                """
                expected one text or one image for one vector, found \(texts.count) texts and \
                \(images.count) images
                """)
        }
        for (name, text) in texts { try add(text: text, name) }
        for (name, image) in images { try inputs.add(image: image, parameter: name) }
    }

    /// Returns the URL of a part: `{"image_url": {"url": …}}` or `{"image_url": …}`.
    private static func imageURL(of part: JSONBody) throws(RequestError) -> String {
        if case .string(let url) = part["image_url"] { return url }
        guard let url = try part.object("image_url")?.string("url") else {
            throw part.error("image_url", "expected an object with url, found nothing")
        }
        return url
    }
}
