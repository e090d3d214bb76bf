extension CLIPModel {
    /// Returns the embedding of an image.
    ///
    /// ```swift
    /// let bike = try RGBImage(contentsOfFile: "bike.jpg")
    /// let vector = try model.encode(image: bike, normalized: true)
    /// ```
    ///
    /// Many images are encoded faster together, by `encode(images:)`.
    ///
    /// - Parameters:
    ///   - image: An image of any size.
    ///   - normalized: True to divide the embedding by its L2 norm.
    /// - Returns: A vector of `configuration.embeddingDimension` numbers.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func encode(image: RGBImage, normalized: Bool = false) throws(CLIPError) -> [Float] {
        try encode(images: [image], normalized: normalized).values
    }

    /// Returns the embedding of a text.
    ///
    /// ```swift
    /// let vector = try model.encode(text: "a man riding bicycle")
    /// ```
    ///
    /// - Parameters:
    ///   - text: Any text, even an empty one.
    ///   - truncating: True to truncate a text that has more tokens than the context.
    ///   - normalized: True to divide the embedding by its L2 norm.
    /// - Returns: A vector of `configuration.embeddingDimension` numbers.
    /// - Throws: `CLIPError.textTooLong` if the text is too long and `truncating` is false,
    ///   `.nonFiniteResult` if the result is not finite.
    public func encode(
        text: String, truncating: Bool = false, normalized: Bool = false
    ) throws(CLIPError) -> [Float] {
        try encode(texts: [text], truncating: truncating, normalized: normalized).values
    }

    /// Encodes images as `encode(images:)` does, and divides each row by its L2 norm if
    /// `normalized` is true.
    public func encode(images: [RGBImage], normalized: Bool) throws(CLIPError) -> Embeddings {
        try encode(images: images).normalized(if: normalized)
    }

    /// Encodes images as the asynchronous `encode(images:)` does, and divides each row by its L2
    /// norm if `normalized` is true.
    public func encode(images: [RGBImage], normalized: Bool) async throws -> Embeddings {
        try await encode(images: images).normalized(if: normalized)
    }

    /// Encodes preprocessed images as ``encode(pixels:)`` does, and divides each row by its L2 norm
    /// if `normalized` is true.
    public func encode(pixels: [Float], normalized: Bool) throws(CLIPError) -> Embeddings {
        try encode(pixels: pixels).normalized(if: normalized)
    }

    /// Encodes texts as `encode(texts:truncating:)` does, and divides each row by its L2 norm if
    /// `normalized` is true.
    public func encode(
        texts: [String], truncating: Bool = false, normalized: Bool
    ) throws(CLIPError) -> Embeddings {
        try encode(texts: texts, truncating: truncating).normalized(if: normalized)
    }

    /// Encodes texts as the asynchronous `encode(texts:truncating:)` does, and divides each row
    /// by its L2 norm if `normalized` is true.
    public func encode(
        texts: [String], truncating: Bool = false, normalized: Bool
    ) async throws -> Embeddings {
        try await encode(texts: texts, truncating: truncating).normalized(if: normalized)
    }

    /// Encodes rows of tokens as `encode(tokens:)` does, and divides each row by its L2 norm if
    /// `normalized` is true.
    public func encode(tokens: [[Int]], normalized: Bool) throws(CLIPError) -> Embeddings {
        try encode(tokens: tokens).normalized(if: normalized)
    }
}

extension Embeddings {
    fileprivate func normalized(if isWanted: Bool) -> Embeddings {
        isWanted ? normalized() : self
    }
}
