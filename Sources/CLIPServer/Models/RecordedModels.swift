internal import CLIP
internal import CLIPSearch

extension ModelPool {
    /// Returns the model that made stored vectors, with their precision and resolution.
    ///
    /// - Parameter record: The record beside the vectors, such as that of an index. Its name may be
    ///   a path, because the operator of the server chose the index.
    /// - Returns: A model whose vectors can be compared with the stored ones.
    /// - Throws: `RequestError` with status 503 if the model is missing or is not the same any
    ///   more; `CancellationError`.
    func model(matching record: ModelRecord) async throws -> ServedModel {
        let plainName = ModelNames.trusted(record.name)
        var variantName = plainName
        variantName.variant = ModelNames.Variant(
            precision: record.precision, resolution: record.resolution)
        if let variant = loaded(variantName), variant.record.isComparable(to: record) {
            return variant
        }
        // In a scope of its own: while a reference to the model exists, it cannot be dropped to
        // make room for its variant.
        do {
            let plain = try await model(plainName)
            if plain.record.isComparable(to: record) { return plain }
        }
        let variant = try await model(variantName)
        guard variant.record.isComparable(to: record) else {
            throw RequestError(
                503, "other_model",
                "the model \(plainName.name) is not the one that made the vectors of the index")
        }
        return variant
    }
}

extension ModelRecord {
    /// True if vectors of both models can be compared, and are equal for equal inputs.
    func isComparable(to other: ModelRecord) -> Bool {
        // Records of older versions have no resolution.
        let sidesAgree =
            resolution == nil || other.resolution == nil || resolution == other.resolution
        return fingerprint == other.fingerprint && precision == other.precision
            && dimension == other.dimension && sidesAgree
    }
}

extension ServedModel {
    /// The record of the vectors that the model makes.
    var record: ModelRecord {
        ModelRecord(
            name: name, fingerprint: fingerprint,
            dimension: model.configuration.embeddingDimension, precision: model.precision,
            activation: model.configuration.activation,
            resolution: model.configuration.resolution)
    }
}

extension ModelNames {
    /// The way in which a model runs, if it is not that of the server's options.
    struct Variant: Sendable, Hashable {
        let precision: Precision
        /// The side of images in pixels; nil for the model's own.
        let resolution: Int?

        /// Returns a model that runs in this way.
        func applied(to model: CLIPModel) throws(CLIPError) -> CLIPModel {
            let model = try model.at(precision: precision.isSupported ? precision : .fp32)
            guard let resolution else { return model }
            return try model.at(resolution: resolution)
        }
    }
}
