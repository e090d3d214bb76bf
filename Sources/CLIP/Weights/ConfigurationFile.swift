internal import Files
internal import Tensors

/// The hyperparameters in a configuration file, most of which the shapes of the weights do not
/// show.
///
/// The file is open_clip's `open_clip_config.json` or transformers' `config.json`. If a key
/// requires unsupported arithmetic, an error names the key.
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
    // Sizes that the shapes show as well; they tell whether the file belongs to the weights.
    var embeddingDimension: Int?
    var visionWidth: Int?
    var textWidth: Int?

    /// The key of an `open_clip_config.json` in the metadata of a safetensors file.
    static let metadataKey = "open_clip_config"

    init() {}

    /// Reads an `open_clip_config.json` or `config.json`; nil if the JSON has the form of neither.
    init?(path: String) throws(CLIPError) {
        try self.init(Self.read(path), path: path)
    }

    /// Reads the bytes of an `open_clip_config.json` or `config.json`; nil if the JSON has the form
    /// of neither.
    ///
    /// `path` is the name of the file in error messages.
    init?(_ bytes: [UInt8], path: String) throws(CLIPError) {
        let json = try Self.parse(bytes, path: path)
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
        let json = try Self.parse(Self.read(path), path: path)
        do throws(Refusal) {
            for step in ["do_resize", "do_center_crop", "do_rescale", "do_normalize"]
            where json[step] == .bool(false) {
                throw Refusal("unsupported: \(step) is false")
            }
            try readNormalization(mean: json["image_mean"], deviation: json["image_std"])
            switch try json.integer("resample") ?? 3 {
            case 3: interpolation = .bicubic
            case 2: interpolation = .bilinear
            case let other: throw Refusal("unsupported resample \(other): expected 2 or 3")
            }
            try readSizes(json)
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    /// Reads the sizes to resize to and to crop to, which must be equal.
    private mutating func readSizes(_ json: JSONValue) throws(Refusal) {
        /// Returns the side that a key states as a whole number, as `shortest_edge`, or as equal
        /// `height` and `width`; nil if the key is missing.
        func side(_ key: String) throws(Refusal) -> (side: Int, isShortest: Bool)? {
            guard let value = json[key], value != .null else { return nil }
            if value.members == nil, let side = try json.integer(key) { return (side, true) }
            if let side = try value.integer("shortest_edge") { return (side, true) }
            let (height, width) = (try value.integer("height"), try value.integer("width"))
            guard let height, height == width else {
                throw Refusal("\(key) has neither shortest_edge nor equal height and width")
            }
            return (height, false)
        }
        let (size, crop) = (try side("size"), try side("crop_size"))
        if let size {
            resizeMode = size.isShortest ? .shortest : .squash
            resolution = size.side
        }
        if let crop, let size, crop.side != size.side {
            throw Refusal(
                "unsupported: size \(size.side) differs from crop_size \(crop.side)")
        }
    }

    private static func read(_ path: String) throws(CLIPError) -> [UInt8] {
        do {
            return try readFile(path: path, limit: 1 << 24)
        } catch {
            throw .unreadableFile(path: path, reason: error.reason)
        }
    }

    private static func parse(_ bytes: [UInt8], path: String) throws(CLIPError) -> JSONValue {
        do {
            return try JSONValue(parsing: bytes)
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    private mutating func readNormalization(
        mean: JSONValue?, deviation: JSONValue?
    ) throws(Refusal) {
        func three(_ value: JSONValue?, _ name: String) throws(Refusal) -> [Float]? {
            guard let value, value != .null else { return nil }
            let numbers = value.array?.compactMap { $0.number.map(Float.init) } ?? []
            guard numbers.count == 3 else {
                throw Refusal("\(name) is not a list of three numbers")
            }
            return numbers
        }
        self.mean = try three(mean, "the mean")
        standardDeviation = try three(deviation, "the standard deviation")
        if let zero = standardDeviation?.first(where: { !($0 > 0) }) {
            throw Refusal("a standard deviation is not positive: \(zero)")
        }
    }

    private mutating func readOpenCLIP(
        model: JSONValue, preprocessing: JSONValue?
    ) throws(Refusal) {
        guard let vision = model["vision_cfg"], let text = model["text_cfg"] else {
            throw Refusal("model_cfg has no vision_cfg or no text_cfg")
        }
        try refuseUnknown(
            in: model,
            allowed: ["embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "layer_norm_eps"])
        try refuseUnknown(
            in: vision,
            allowed: [
                "image_size", "layers", "width", "head_width", "patch_size", "mlp_ratio",
                "patch_dropout",
            ])
        try refuseUnknown(
            in: text,
            allowed: ["context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"])

        activation = try model.bool("quick_gelu") ?? false ? .quickGELU : .gelu
        try readEpsilon(model["layer_norm_eps"])  // an extension of this library
        embeddingDimension = try model.integer("embed_dim")
        textWidth = try text.integer("width") ?? 512
        textHeads = try text.integer("heads") ?? 8
        let visionWidth = try vision.integer("width") ?? 768
        self.visionWidth = visionWidth
        if let sides = vision["image_size"]?.array {
            guard sides.count == 2, sides[0] == sides[1] else {
                throw Refusal("image_size is not a square")
            }
            resolution = sides[0].integer
        } else {
            resolution = try vision.integer("image_size")
        }
        let headWidth = try vision.integer("head_width") ?? 64
        guard headWidth > 0, visionWidth > 0, visionWidth < 1 << 20 else {
            throw Refusal(
                """
                expected an image tower of width 1 to \((1 << 20) - 1) and a positive head_width, \
                found the width \(visionWidth) and the head_width \(headWidth)
                """)
        }
        // A ResNet's heads are those of its attention pool, which is 32 times as wide.
        let isResNet = vision["layers"]?.array != nil
        visionHeads = (isResNet ? 32 * visionWidth : visionWidth) / headWidth

        guard let preprocessing else { return }
        try readNormalization(mean: preprocessing["mean"], deviation: preprocessing["std"])
        interpolation = try choice(preprocessing["interpolation"], "interpolation")
        resizeMode = try choice(preprocessing["resize_mode"], "resize_mode")
    }

    private mutating func readEpsilon(_ value: JSONValue?) throws(Refusal) {
        guard let value, value != .null else { return }
        let epsilon = value.number ?? 0
        guard epsilon > 0, epsilon < 1 else {
            throw Refusal("layer_norm_eps is not between 0 and 1: \(epsilon)")
        }
        layerNormEpsilon = Float(epsilon)
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

    private func refuseUnknown(in object: JSONValue, allowed: Set<String>) throws(Refusal) {
        for (key, value) in object.members ?? []
        where !allowed.contains(key) && value != .null && value != .bool(false) {
            throw Refusal("unsupported: the key \(key), which may change the model")
        }
    }

    private mutating func readHuggingFace(_ json: JSONValue) throws(Refusal) {
        guard json["model_type"]?.string ?? "clip" == "clip" else {
            throw Refusal(
                "expected the model_type clip, found \(json["model_type"]?.string ?? "none")")
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
        case let other: throw Refusal("unsupported hidden_act: \(other ?? "none")")
        }
        try readEpsilon(same("layer_norm_eps", .number(1e-5)))
        visionHeads = try vision?.integer("num_attention_heads") ?? 12
        textHeads = try text?.integer("num_attention_heads") ?? 8
        visionWidth = try vision?.integer("hidden_size") ?? 768
        textWidth = try text?.integer("hidden_size") ?? 512
        resolution = try vision?.integer("image_size") ?? 224
        embeddingDimension = try json.integer("projection_dim") ?? 512
    }

    /// Throws an error if a size in the file differs from that of the weights.
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
                        it does not match the weights: its \(name) is \(stated), that of the \
                        weights is \(found)
                        """)
            }
        }
    }
}

/// The error of a configuration that is malformed or unsupported.
private struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension JSONValue {
    /// Returns a member that is a whole number, such as 4 or 4.0; nil if it is missing or null.
    fileprivate func integer(_ key: String) throws(Refusal) -> Int? {
        guard let value = self[key], value != .null else { return nil }
        guard let number = value.integer ?? value.number.flatMap({ Int(exactly: $0) }) else {
            throw Refusal("\(key) is not a whole number")
        }
        return number
    }

    /// Returns a member that is true or false; nil if it is missing or null.
    fileprivate func bool(_ key: String) throws(Refusal) -> Bool? {
        guard let value = self[key], value != .null else { return nil }
        guard case .bool(let bool) = value else { throw Refusal("\(key) is not true or false") }
        return bool
    }
}
