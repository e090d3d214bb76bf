internal import Files
internal import Tokenizers
internal import Tensors

/// The hyperparameters in a configuration file, most of which the shapes of the weights do not
/// show.
///
/// The file is open_clip's `open_clip_config.json` or transformers' `config.json`. If a key
/// requires unsupported arithmetic, an error names the key.
struct ConfigurationFile: Equatable {
    /// The hyperparameters of one tower that a file states.
    struct Tower: Equatable {
        var heads: Int?
        var activation: Activation?
        var layerNormEpsilon: Float?
    }

    var vision = Tower()
    var text = Tower()
    /// The number of heads of the attention that pools the patches.
    var poolHeads: Int?
    /// True if the image tower rotates queries and keys by the patch's column and row.
    var isRotary = false
    /// True if the image tower's output is the mean over the patches.
    var poolsMean = false
    /// True if each position of the text tower attends only to those up to itself.
    var isCausal: Bool?
    var textPooling: CLIPConfiguration.TextPooling?
    /// True if the text tower has no projection.
    var lacksTextProjection = false
    /// True if the text tower's projection has a bias.
    var hasTextBias = false
    /// True if logits have a bias.
    var hasLogitBias = false
    var vocabulary: CLIPConfiguration.Vocabulary?
    /// True if images keep their aspect ratio (NaFlex).
    var keepsAspectRatio = false
    /// The square root of the largest number of patches of an image that keeps its aspect ratio.
    var patchGrid: Int?
    /// True if it is transformers' configuration of SigLIP or SigLIP 2.
    var isSigLIP = false
    /// The library whose configuration it is, by which default rules are chosen; nil for none.
    var library: WeightLayout?
    /// The rules of tokenization and preprocessing; nil for those of the layout of the weights.
    var tokenizerRules: Tokenizer.Rules?
    /// The cleaning of texts by open_clip's rules; nil for that of the vocabulary.
    var tokenizerCleaning: SentencePieceTokenizer.Format.Cleaning?
    var preprocessingRules: ImagePreprocessor.Rules?
    var resolution: Int?
    var mean: [Float]?
    var standardDeviation: [Float]?
    var interpolation: ImagePreprocessor.Interpolation?
    var resizeMode: ImagePreprocessor.ResizeMode?
    /// Sizes that the shapes show as well; if they differ, the file belongs to other weights.
    var sizes: [Size: Int] = [:]
    /// The image tower that `timm_model_name` names, if it determines any hyperparameter.
    var timmTower: TimmTower?
    /// True if `timm_pool` states attention pooling, false if it states another; nil for neither.
    var poolsByAttention: Bool?

    /// The activation of the text tower's MLPs.
    var activation: Activation? { text.activation }

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
                library = .openAI
            } else if json["vision_config"] != nil && json["text_config"] != nil {
                try readHuggingFace(json)
                library = .huggingFace
                if let preprocessor = json["preprocessor_config"] {
                    try readPreprocessor(preprocessor)
                }
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
            try readPreprocessor(json)
        } catch {
            throw .malformedConfiguration(path: path, reason: error.reason)
        }
    }

    private mutating func readPreprocessor(_ json: JSONValue) throws(Refusal) {
        guard json.members != nil else { throw Refusal("expected a JSON object, found \(json)") }
        try checkProcessor(json)
        // SigLIP's images are not cropped, and NaFlex's are of no fixed size.
        let steps =
            ["do_resize", "do_rescale", "do_normalize"] + (isSigLIP ? [] : ["do_center_crop"])
        for step in steps where json[step] == .bool(false) {
            throw Refusal("unsupported: \(step) is false")
        }
        try readNormalization(mean: json["image_mean"], deviation: json["image_std"])
        switch try json.integer("resample") ?? (keepsAspectRatio ? 2 : 3) {
        case 3: interpolation = .bicubic
        case 2: interpolation = .bilinear
        case let other: throw Refusal("unsupported resample \(other): expected 2 or 3")
        }
        guard !keepsAspectRatio else {
            try readPatchLimit(json)
            return
        }
        try readSizes(json)
    }

    /// Checks that the class of an image processor is one for the model, and that it divides pixels
    /// by 255.
    ///
    /// The names end in `Fast` or `Pil` for implementations that differ in speed only.
    private func checkProcessor(_ json: JSONValue) throws(Refusal) {
        if let factor = json["rescale_factor"], factor != .null {
            guard let number = factor.number, abs(number * 255 - 1) < 1e-6 else {
                throw Refusal("unsupported rescale_factor \(factor): expected 1/255")
            }
        }
        let type = json["image_processor_type"] ?? json["feature_extractor_type"] ?? .null
        guard type != .null else { return }
        let classes =
            keepsAspectRatio
            ? ["Siglip2ImageProcessor"]
            : ["CLIPImageProcessor", "CLIPFeatureExtractor", "SiglipImageProcessor"]
        guard let name = type.string,
            classes.contains(where: { [$0, $0 + "Fast", $0 + "Pil"].contains(name) })
        else {
            throw Refusal(
                """
                unsupported image_processor_type \(type): expected \
                \(classes.joined(separator: ", ")), because images \
                \(keepsAspectRatio ? "keep their aspect ratio" : "have one size")
                """)
        }
    }

    private mutating func readPatchLimit(_ json: JSONValue) throws(Refusal) {
        guard let limit = try json.integer("max_num_patches") else { return }
        let side = Int(Double(max(0, limit)).squareRoot().rounded())
        // The memory of attention grows with the square of the number of patches.
        guard (1...64).contains(side), side * side == limit else {
            throw Refusal("unsupported max_num_patches \(limit): expected a square from 1 to 4096")
        }
        patchGrid = side
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

    /// Reads a JSON file of at most 16 MB.
    static func json(path: String) throws(CLIPError) -> JSONValue {
        try parse(read(path), path: path)
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

    mutating func readNormalization(
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
        self.mean = try three(mean, "the mean") ?? self.mean
        standardDeviation =
            try three(deviation, "the standard deviation") ?? standardDeviation
        if let zero = standardDeviation?.first(where: { !($0 > 0) }) {
            throw Refusal("a standard deviation is not positive: \(zero)")
        }
    }
}

/// The error of a configuration that is malformed or unsupported.
struct Refusal: Error {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

extension JSONValue {
    /// Returns a member that is a whole number, such as 4 or 4.0; nil if it is missing or null.
    func integer(_ key: String) throws(Refusal) -> Int? {
        guard let value = self[key], value != .null else { return nil }
        guard let number = value.integer ?? value.number.flatMap({ Int(exactly: $0) }) else {
            throw Refusal("\(key) is not a whole number")
        }
        return number
    }

    /// Returns a member that is an object.
    func object(_ key: String) throws(Refusal) -> JSONValue {
        guard let value = self[key] else { throw Refusal("the object \(key) is missing") }
        guard value.members != nil else {
            throw Refusal("expected an object \(key), found \(value)")
        }
        return value
    }

    /// Returns a member that is true or false; nil if it is missing or null.
    func bool(_ key: String) throws(Refusal) -> Bool? {
        guard let value = self[key], value != .null else { return nil }
        guard case .bool(let bool) = value else { throw Refusal("\(key) is not true or false") }
        return bool
    }
}
