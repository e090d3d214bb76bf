internal import Files

/// A text or an image file to be embedded.
enum EmbeddingInput: Equatable, Sendable {
    case text(String)
    case image(ImageReference)
}

/// The texts and images of a request, checked against the limits of the server.
struct EmbeddingInputs: Sendable {
    /// The largest size of a text, in bytes of UTF-8.
    static let maximumTextBytes = 1 << 18

    /// The inputs, in the order of the request.
    private(set) var list: [EmbeddingInput] = []
    private var textCount = 0
    private var imageCount = 0
    private let options: ServerOptions

    /// Makes an empty list with the limits of the server.
    init(_ options: ServerOptions) {
        self.options = options
    }

    /// The texts, in order.
    var texts: [String] {
        list.compactMap { input in
            if case .text(let text) = input { text } else { nil }
        }
    }

    /// The images, in order.
    var images: [ImageReference] {
        list.compactMap { input in
            if case .image(let image) = input { image } else { nil }
        }
    }

    /// Adds a text, which may be empty.
    ///
    /// - Throws: `RequestError` with status 413 if the text or the list is too long.
    mutating func add(text: String, parameter: String) throws(RequestError) {
        guard textCount < options.textsPerRequest else {
            throw .tooLarge(
                "too many texts in a request: the limit is \(options.textsPerRequest)",
                parameter: parameter)
        }
        guard text.utf8.count <= Self.maximumTextBytes else {
            throw .tooLarge(
                """
                \(parameter): the text is too long: found \(text.utf8.count) bytes, the limit is \
                \(Self.maximumTextBytes)
                """, parameter: parameter)
        }
        textCount += 1
        list.append(.text(text))
    }

    /// Adds an image in base64 or as a URL.
    ///
    /// - Throws: `RequestError` with status 413 if there are too many images, 400 for other text.
    mutating func add(image text: String, parameter: String) throws(RequestError) {
        guard imageCount < options.imagesPerRequest else {
            throw .tooLarge(
                "too many images in a request: the limit is \(options.imagesPerRequest)",
                parameter: parameter)
        }
        guard !text.isEmpty else {
            throw .invalid("\(parameter): the image is empty", parameter: parameter)
        }
        list.append(.image(try ImageReference(text, parameter: parameter, options)))
        imageCount += 1
    }

    /// Returns the vectors of all inputs in the order of the request.
    ///
    /// - Parameters:
    ///   - texts: The vectors of `texts`.
    ///   - images: The vectors of `images`.
    /// - Returns: One vector for each input.
    func merged(texts: [[Float]], images: [[Float]]) -> [[Float]] {
        var (texts, images) = (texts.makeIterator(), images.makeIterator())
        return list.compactMap { input in
            if case .text = input { texts.next() } else { images.next() }
        }
    }
}

extension Services {
    /// Encodes texts and images, and returns one vector for each input in the order given.
    ///
    /// - Parameters:
    ///   - inputs: The texts and images, which may be empty.
    ///   - model: The model.
    ///   - truncating: True to cut off texts at the context length of the model.
    ///   - normalized: True to divide each vector by its L2 norm.
    /// - Returns: The vectors and the number of tokens of all texts.
    /// - Throws: The errors of `ImageFetcher`, and of the model for texts and for images.
    func embeddings(
        of inputs: EmbeddingInputs, by model: ServedModel, truncating: Bool,
        normalized: Bool = true
    ) async throws -> (vectors: [[Float]], tokenCount: Int) {
        let texts = inputs.texts
        let fetched = try await images.files(of: inputs.images)
        let files = fetched.files
        if files.isEmpty, texts.isEmpty { return ([], 0) }
        if files.isEmpty {
            let result = try await model.embeddings(
                ofTexts: texts, truncating: truncating, normalized: normalized)
            return (result.vectors, result.tokenCount)
        }
        if texts.isEmpty {
            let result = try await model.embeddings(ofImages: files, normalized: normalized)
            return (result.map(\.vector), 0)
        }
        async let encodedTexts = model.embeddings(
            ofTexts: texts, truncating: truncating, normalized: normalized)
        async let encodedImages = model.embeddings(ofImages: files, normalized: normalized)
        let (first, second) = try await (encodedTexts, encodedImages)
        return (
            inputs.merged(texts: first.vectors, images: second.map(\.vector)), first.tokenCount
        )
    }
}

extension JSONValue {
    /// Returns a list of float32 numbers as JSON without white space.
    ///
    /// Numbers have the fewest digits that identify them. The text is built at once, because a
    /// response may have a million numbers.
    static func vector(_ vector: [Float]) -> JSONValue {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(vector.count * 13 + 2)
        bytes.append(UInt8(ascii: "["))
        for (index, value) in vector.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes += (value.isFinite ? "\(value)" : "null").utf8
        }
        bytes.append(UInt8(ascii: "]"))
        return .raw(bytes)
    }

    /// Returns the string of a text that needs no escapes, such as base64.
    ///
    /// Faster than `string`, which looks at every character.
    static func unescaped(_ text: some Collection<UInt8>) -> JSONValue {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count + 2)
        bytes.append(UInt8(ascii: "\""))
        bytes += text
        bytes.append(UInt8(ascii: "\""))
        return .raw(bytes)
    }
}

extension ServerResponse {
    /// Returns a JSON response without white space.
    static func compact(_ value: JSONValue, status: Int = 200) -> ServerResponse {
        ServerResponse(status: status, value.bytes, type: "application/json")
    }
}
