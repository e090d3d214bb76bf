internal import Tensors

/// What a configuration file beside the weights says, and their shapes cannot.
///
/// It is open_clip's `open_clip_config.json` or transformers' `config.json`. Whatever would change
/// the arithmetic in a way that is not built is refused by its name.
struct ConfigurationFile: Equatable {
    var activation: Activation?
    var visionHeads: Int?
    var textHeads: Int?
    var layerNormEpsilon: Float?
    var resolution: Int?
    var mean: [Float]?
    var standardDeviation: [Float]?
    var interpolation: ImagePreprocessor.Interpolation?
    var resizeMode: ImagePreprocessor.ResizeMode?
    /// Sizes that the weights show too; they tell whether the file belongs to them.
    var embeddingDimension: Int?
    var visionWidth: Int?
    var textWidth: Int?

    init() {}

    /// Reads one of the two kinds; nil if it is JSON of another kind.
    init?(path: String) throws(CLIPError) {
        let json = try Self.json(path: path)
        do throws(Refusal) {
            if let model = json["model_cfg"] {
                try readOpenCLIP(model: model, preprocessing: json["preprocess_cfg"])
            } else if json["vision_config"] != nil && json["text_config"] != nil {
                try readHuggingFace(json)
            } else {
                return nil
            }
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    /// Reads transformers' `preprocessor_config.json`.
    mutating func readPreprocessor(path: String) throws(CLIPError) {
        let json = try Self.json(path: path)
        do throws(Refusal) {
            try readNormalization(mean: json["image_mean"], deviation: json["image_std"])
            switch json["resample"]?.integer {
            case nil, 3: interpolation = .bicubic
            case 2: interpolation = .bilinear
            case .some(let other): throw Refusal("resample \(other) is not built")
            }
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    private static func json(path: String) throws(CLIPError) -> JSONValue {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path: path, limit: 1 << 24)
        } catch {
            throw .unreadableFile(path: path, reason: error.reason)
        }
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    private struct Refusal: Error {
        let reason: String
        init(_ reason: String) { self.reason = reason }
    }

    private mutating func readNormalization(
        mean: JSONValue?, deviation: JSONValue?
    ) throws(Refusal) {
        func three(_ value: JSONValue?, _ name: String) throws(Refusal) -> [Float]? {
            guard let value, value != .null else { return nil }
            let numbers = value.array?.compactMap { $0.number.map(Float.init) } ?? []
            guard numbers.count == 3 else { throw Refusal("\(name) is not three numbers") }
            return numbers
        }
        self.mean = try three(mean, "the mean")
        standardDeviation = try three(deviation, "the standard deviation")
        if let zero = standardDeviation?.first(where: { !($0 > 0) }) {
            throw Refusal("a standard deviation is \(zero)")
        }
    }

    private mutating func readOpenCLIP(
        model: JSONValue, preprocessing: JSONValue?
    ) throws(Refusal) {
        guard let vision = model["vision_cfg"], let text = model["text_cfg"] else {
            throw Refusal("it has no vision_cfg and text_cfg")
        }
        try refuseUnknown(
            in: model, allowed: ["embed_dim", "vision_cfg", "text_cfg", "quick_gelu"])
        try refuseUnknown(
            in: vision,
            allowed: [
                "image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio",
                "patch_dropout",
            ])
        try refuseUnknown(
            in: text,
            allowed: ["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"])

        activation = model["quick_gelu"] == .bool(true) ? .quickGELU : .gelu
        embeddingDimension = model["embed_dim"]?.integer
        textWidth = text["width"]?.integer ?? 512
        textHeads = text["heads"]?.integer ?? 8
        visionWidth = vision["width"]?.integer ?? 768
        resolution = vision["image_size"]?.integer ?? vision["image_size"]?.array?.first?.integer
        let headWidth = vision["head_width"]?.integer ?? 64
        guard let visionWidth, headWidth > 0, visionWidth > 0, visionWidth < 1 << 20 else {
            throw Refusal("the image tower's width or head_width is not positive")
        }
        // A ResNet's heads are those of its attention pool, which is 32 times as wide.
        let isResNet = vision["layers"]?.array != nil
        visionHeads = (isResNet ? 32 * visionWidth : visionWidth) / headWidth

        guard let preprocessing else { return }
        try readNormalization(mean: preprocessing["mean"], deviation: preprocessing["std"])
        interpolation = try choice(preprocessing["interpolation"], "interpolation")
        resizeMode = try choice(preprocessing["resize_mode"], "resize_mode")
    }

    private func choice<Choice: RawRepresentable<String>>(
        _ value: JSONValue?, _ name: String
    ) throws(Refusal) -> Choice? {
        guard let text = value?.string else { return nil }
        guard let choice = Choice(rawValue: text) else {
            throw Refusal("\(name) \"\(text)\" is not built")
        }
        return choice
    }

    private func refuseUnknown(in object: JSONValue, allowed: Set<String>) throws(Refusal) {
        for (key, value) in object.members ?? []
        where !allowed.contains(key) && value != .null && value != .bool(false) {
            throw Refusal("its \(key) changes the model in a way that is not built")
        }
    }

    private mutating func readHuggingFace(_ json: JSONValue) throws(Refusal) {
        guard json["model_type"]?.string ?? "clip" == "clip" else {
            throw Refusal("its model_type is \(json["model_type"]?.string ?? ""), not clip")
        }
        let (vision, text) = (json["vision_config"], json["text_config"])
        func same(_ key: String, _ fallback: JSONValue) throws(Refusal) -> JSONValue {
            let (a, b) = (vision?[key] ?? fallback, text?[key] ?? fallback)
            guard a == b else { throw Refusal("\(key) differs between the towers") }
            return a
        }
        switch try same("hidden_act", .string("quick_gelu")).string {
        case "quick_gelu": activation = .quickGELU
        case "gelu": activation = .gelu
        case let other: throw Refusal("hidden_act \(other ?? "") is not built")
        }
        layerNormEpsilon = try same("layer_norm_eps", .number(1e-5)).number.map(Float.init)
        visionHeads = vision?["num_attention_heads"]?.integer ?? 12
        textHeads = text?["num_attention_heads"]?.integer ?? 8
        visionWidth = vision?["hidden_size"]?.integer ?? 768
        textWidth = text?["hidden_size"]?.integer ?? 512
        resolution = vision?["image_size"]?.integer ?? 224
        embeddingDimension = json["projection_dim"]?.integer ?? 512
    }

    /// Refuses a file that describes other weights than those it lies beside.
    func check(against configuration: CLIPConfiguration, path: String) throws(CLIPError) {
        let visionWidth =
            switch configuration.vision {
            case .visionTransformer(let vision): vision.width
            case .modifiedResNet(let vision): vision.width
            }
        for (name, stated, found) in [
            ("embedding dimension", embeddingDimension, configuration.embeddingDimension),
            ("image tower's width", self.visionWidth, visionWidth),
            ("text tower's width", textWidth, configuration.text.width),
            ("resolution", resolution, configuration.resolution),
        ] {
            if let stated, stated != found {
                throw .malformedConfiguration(
                    path: path,
                    reason: """
                        it describes other weights than those beside it: its \(name) is \
                        \(stated), theirs \(found)
                        """)
            }
        }
    }
}
