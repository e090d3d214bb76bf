internal import TensorFiles
internal import Tensors

/// A format of numbers in a file of weights.
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
    /// Writes the weights as one safetensors file in OpenAI's layout, with all that is needed to use them
    /// in its metadata: an `open_clip_config.json` and, for people, what they were made of.
    ///
    /// The file gets its name when it is whole and on the disk.
    ///
    /// - Parameters:
    ///   - path: where to; a file that is there is replaced.
    ///   - format: of all numbers; nil keeps each tensor's own, to the bit.
    ///   - source: what the weights are called where they come from, if not by their path.
    /// - Throws: `CLIPError.unwritableFile`, or `.unrepresentableNumber` if the format cannot hold one.
    public func write(
        safetensors path: String, format: NumberFormat? = nil, source: String? = nil
    ) throws(CLIPError) {
        let shapes = configuration.tensorShapes
        let entries = parameters.names.map { name -> SafetensorsWriter.Entry in
            let stored = parameters[name]
            // Of parts in several formats, the one that loses nothing.
            let own = stored.types.count == 1 ? stored.types[0] : StoredType.float32
            // Some writers give a lone number one dimension; OpenAI's layout has none.
            return .init(
                name: name, type: format?.stored ?? own, shape: shapes[name] ?? stored.shape)
        }
        do throws(TensorFileError) {
            let writer = try SafetensorsWriter(
                path: path, entries: entries, metadata: metadata(source: source ?? weights.path))
            for entry in entries {
                let stored = parameters[entry.name]
                if !stored.isTransposed, stored.types == [entry.type],
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

    private func metadata(source: String) -> KeyValuePairs<String, String> {
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        return [
            "format": "pt",
            "activation": configuration.activation.rawValue,
            "mean": list(preprocessor.mean), "std": list(preprocessor.standardDeviation),
            "resolution": "\(configuration.resolution)",
            "source": source,
            "source_sha256": checksums().map(\.sha256).joined(separator: ", "),
            ConfigurationFile.metadataKey: openCLIPConfiguration,
        ]
    }

    /// What `open_clip_config.json` says of such a model.
    var openCLIPConfiguration: String {
        let text = configuration.text
        func list(_ values: [some Any]) -> String {
            "[\(values.map { "\($0)" }.joined(separator: ", "))]"
        }
        let vision: String
        switch configuration.vision {
        case .visionTransformer(let v):
            vision = """
                "layers": \(v.layers), "width": \(v.width), "head_width": \(v.width / v.heads), \
                "mlp_ratio": \(ratio(v.mlpWidth, v.width)), "patch_size": \(v.patchSize)
                """
        case .modifiedResNet(let v):
            vision = """
                "layers": \(list(v.layers)), "width": \(v.width), \
                "head_width": \(v.outputWidth / v.heads)
                """
        }
        let epsilon = configuration.layerNormEpsilon
        return """
            {"model_cfg": {"embed_dim": \(configuration.embeddingDimension), \
            "quick_gelu": \(configuration.activation == .quickGELU), \
            \(epsilon == 1e-5 ? "" : "\"layer_norm_eps\": \(epsilon), ")\
            "vision_cfg": {"image_size": \(configuration.resolution), \(vision)}, \
            "text_cfg": {"context_length": \(text.contextLength), \
            "vocab_size": \(text.vocabularySize), "width": \(text.width), "heads": \(text.heads), \
            "layers": \(text.layers), "mlp_ratio": \(ratio(text.mlpWidth, text.width))}}, \
            "preprocess_cfg": {"size": \(configuration.resolution), "mode": "RGB", \
            "mean": \(list(preprocessor.mean)), "std": \(list(preprocessor.standardDeviation)), \
            "interpolation": "\(preprocessor.interpolation.rawValue)", \
            "resize_mode": "\(preprocessor.resizeMode.rawValue)"}}
            """
    }

    /// The ratio that gives back the width of a hidden layer, as `int(width * ratio)` does.
    private func ratio(_ hidden: Int, _ width: Int) -> Double {
        let ratio = Double(hidden) / Double(width)
        return Int(Double(width) * ratio) == hidden ? ratio : ratio.nextUp
    }
}
