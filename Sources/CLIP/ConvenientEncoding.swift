extension CLIPModel {
    /// Encodes an image.
    ///
    ///     let vector = try model.encode(image: RGBImage(contentsOfFile: "bike.jpg"), normalized: true)
    ///
    /// Many images are encoded faster together, by ``encode(images:)``.
    ///
    /// - Parameter normalized: True if the embedding is divided by its L2 norm.
    /// - Returns: `configuration.embeddingDimension` numbers.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func encode(image: RGBImage, normalized: Bool = false) throws(CLIPError) -> [Float] {
        try encode(images: [image], normalized: normalized).values
    }

    /// Encodes a text.
    ///
    ///     let vector = try model.encode(text: "a man riding bicycle")
    ///
    /// - Parameters:
    ///   - truncating: True if a text of more tokens than the context is cut.
    ///   - normalized: True if the embedding is divided by its L2 norm.
    /// - Returns: `configuration.embeddingDimension` numbers.
    /// - Throws: `CLIPError.textTooLong` or `.nonFiniteResult`.
    public func encode(
        text: String, truncating: Bool = false, normalized: Bool = false
    ) throws(CLIPError) -> [Float] {
        try encode(texts: [text], truncating: truncating, normalized: normalized).values
    }

    /// Encodes images as ``encode(images:)`` does, and divides each row by its L2 norm if
    /// `normalized` is true.
    public func encode(images: [RGBImage], normalized: Bool) throws(CLIPError) -> Embeddings {
        try encode(images: images).normalized(if: normalized)
    }

    /// Encodes preprocessed images as ``encode(pixels:)`` does, and divides each row by its L2 norm
    /// if `normalized` is true.
    public func encode(pixels: [Float], normalized: Bool) throws(CLIPError) -> Embeddings {
        try encode(pixels: pixels).normalized(if: normalized)
    }

    /// Encodes texts as ``encode(texts:truncating:)`` does, and divides each row by its L2 norm if
    /// `normalized` is true.
    public func encode(
        texts: [String], truncating: Bool = false, normalized: Bool
    ) throws(CLIPError) -> Embeddings {
        try encode(texts: texts, truncating: truncating).normalized(if: normalized)
    }

    /// Encodes rows of tokens as ``encode(tokens:)`` does, and divides each row by its L2 norm if
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
