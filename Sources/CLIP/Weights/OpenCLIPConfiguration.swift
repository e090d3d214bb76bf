internal import Files
internal import Tokenizers

extension ConfigurationFile {
    /// Reads the two parts of an `open_clip_config.json`.
    ///
    /// Some keys are this library's own and take precedence over what `timm_model_name` implies:
    /// `layer_norm_eps`; in a tower `heads`, `layer_norm_eps` and `activation`; in the image tower
    /// `pool_heads`, `mean_pool`, `rotary`, `naflex` and `patch_grid`; in the text tower
    /// `vocabulary` and `tokenizer_rules`; and `rules` of preprocessing.
    mutating func readOpenCLIP(
        model: JSONValue, preprocessing: JSONValue?
    ) throws(Refusal) {
        guard model.members != nil else {
            throw Refusal("expected an object model_cfg, found \(model)")
        }
        let (vision, text) = (try model.object("vision_cfg"), try model.object("text_cfg"))
        try refuseUnknown(
            in: model,
            allowed: [
                "embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "layer_norm_eps",
                "custom_text", "init_logit_bias", "init_logit_scale",
            ])
        let isQuick = try model.bool("quick_gelu") ?? false
        let epsilon = try epsilon(model["layer_norm_eps"])
        try readSizes(model, [.embeddingDimension: "embed_dim"])
        hasLogitBias = model["init_logit_bias"]?.number != nil
        try readOpenCLIP(text: text, isQuick: isQuick, epsilon: epsilon)
        if let name = vision["timm_model_name"]?.string {
            try readTimm(vision, name: name)
        } else {
            try readOpenCLIP(vision: vision, isQuick: isQuick, epsilon: epsilon)
        }
        try readOwnKeys(vision, into: \.vision)
        poolHeads = try vision.integer("pool_heads") ?? poolHeads
        isRotary = try vision.bool("rotary") ?? isRotary
        poolsMean = try vision.bool("mean_pool") ?? poolsMean
        keepsAspectRatio = try vision.bool("naflex") ?? keepsAspectRatio
        if keepsAspectRatio {
            resolution = nil  // images have no fixed size
            patchGrid = try vision.integer("patch_grid")
            guard (1...64).contains(patchGrid ?? 1) else {
                throw Refusal("patch_grid is not 1 to 64: \(patchGrid ?? 0)")
            }
        }

        guard let preprocessing, preprocessing != .null else {
            // CLIP's preprocessing is open_clip's default; other families were trained with others.
            guard vision["timm_model_name"] == nil, vocabulary == .clip, !hasLogitBias else {
                throw Refusal("preprocess_cfg is missing, and the model is not OpenAI's CLIP")
            }
            return
        }
        guard preprocessing.members != nil else {
            throw Refusal("expected an object preprocess_cfg, found \(preprocessing)")
        }
        try readNormalization(mean: preprocessing["mean"], deviation: preprocessing["std"])
        interpolation = try choice(preprocessing["interpolation"], "interpolation")
        resizeMode = try choice(preprocessing["resize_mode"], "resize_mode")
        guard resizeMode != .patches || keepsAspectRatio else {
            throw Refusal("unsupported resize_mode: patches, for a tower without naflex")
        }
        preprocessingRules = try choice(preprocessing["rules"], "rules")
    }

    private static let ownVisionKeys = [
        "heads", "layer_norm_eps", "activation", "pool_heads", "mean_pool", "rotary", "naflex",
        "patch_grid",
    ]

    /// Reads the hyperparameters of an image tower that open_clip implements.
    private mutating func readOpenCLIP(
        vision: JSONValue, isQuick: Bool, epsilon: Float?
    ) throws(Refusal) {
        try refuseUnknown(
            in: vision,
            allowed: [
                "image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio",
                "patch_dropout",
            ] + Self.ownVisionKeys)
        let width = try vision.integer("width") ?? 768
        try readImageSize(vision)
        let headWidth = try vision.integer("head_width") ?? 64
        guard headWidth > 0, width > 0, width < 1 << 20 else {
            throw Refusal(
                """
                expected an image tower of width 1 to \((1 << 20) - 1) and a positive head_width, \
                found the width \(width) and the head_width \(headWidth)
                """)
        }
        // A ResNet's heads are those of its attention pool, which is 32 times as wide.
        let stages = vision["layers"]?.array
        let isResNet = stages != nil
        if let stages {
            let counts = stages.compactMap(\.integer)
            guard counts.count == stages.count, counts.allSatisfy((0..<1 << 16).contains) else {
                throw Refusal("layers is not a list of whole numbers")
            }
            sizes[.imageBlocks] = counts.reduce(0, +)
        } else {
            try readSizes(vision, [.imageBlocks: "layers"])
        }
        try readSizes(vision, [.patchSize: "patch_size"])
        try readRatio(vision, .imageMLPWidth, width: width)
        sizes[.imageWidth] = width
        self.vision = Tower(
            heads: (isResNet ? 32 * width : width) / headWidth,
            activation: isQuick ? .quickGELU : .gelu, layerNormEpsilon: epsilon ?? 1e-5)
    }

    /// Reads the hyperparameters of an image tower that timm implements.
    private mutating func readTimm(_ vision: JSONValue, name: String) throws(Refusal) {
        let tower = TimmTower.named(name)
        let own = ["heads", "layer_norm_eps", "activation"]
        let ofPool = vision["timm_pool"] == .string("map") ? ["pool_heads", "rotary"] : []
        let isStated = (own + ofPool).allSatisfy { vision[$0] != nil }
        guard tower != nil || isStated else {
            throw Refusal("unsupported timm_model_name: \(name)")
        }
        try refuseUnknown(
            in: vision,
            allowed: [
                "image_size", "timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj",
                "timm_drop", "timm_drop_path", "patch_dropout",
            ] + Self.ownVisionKeys)
        switch vision["timm_proj"] {
        case nil, .null, .string(""), .string("none"): break
        case let other?: throw Refusal("unsupported timm_proj: \(other)")
        }
        switch vision["timm_pool"] {
        case nil, .null, .string(""): break
        case .string("map"): poolsByAttention = true
        case .string("token"): poolsByAttention = false
        case .string("avg"): (poolsByAttention, poolsMean) = (false, true)
        case let other?: throw Refusal("unsupported timm_pool: \(other)")
        }
        try readImageSize(vision)
        guard let tower else { return }
        if !isStated { timmTower = tower }
        // A smaller tower of the same architecture states its own heads.
        if vision["heads"] == nil {
            (sizes[.imageWidth], sizes[.patchSize]) = (tower.width, tower.patchSize)
        }
        self.vision = Tower(
            heads: tower.heads, activation: tower.activation,
            layerNormEpsilon: tower.layerNormEpsilon)
        poolHeads = tower.poolHeads
        isRotary = tower.isRotary
        keepsAspectRatio = tower.keepsAspectRatio
    }

    private mutating func readImageSize(_ vision: JSONValue) throws(Refusal) {
        if let sides = vision["image_size"]?.array {
            guard sides.count == 2, sides[0] == sides[1] else {
                throw Refusal("image_size is not a square")
            }
            resolution = sides[0].integer
        } else {
            resolution = try vision.integer("image_size")
        }
    }

    private mutating func readOpenCLIP(
        text: JSONValue, isQuick: Bool, epsilon: Float?
    ) throws(Refusal) {
        try refuseUnknown(
            in: text,
            allowed: [
                "context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio",
                "no_causal_mask", "pool_type", "eos_id", "proj_bias", "proj_type", "norm_kwargs",
                "act_kwargs", "hf_tokenizer_name", "tokenizer_kwargs", "layer_norm_eps",
                "activation", "vocabulary", "tokenizer_rules",
            ])
        try refuseUnknown(in: text["norm_kwargs"] ?? .null, allowed: ["eps"])
        try refuseUnknown(in: text["act_kwargs"] ?? .null, allowed: ["approximate"])
        let width = try text.integer("width") ?? 512
        sizes[.textWidth] = width
        try readSizes(
            text,
            [
                .contextLength: "context_length", .vocabularySize: "vocab_size",
                .textBlocks: "layers",
            ])
        try readRatio(text, .textMLPWidth, width: width)
        self.text = Tower(
            heads: try text.integer("heads") ?? 8,
            activation: isQuick ? .quickGELU : .gelu,
            layerNormEpsilon: try self.epsilon(text["norm_kwargs"]?["eps"]) ?? epsilon ?? 1e-5)
        switch text["act_kwargs"]?["approximate"] {
        case nil, .null, .string("none"): break
        case .string("tanh") where !isQuick: self.text.activation = .tanhGELU
        case let other?: throw Refusal("unsupported act_kwargs: approximate \(other)")
        }
        hasTextBias = try text.bool("proj_bias") ?? false
        isCausal = try !(text.bool("no_causal_mask") ?? false)
        switch text["pool_type"] {
        case nil, .null, .string("argmax"): textPooling = .largestID
        case .string("last"): textPooling = .last
        case .string("eos"): textPooling = .first(id: try text.integer("eos_id") ?? 2)
        case let other?: throw Refusal("unsupported pool_type: \(other)")
        }
        switch text["proj_type"] {
        case nil, .null, .string("linear"): break
        case .string("none"): lacksTextProjection = true
        case let other?: throw Refusal("unsupported proj_type: \(other)")
        }
        try readOwnKeys(text, into: \.text)
        tokenizerRules = try choice(text["tokenizer_rules"], "tokenizer_rules")
        if let kwargs = text["tokenizer_kwargs"] {
            try refuseUnknown(in: kwargs, allowed: ["clean"])
            tokenizerCleaning = try choice(kwargs["clean"], "tokenizer_kwargs: clean")
        }
        if let own: CLIPConfiguration.Vocabulary = try choice(text["vocabulary"], "vocabulary") {
            vocabulary = own
        } else if let name = text["hf_tokenizer_name"]?.string {
            // The default of open_clip's tokenizer.
            tokenizerCleaning = tokenizerCleaning ?? .whitespace
            vocabulary = CLIPConfiguration.Vocabulary(tokenizer: name)
        } else {
            vocabulary = .clip
        }
    }

    /// Reads this library's own keys of a tower.
    private mutating func readOwnKeys(
        _ tower: JSONValue, into path: WritableKeyPath<ConfigurationFile, Tower>
    ) throws(Refusal) {
        self[keyPath: path].heads = try tower.integer("heads") ?? self[keyPath: path].heads
        self[keyPath: path].activation =
            try choice(tower["activation"], "activation") ?? self[keyPath: path].activation
        self[keyPath: path].layerNormEpsilon =
            try epsilon(tower["layer_norm_eps"]) ?? self[keyPath: path].layerNormEpsilon
    }

    /// Returns the ε of LayerNorms; nil if it is missing or null.
    func epsilon(_ value: JSONValue?) throws(Refusal) -> Float? {
        guard let value, value != .null else { return nil }
        guard let epsilon = value.number, epsilon > 0, epsilon < 1 else {
            throw Refusal("layer_norm_eps is not a number between 0 and 1: \(value)")
        }
        return Float(epsilon)
    }

    private func choice<Choice: RawRepresentable<String>>(
        _ value: JSONValue?, _ name: String
    ) throws(Refusal) -> Choice? {
        guard let value, value != .null else { return nil }
        guard let text = value.string, let choice = Choice(rawValue: text) else {
            throw Refusal("unsupported \(name): \(value)")
        }
        return choice
    }

    private func refuseUnknown(in object: JSONValue, allowed: [String]) throws(Refusal) {
        guard object == .null || object.members != nil else {
            throw Refusal("expected an object, found \(object)")
        }
        for (key, value) in object.members ?? []
        where !allowed.contains(key) && value != .null && value != .bool(false) {
            throw Refusal("unsupported: the key \(key), which may change the model")
        }
    }
}

extension CLIPConfiguration.Vocabulary {
    /// Returns the vocabulary of a tokenizer on the hub that open_clip's configurations name; nil
    /// if it is unknown.
    init?(tokenizer name: String) {
        let name = name.lowercased()
        if name.contains("siglip2") {
            self = .siglip2
        } else if name.contains("siglip-i18n") || name.contains("siglip-base-patch16-256-i18n") {
            self = .siglipMultilingual
        } else if name.contains("siglip") {
            self = .siglip
        } else if name.contains("xlm-v") {
            self = .metaCLIP2
        } else {
            return nil
        }
    }

    /// Returns the published vocabulary that has the given number of ids; nil if there is none.
    init?(size: Int) {
        guard size != BPETokenizer.vocabularySize else {
            self = .clip
            return
        }
        guard let kind = SentencePieceTokenizer.Format.Kind(tokenRows: size) else { return nil }
        self.init(rawValue: kind.rawValue)
    }
}
