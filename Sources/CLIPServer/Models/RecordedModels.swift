internal import CLIP
internal import CLIPSearch

extension ModelPool {
    /// Returns the model that made stored vectors, with their precision and resolution.
    ///
    /// - Parameter record: The record beside the vectors, such as that of an index. Its name may be
    ///   a path, because the operator of the server chose the index.
    /// - Throws: `RequestError` with status 503 if the model is missing or is not the same any
    ///   more; `CancellationError`.
    func model(matching record: ModelRecord) async throws -> ServedModel {
        var wanted = ModelNames.trusted(record.name)
        let plain = try await model(wanted)
        if record.matches(plain.model), plain.fingerprint == record.fingerprint { return plain }
        // The fingerprint depends on the resolution, so it is compared afterwards.
        wanted.variant = ModelNames.Variant(
            precision: record.precision, resolution: record.resolution)
        let variant = try await model(wanted)
        guard variant.fingerprint == record.fingerprint else {
            throw RequestError(
                503, "other_model",
                "the model \(plain.name) is not the one that made the vectors of the index")
        }
        return variant
    }
}

extension ModelRecord {
    /// True if a model computes with the precision and the resolution of the record.
    fileprivate func matches(_ model: CLIPModel) -> Bool {
        precision == model.precision
            && (resolution == nil || resolution == model.preprocessor.resolution)
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
