extension WeightLayout {
    /// Returns the name in OpenAI's layout of a tensor of transformers.
    static func fromHuggingFace(_ name: String) -> CanonicalName {
        if let found = huggingFaceTensors[name] { return found }
        for (model, tower) in huggingFaceTowers {
            let layers = model + ".encoder.layers."
            guard name.hasPrefix(layers) else { continue }
            let parts = name.dropFirst(layers.count).split(separator: ".").map(String.init)
            guard parts.count >= 3, let kind = parts.last else { break }
            let block = "\(tower).resblocks.\(parts[0])"
            let layer = parts[1..<(parts.count - 1)].joined(separator: ".")
            if let part = huggingFaceParts.firstIndex(of: layer) {
                return CanonicalName(
                    name: "\(block).attn.in_proj_\(kind)", thirds: part..<(part + 1))
            }
            if let own = huggingFaceLayers[layer] {
                return CanonicalName(name: "\(block).\(own).\(kind)")
            }
        }
        // An unknown name, which the check of shapes reports as unexpected.
        return CanonicalName(name: name)
    }

    /// The names of the towers in Hugging Face's layout and in OpenAI's.
    static let huggingFaceTowers = [
        ("vision_model", "visual.transformer"), ("text_model", "transformer"),
    ]

    static let huggingFaceParts = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]

    static let huggingFaceLayers = [
        "layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
        "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj",
    ]

    /// The tensors outside the blocks.
    ///
    /// Projections are stored transposed, as the weights of linear layers.
    static let huggingFaceTensors = [
        "visual_projection.weight": CanonicalName(name: "visual.proj", isTransposed: true),
        "text_projection.weight": CanonicalName(name: "text_projection", isTransposed: true),
        "text_model.head.weight": CanonicalName(name: "text_projection", isTransposed: true),
        "text_model.head.bias": CanonicalName(name: "text_projection.bias"),
        "vision_model.head.probe": CanonicalName(name: "visual.attn_pool.latent", rank: 1),
    ].merging(plainHuggingFaceNames.mapValues { CanonicalName(name: $0) }) { $1 }
        .merging(withKinds(huggingFaceNorms)) { $1 }

    /// Returns the names of the weight and the bias of each layer.
    static func withKinds(_ layers: [String: String]) -> [String: CanonicalName] {
        var names: [String: CanonicalName] = [:]
        for (layer, own) in layers {
            for kind in ["weight", "bias"] {
                names["\(layer).\(kind)"] = CanonicalName(name: "\(own).\(kind)")
            }
        }
        return names
    }

    private static let plainHuggingFaceNames = [
        "vision_model.embeddings.class_embedding": "visual.class_embedding",
        "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
        "vision_model.head.attention.in_proj_weight": "visual.attn_pool.in_proj_weight",
        "vision_model.head.attention.in_proj_bias": "visual.attn_pool.in_proj_bias",
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
    ]

    /// The layers outside the blocks that have a weight and a bias.
    private static let huggingFaceNorms = [
        "vision_model.embeddings.patch_embedding": "visual.conv1",
        "vision_model.pre_layrnorm": "visual.ln_pre",
        "vision_model.post_layernorm": "visual.ln_post",
        "vision_model.head.attention.out_proj": "visual.attn_pool.out_proj",
        "vision_model.head.layernorm": "visual.attn_pool.ln",
        "vision_model.head.mlp.fc1": "visual.attn_pool.mlp.c_fc",
        "vision_model.head.mlp.fc2": "visual.attn_pool.mlp.c_proj",
        "text_model.final_layer_norm": "ln_final",
    ]
}
