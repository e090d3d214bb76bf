/// The naming and arrangement of a CLIP model's tensors in a file.
///
/// ```swift
/// print(model.weights.layout == .huggingFace)
/// ```
public enum WeightLayout: String, Sendable, Codable {
    /// The layout of openai/CLIP and open_clip: `visual.…`, `transformer.resblocks.…`.
    case openAI = "openai"
    /// The layout of transformers: `vision_model.…`, `text_model.…`.
    case huggingFace = "huggingface"
}

/// The name of a tensor in OpenAI's layout, and how to convert the tensor to that layout.
struct CanonicalName: Equatable {
    let name: String
    /// The index of the tensor in the stack of query, key and value that OpenAI's layout has; nil
    /// for other tensors.
    var part: Int?
    var isTransposed = false
}

extension WeightLayout {
    /// Recognises the layout by the names of a file's tensors; nil if it is neither of the two.
    init?(names: some Collection<String>) {
        let names = Set(names.map { Self.withoutWrapper($0) })
        if names.contains("token_embedding.weight") || names.contains("text.token_embedding.weight")
        {
            self = .openAI
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
        case .openAI:
            // open_clip's models with a separate class for the text tower use this prefix.
            let isText = name.hasPrefix("text.")
            return CanonicalName(name: isText ? String(name.dropFirst("text.".count)) : name)
        case .huggingFace: return Self.fromHuggingFace(name)
        }
    }

    /// Removes the prefix that PyTorch adds to all names in training on several devices.
    private static func withoutWrapper(_ name: String) -> String {
        name.hasPrefix("module.") ? String(name.dropFirst("module.".count)) : name
    }

    /// Returns true if the layout stores this tensor of OpenAI's layout as three: query, key and
    /// value.
    func isSplit(_ canonicalName: String) -> Bool {
        self == .huggingFace && canonicalName.contains(".attn.in_proj_")
    }

    /// Returns the name in this layout of a tensor with the given OpenAI name, or of one of its
    /// three parts.
    func fileName(_ canonicalName: String, part: Int = 0) -> String {
        guard self == .huggingFace else { return canonicalName }
        let fixed = Self.huggingFaceNames.merging(Self.huggingFaceProjections) { $1 }
        if let name = fixed.first(where: { $0.value == canonicalName })?.key { return name }
        for (model, tower) in Self.huggingFaceTowers {
            let blocks = "\(tower).resblocks."
            guard canonicalName.hasPrefix(blocks) else { continue }
            let rest = canonicalName.dropFirst(blocks.count)
            let layer = "\(model).encoder.layers.\(rest.prefix { $0 != "." })"
            for kind in ["weight", "bias"] {
                if rest.hasSuffix(".attn.in_proj_\(kind)") {
                    return "\(layer).\(Self.huggingFaceParts[part]).\(kind)"
                }
                for (own, name) in Self.huggingFaceLayers where rest.hasSuffix(".\(name).\(kind)") {
                    return "\(layer).\(own).\(kind)"
                }
            }
        }
        return canonicalName
    }

    private static let ignored: Set = [
        "position_ids", "attn_mask", "num_batches_tracked", "input_resolution", "context_length",
        "vocab_size",
    ]

    private static func fromHuggingFace(_ name: String) -> CanonicalName {
        if let projection = huggingFaceProjections[name] {
            return CanonicalName(name: projection, isTransposed: true)
        }
        if let fixed = huggingFaceNames[name] { return CanonicalName(name: fixed) }

        for (model, tower) in huggingFaceTowers {
            let layers = model + ".encoder.layers."
            guard name.hasPrefix(layers) else { continue }
            let parts = name.dropFirst(layers.count).split(separator: ".").map(String.init)
            guard parts.count >= 3, let kind = parts.last else { break }
            let block = "\(tower).resblocks.\(parts[0])"
            let layer = parts[1..<(parts.count - 1)].joined(separator: ".")
            if let part = huggingFaceParts.firstIndex(of: layer) {
                return CanonicalName(name: "\(block).attn.in_proj_\(kind)", part: part)
            }
            if let own = huggingFaceLayers[layer] {
                return CanonicalName(name: "\(block).\(own).\(kind)")
            }
        }
        return CanonicalName(name: name)  // reported as unexpected
    }

    /// The names of the towers in Hugging Face's layout and in OpenAI's.
    private static let huggingFaceTowers = [
        ("vision_model", "visual.transformer"), ("text_model", "transformer"),
    ]

    private static let huggingFaceParts = [
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
    ]

    /// The projections, which Hugging Face's layout stores transposed, as the weights of linear
    /// layers.
    private static let huggingFaceProjections = [
        "visual_projection.weight": "visual.proj", "text_projection.weight": "text_projection",
    ]

    private static let huggingFaceLayers = [
        "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    ]

    private static let huggingFaceNames = [
        "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
        "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
        "vision_model.post_layernorm.weight": "visual.ln_post.weight",
        "vision_model.post_layernorm.bias": "visual.ln_post.bias",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
    ]
}
