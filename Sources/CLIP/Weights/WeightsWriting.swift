internal import TensorFiles
internal import Tensors

/// A number format of a file of weights.
///
/// ```swift
/// try model.write(safetensors: "half.safetensors", format: .float16)
/// ```
public enum NumberFormat: String, Sendable, CaseIterable {
    case float32 = "f32"
    /// IEEE binary16: 11 significant bits, up to 65,504.
    case float16 = "f16"
    /// bfloat16: 8 significant bits, the range of float32.
    case bfloat16 = "bf16"

    var stored: StoredType {
        switch self {
        case .float32: .float32
        case .float16: .float16
        case .bfloat16: .bfloat16
        }
    }
}

extension CLIPModel {
    /// Writes the weights as one safetensors file in OpenAI's layout.
    ///
    /// The file's metadata contain an `open_clip_config.json`, so that it can be loaded by itself,
    /// and the source of the weights for information. The file appears at its path once it is
    /// complete and synchronised to the disk.
    ///
    /// - Parameters:
    ///   - path: The path of the new file; an existing file is replaced.
    ///   - format: The format of all numbers; if nil, each tensor keeps its format and exact
    ///     values.
    ///   - source: The source of the weights to state in the metadata; their path if nil.
    /// - Throws: `CLIPError.unwritableFile` if the file cannot be written, `.unrepresentableNumber`
    ///   if a number is too large for `format`.
    public func write(
        safetensors path: String, format: NumberFormat? = nil, source: String? = nil
    ) throws(CLIPError) {
        let shapes = configuration.tensorShapes
        let entries = parameters.names.map { name -> SafetensorsWriter.Entry in
            let stored = parameters[name]
            // Parts in several formats become float32, which represents all of them exactly.
            let own = stored.types.count == 1 ? stored.types[0] : StoredType.float32
            // Some writers store a scalar with one dimension; OpenAI's layout has none.
            return .init(
                name: name, type: format?.stored ?? own, shape: shapes[name] ?? stored.shape)
        }
        do throws(TensorFileError) {
            let writer = try SafetensorsWriter(
                path: path, entries: entries,
                metadata: metadata(
                    source: source ?? weights.path,
                    checksums: checksums(), merge: weights.merge))
            for entry in entries {
                let stored = parameters[entry.name]
                if !stored.isTransposed, stored.isWhole, stored.types == [entry.type],
                    stored.parts.allSatisfy({ $0.tensor.isRowMajor })
                {
                    try writer.append(bytesOf: stored.parts.map(\.tensor))
                } else {
                    try writer.append(stored.load(), as: entry.type, name: entry.name)
                }
            }
            try writer.finish()
        } catch {
            throw CLIPError(error)
        }
    }

    /// Returns the metadata of a file of this model's configuration.
    ///
    /// - Parameters:
    ///   - source: The source of the weights.
    ///   - checksums: The checksums of the files that the weights come from.
    ///   - merge: The models that were interpolated, if any.
    /// - Returns: The keys and values of the header's `__metadata__`.
    func metadata(
        source: String, checksums: [WeightsDescription.Checksum], merge: WeightsDescription.Merge?
    ) -> [(key: String, value: String)] {
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        return [
            ("format", "pt"),
            ("activation", configuration.activation.rawValue),
            ("mean", list(preprocessor.mean)), ("std", list(preprocessor.standardDeviation)),
            ("resolution", "\(configuration.resolution)"),
            ("source", source),
            ("source_sha256", checksums.map(\.sha256).joined(separator: ", ")),
        ] + (merge?.metadata ?? []) + [(ConfigurationFile.metadataKey, openCLIPConfiguration)]
    }
}
