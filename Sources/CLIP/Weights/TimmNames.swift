extension WeightLayout {
    /// The prefix of the image tower's tensors.
    static let trunk = "visual.trunk."
    /// The prefix of the tensors of a convolutional stem.
    static let stem = trunk + "patch_embed.backbone."

    /// Returns the name in OpenAI's layout of a tensor of an open_clip model with a tower of timm.
    static func fromTimm(_ name: String) -> CanonicalName {
        guard name.hasPrefix(trunk) else { return fromOpenCLIP(name) }
        if name.hasPrefix(stem) {
            return CanonicalName(name: "visual.stem." + name.dropFirst(stem.count))
        }
        let inner = String(name.dropFirst(trunk.count))
        if let found = timmTensors[inner] { return found }

        var parts = inner.split(separator: ".").map(String.init)
        guard parts.count >= 2, let kind = parts.popLast() else { return CanonicalName(name: name) }
        guard parts[0] == "blocks", parts.count >= 3 else { return CanonicalName(name: name) }
        let block = "visual.transformer.resblocks.\(parts[1])"
        let rest = parts.dropFirst(2).joined(separator: ".")
        switch (rest, kind) {
        case ("attn.qkv", _): return CanonicalName(name: "\(block).attn.in_proj_\(kind)")
        case ("attn", "q_bias"):
            return CanonicalName(name: "\(block).attn.in_proj_bias", thirds: 0..<1)
        case ("attn", "v_bias"):
            return CanonicalName(name: "\(block).attn.in_proj_bias", thirds: 2..<3)
        default:
            guard let own = timmBlockLayers[rest] else { return CanonicalName(name: name) }
            return CanonicalName(name: "\(block).\(own).\(kind)")
        }
    }

    /// The tensors outside the blocks, without the prefix.
    static let timmTensors: [String: CanonicalName] = [
        "cls_token": CanonicalName(name: "visual.class_embedding", rank: 1),
        "pos_embed": CanonicalName(name: "visual.positional_embedding", rank: 2),
        "embeds.pos_embed": CanonicalName(name: "visual.positional_embedding", rank: 2),
        "attn_pool.latent": CanonicalName(name: "visual.attn_pool.latent", rank: 1),
        "attn_pool.q.weight": CanonicalName(
            name: "visual.attn_pool.in_proj_weight", thirds: 0..<1),
        "attn_pool.q.bias": CanonicalName(name: "visual.attn_pool.in_proj_bias", thirds: 0..<1),
        "attn_pool.kv.weight": CanonicalName(
            name: "visual.attn_pool.in_proj_weight", thirds: 1..<3),
        "attn_pool.kv.bias": CanonicalName(name: "visual.attn_pool.in_proj_bias", thirds: 1..<3),
        "head.weight": CanonicalName(name: "visual.proj", isTransposed: true),
        "head.bias": CanonicalName(name: "visual.proj.bias"),
    ].merging(withKinds(timmLayers)) { $1 }

    /// The layers outside the blocks that have a weight and a bias.
    private static let timmLayers = [
        "patch_embed.proj": "visual.conv1", "embeds.proj": "visual.conv1",
        "norm_pre": "visual.ln_pre", "norm": "visual.ln_post", "fc_norm": "visual.ln_post",
        "attn_pool.proj": "visual.attn_pool.out_proj", "attn_pool.norm": "visual.attn_pool.ln",
        "attn_pool.mlp.fc1": "visual.attn_pool.mlp.c_fc",
        "attn_pool.mlp.fc2": "visual.attn_pool.mlp.c_proj",
    ]

    static let timmBlockLayers = [
        "norm1": "ln_1", "norm2": "ln_2", "attn.proj": "attn.out_proj", "mlp.fc1": "mlp.c_fc",
        "mlp.fc2": "mlp.c_proj",
    ]
}
