internal import Files

extension ConfigurationFile {
    /// Reads transformers' `config.json` of CLIP, MetaCLIP 2, SigLIP or SigLIP 2.
    ///
    /// A missing key has the default value of transformers' configuration classes.
    mutating func readHuggingFace(_ json: JSONValue) throws(Refusal) {
        let type = json["model_type"]?.string ?? "clip"
        guard ["clip", "metaclip_2", "siglip", "siglip2"].contains(type) else {
            throw Refusal(
                "expected the model_type clip, metaclip_2, siglip or siglip2, found \(type)")
        }
        isSigLIP = type.hasPrefix("siglip")
        let (vision, text) = (try json.object("vision_config"), try json.object("text_config"))
        let isSigLIP = isSigLIP
        func tower(_ config: JSONValue, heads: Int) throws(Refusal) -> Tower {
            Tower(
                heads: try config.integer("num_attention_heads") ?? heads,
                activation: try activation(
                    config["hidden_act"]?.string
                        ?? (isSigLIP ? "gelu_pytorch_tanh" : "quick_gelu")),
                layerNormEpsilon: try epsilon(config["layer_norm_eps"]) ?? (isSigLIP ? 1e-6 : 1e-5))
        }
        self.vision = try tower(vision, heads: 12)
        self.text = try tower(text, heads: isSigLIP ? 12 : 8)
        (sizes[.imageWidth], sizes[.textWidth]) = (768, isSigLIP ? 768 : 512)
        try readSizes(
            vision,
            [
                .imageWidth: "hidden_size", .imageBlocks: "num_hidden_layers",
                .imageMLPWidth: "intermediate_size", .patchSize: "patch_size",
            ])
        try readSizes(
            text,
            [
                .textWidth: "hidden_size", .textBlocks: "num_hidden_layers",
                .textMLPWidth: "intermediate_size", .contextLength: "max_position_embeddings",
                .vocabularySize: "vocab_size",
            ])
        resolution = try vision.integer("image_size") ?? 224
        guard isSigLIP else {
            sizes[.embeddingDimension] = try json.integer("projection_dim") ?? 512
            isCausal = true
            textPooling = .largestID
            vocabulary = type == "clip" ? .clip : nil
            if type == "metaclip_2" {
                textPooling = .first(id: try text.integer("eos_token_id") ?? 49_407)
            }
            return
        }
        try readSizes(text, [.embeddingDimension: "projection_size"])
        (isCausal, textPooling) = (false, .last)
        (hasTextBias, hasLogitBias) = (true, true)
        // The defaults of transformers' image processors.
        let half: [Float] = [0.5, 0.5, 0.5]
        (mean, standardDeviation, resizeMode) = (half, half, .squash)
        // SigLIP 2's models are resized with another filter than SigLIP's.
        let vocabularySize = try text.integer("vocab_size")
        interpolation = type == "siglip2" || vocabularySize == 256_000 ? .bilinear : .bicubic
        if let uses = try vision.bool("vision_use_head"), !uses {
            throw Refusal("unsupported: vision_use_head is false")
        }
        guard type == "siglip2" else { return }
        (vocabulary, keepsAspectRatio) = (.siglip2, true)
        let count = try vision.integer("num_patches") ?? 256
        let grid = Int(Double(max(0, count)).squareRoot().rounded())
        guard (1..<1 << 10).contains(grid), grid * grid == count else {
            throw Refusal("num_patches is not a square: \(count)")
        }
        resolution = nil  // images have no fixed size
    }

    private func activation(_ name: String) throws(Refusal) -> Activation {
        switch name {
        case "quick_gelu": .quickGELU
        case "gelu": .gelu
        case "gelu_pytorch_tanh", "gelu_new": .tanhGELU
        default: throw Refusal("unsupported hidden_act: \(name)")
        }
    }
}
