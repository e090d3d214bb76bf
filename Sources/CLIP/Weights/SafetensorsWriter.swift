internal import Tensors

/// A format of numbers in a file of weights.
public enum NumberFormat: String, Sendable, CaseIterable, Codable {
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
        let tensors = parameters.names.map {
            name -> (name: String, type: StoredType, shape: [Int]) in
            let stored = parameters[name]
            // Of parts in several formats, the one that loses nothing.
            let own = stored.types.count == 1 ? stored.types[0] : StoredType.float32
            // Some writers give a lone number one dimension; OpenAI's layout has none.
            return (name, format?.stored ?? own, shapes[name] ?? stored.shape)
        }
        var members = ["\"__metadata__\":{\(metadata(source: source ?? weights.path))}"]
        var offset = 0
        for tensor in tensors {
            let end = offset + tensor.shape.reduce(1, *) * tensor.type.byteWidth
            let shape = tensor.shape.map(String.init).joined(separator: ",")
            members.append(
                """
                \(JSONValue.quoted(tensor.name)):{"dtype":"\(tensor.type.rawValue)",\
                "shape":[\(shape)],"data_offsets":[\(offset),\(end)]}
                """)
            offset = end
        }
        var header = Array("{\(members.joined(separator: ","))}".utf8)
        header += [UInt8](repeating: 0x20, count: (8 - header.count % 8) % 8)

        do {
            let file = try OutputFile(path: path)
            try file.write((0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) })
            try file.write(header)
            for tensor in tensors {
                let stored = parameters[tensor.name]
                if !stored.isTransposed, stored.types == [tensor.type],
                    stored.parts.allSatisfy({ $0.tensor.isRowMajor })
                {
                    for part in stored.parts { try file.writeBytes(of: part.tensor) }
                    continue
                }
                if let number = try file.write(stored.load(), as: tensor.type) {
                    throw CLIPError.unrepresentableNumber(
                        tensor: tensor.name, number: number, format: tensor.type.rawValue)
                }
            }
            try file.finish()
        } catch let error as FileError {
            throw .unwritableFile(path: path, reason: error.reason)
        } catch let error as CLIPError {
            throw error
        } catch {
            throw .unwritableFile(path: path, reason: "\(error)")
        }
    }

    private func metadata(source: String) -> String {
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        let texts: KeyValuePairs = [
            "format": "pt",
            "activation": configuration.activation.rawValue,
            "mean": list(preprocessor.mean), "std": list(preprocessor.standardDeviation),
            "resolution": "\(configuration.resolution)",
            "source": source,
            "source_sha256": checksums().map(\.sha256).joined(separator: ", "),
            ConfigurationFile.metadataKey: openCLIPConfiguration,
        ]
        return texts.map { "\(JSONValue.quoted($0)):\(JSONValue.quoted($1))" }
            .joined(separator: ",")
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
