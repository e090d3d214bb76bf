/// The naming and arrangement of a CLIP model's tensors in a file.
///
/// ```swift
/// print(model.weights.layout == .huggingFace)
/// ```
public enum WeightLayout: String, Sendable, Codable {
    /// The layout of openai/CLIP and open_clip: `visual.…`, `transformer.resblocks.…`.
    case openAI = "openai"
    /// The layout of open_clip's models whose image tower is timm's: `visual.trunk.…`, `text.…`.
    case timm
    /// The layout of transformers: `vision_model.…`, `text_model.…`.
    case huggingFace = "huggingface"
}

/// The name of a tensor in OpenAI's layout, and how to convert the tensor to that layout.
struct CanonicalName: Equatable {
    let name: String
    /// The thirds of OpenAI's stack of query, key and value that the tensor contains; nil for other
    /// tensors.
    var thirds: Range<Int>?
    var isTransposed = false
    /// The number of dimensions in OpenAI's layout if the file has more, of which the first are
    /// merged; nil otherwise.
    var rank: Int?
}

extension WeightLayout {
    /// Recognises the layout by the names of a file's tensors; nil if it is none of these.
    init?(names: some Collection<String>) {
        let names = Set(names.map { Self.withoutWrapper($0) })
        if names.contains("token_embedding.weight") || names.contains("text.token_embedding.weight")
        {
            self = names.contains { $0.hasPrefix(Self.trunk) } ? .timm : .openAI
        } else if names.contains("text_model.embeddings.token_embedding.weight") {
            self = .huggingFace
        } else {
            return nil
        }
    }

    /// Returns the name of a tensor in OpenAI's layout; nil for buffers that a model does not need.
    func canonicalName(_ name: String) -> CanonicalName? {
        let last = name.split(separator: ".").last.map(String.init) ?? name
        guard !Self.ignored.contains(last) else { return nil }
        let name = Self.withoutWrapper(name)
        switch self {
        case .openAI: return Self.fromOpenCLIP(name)
        case .timm: return Self.fromTimm(name)
        case .huggingFace: return Self.fromHuggingFace(name)
        }
    }

    /// Removes the prefix that PyTorch adds to all names in training on several devices.
    private static func withoutWrapper(_ name: String) -> String {
        name.hasPrefix("module.") ? String(name.dropFirst("module.".count)) : name
    }

    /// Returns true if the layout may store these parts of a tensor only.
    ///
    /// Keys have no bias in EVA's towers, so that third is zero.
    func allows(_ parts: [Range<Int>], of canonicalName: String) -> Bool {
        self == .timm && canonicalName.hasSuffix(".attn.in_proj_bias") && parts == [0..<1, 2..<3]
    }

    /// Returns the name in this layout of a tensor with the given OpenAI name, or of one of its
    /// parts, given by one of the thirds that it contains.
    func fileName(_ canonicalName: String, third: Int? = nil) -> String {
        guard self != .openAI else { return canonicalName }
        let (tensors, layers, blocks) =
            self == .timm
            ? (Self.timmTensors, Self.timmBlockLayers, [("visual.trunk.blocks", Self.visualBlocks)])
            : (
                Self.huggingFaceTensors, Self.huggingFaceLayers,
                Self.huggingFaceTowers.map { ("\($0).encoder.layers", "\($1).resblocks") }
            )
        // Of several names, the last in alphabetical order, so that the choice is always the same.
        let fixed = tensors.filter {
            $0.value.name == canonicalName && $0.value.thirds?.contains(third ?? 0) != false
        }.keys.max()
        if let fixed { return self == .timm ? Self.trunk + fixed : fixed }
        for (own, tower) in blocks where canonicalName.hasPrefix(tower + ".") {
            let rest = canonicalName.dropFirst(tower.count + 1)
            let block = "\(own).\(rest.prefix { $0 != "." })"
            for kind in ["weight", "bias"] {
                if rest.hasSuffix(".attn.in_proj_\(kind)") {
                    guard self == .timm else {
                        return "\(block).\(Self.huggingFaceParts[third ?? 0]).\(kind)"
                    }
                    // Only EVA's biases are stored in parts.
                    let part = third.map { $0 == 0 ? "q_bias" : "v_bias" } ?? "qkv.\(kind)"
                    return "\(block).attn.\(part)"
                }
                for (layer, name) in layers where rest.hasSuffix(".\(name).\(kind)") {
                    return "\(block).\(layer).\(kind)"
                }
            }
        }
        guard self == .timm, !canonicalName.hasPrefix("logit_") else { return canonicalName }
        let stem = "visual.stem."
        if canonicalName.hasPrefix(stem) {
            return Self.stem + canonicalName.dropFirst(stem.count)
        }
        return canonicalName.hasPrefix("visual.") ? canonicalName : "text." + canonicalName
    }

    private static let visualBlocks = "visual.transformer.resblocks"

    private static let ignored: Set = [
        "position_ids", "attn_mask", "num_batches_tracked", "input_resolution", "context_length",
        "vocab_size",
    ]

    /// Returns the name of a tensor of open_clip, whose models with a separate class for the text
    /// tower have the prefix `text.`.
    static func fromOpenCLIP(_ name: String) -> CanonicalName {
        let isText = name.hasPrefix("text.")
        let plain = isText ? String(name.dropFirst("text.".count)) : name
        // If the projection is a linear layer, its weight has a suffix and is stored transposed.
        if plain == "text_projection.weight" {
            return CanonicalName(name: "text_projection", isTransposed: true)
        }
        return CanonicalName(name: plain)
    }
}
