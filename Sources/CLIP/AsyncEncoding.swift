/// Asynchronous versions of the methods that encode images and texts.
///
/// The task suspends while threads of the library compute. If it is cancelled, the call throws
/// `CancellationError` at the end of the current batch.
extension CLIPModel {
    /// Returns the embeddings of images, one row each, not normalised.
    ///
    /// ```swift
    /// let embeddings = try await model.encode(images: images)
    /// ```
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity, `.noThread`,
    ///   and `CancellationError`.
    public func encode(images: [RGBImage]) async throws -> Embeddings {
        try await CallThreads.encoding.run { try encode(images: images, $0) }
    }

    func encode(
        images: [RGBImage], _ cancellation: CallThreads.Cancellation
    ) throws -> Embeddings {
        // Threads that finish early wait for the last image of the batch. In a large batch this
        // costs little.
        let most = 8 * imagesOfAllThreads
        var values: [Float] = []
        for start in stride(from: 0, to: images.count, by: most) {
            try cancellation.check()
            let batch = Array(images[start..<min(start + most, images.count)])
            values += try encode(images: batch).values
        }
        try cancellation.check()
        return Embeddings(rows: values, dimension: configuration.embeddingDimension)
    }

    /// Returns the embeddings of texts, one row each, not normalised.
    ///
    /// - Parameters:
    ///   - texts: Any number of texts.
    ///   - truncating: True to truncate texts that have more tokens than the context.
    /// - Returns: One embedding for each text, in the same order.
    /// - Throws: `CLIPError.textTooLong` if a text is too long and `truncating` is false,
    ///   `.nonFiniteResult` if the weights produce NaN or infinity, `.noThread`, and
    ///   `CancellationError`.
    public func encode(texts: [String], truncating: Bool = false) async throws -> Embeddings {
        try await CallThreads.encoding.run { cancellation in
            var tokens: [[Int]] = []
            for text in texts {
                try cancellation.check()
                tokens += try rows(of: [text], truncating: truncating)
            }
            return try encode(tokens: tokens, cancellation)
        }
    }

    /// Returns the embeddings of tokenized texts, one row each, not normalised.
    ///
    /// - Parameter tokens: Rows of token ids, with or without padding.
    /// - Returns: One embedding for each row of ids, in the same order.
    /// - Throws: `CLIPError.wrongTokenCount` if a row is empty or too long, `.unknownToken` if an
    ///   id is outside the vocabulary, `.nonFiniteResult` if the weights produce NaN or infinity,
    ///   `.noThread`, and `CancellationError`.
    public func encode(tokens: [[Int]]) async throws -> Embeddings {
        try await CallThreads.encoding.run { try encode(tokens: tokens, $0) }
    }

    func encode(
        tokens: [[Int]], _ cancellation: CallThreads.Cancellation
    ) throws -> Embeddings {
        for row in tokens { try check(row) }
        // Sorted, so that the texts of one batch share prefixes, which are computed once.
        let order = tokens.indices.sorted { tokens[$0].lexicographicallyPrecedes(tokens[$1]) }
        var values: [Float] = []
        for start in stride(from: 0, to: order.count, by: 512) {
            try cancellation.check()
            let batch = order[start..<min(start + 512, order.count)].map { tokens[$0] }
            values += try encode(tokens: batch).values
        }
        try cancellation.check()
        return Embeddings(rows: values, dimension: configuration.embeddingDimension)
            .moved(to: order)
    }
}

extension ZeroShotClassifier {
    /// Makes a classifier by encoding the labels.
    ///
    /// ```swift
    /// let classifier = try await ZeroShotClassifier(model: model, labels: ["a dog", "a cat"])
    /// let predictions = try await classifier.classify(images)
    /// ```
    ///
    /// The parameters are those of the synchronous initialiser.
    ///
    /// - Throws: `CLIPError.tooFewLabels` for fewer than two labels, `.noTemplate` if `templates`
    ///   is empty, `.invalidTemplate` for a template without `{}`, `.textTooLong` if a prompt is
    ///   too long and `truncating` is false, `.nonFiniteResult` if the weights produce NaN or
    ///   infinity, `.noThread`, and `CancellationError`.
    public init(
        model: CLIPModel, labels: [String], templates: [String] = ["{}"], truncating: Bool = false
    ) async throws {
        self = try await CallThreads.encoding.run { cancellation in
            let prompts = try Self.prompts(labels, templates, model, truncating: truncating)
            let embeddings = try Self.embeddings(
                of: prompts, labels: labels.count, dimension: model.configuration.embeddingDimension
            ) { tokens throws in try model.encode(tokens: tokens, cancellation) }
            return try Self(model: model, labels: labels, labelEmbeddings: embeddings)
        }
    }

    /// Returns the predictions of each image, best first.
    ///
    /// - Parameters:
    ///   - images: Any number of images.
    ///   - top: The number of predictions to return for each image; all if nil.
    /// - Returns: At most `top` predictions for each image, in the order of the images.
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity, `.noThread`,
    ///   and `CancellationError`.
    public func classify(
        _ images: [RGBImage], top: Int? = nil
    ) async throws -> [[Prediction]] {
        try await CallThreads.encoding.run { cancellation in
            let embeddings = try model.encode(images: images, cancellation)
            return try predictions(of: embeddings, top: top)
        }
    }
}
