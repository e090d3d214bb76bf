internal import Files
public import CLIP

/// A pretrained model of the registry: its names, architecture, licence and sources.
///
/// The activation and the normalisation are those that the model was trained with, even if
/// open_clip also lists the weights under an architecture with another activation.
///
/// ```swift
/// if let model = HubModel.named("ViT-B/32") {
///     print(model.name, model.embeddingDimension, model.resolution, model.license)
/// }
/// let accurate = HubModel.all.filter { ($0.imageNetAccuracy ?? 0) > 80 }.map(\.name)
/// ```
public struct HubModel: Sendable, Hashable {
    /// The name in open_clip, `architecture:tag`, or the repository's name if open_clip does not
    /// list the weights.
    public let name: String
    /// Other names of the same weights: OpenAI's own, and open_clip's with `-quickgelu`.
    public let aliases: [String]
    /// The repository on the hub, `owner/name`.
    public let repository: String
    /// The repository of the same weights in the format of transformers, if there is one; equal to
    /// `repository` if that has this format.
    public let transformersRepository: String?
    /// OpenAI's own file of the weights, if there is one.
    public let official: OfficialFile?
    /// The files of the tokenizer; nil if the model has CLIP's vocabulary, which is built in.
    public let tokenizer: TokenizerFiles?
    /// The number of parameters.
    public let parameterCount: Int
    /// The licence of the weights, such as `MIT` or `CC BY-NC 4.0`; text for people, not an SPDX
    /// identifier.
    public let license: String
    /// The published zero-shot top-1 accuracy on ImageNet-1k, in percent; nil if none is known.
    public let imageNetAccuracy: Double?
    /// The number of dimensions of an embedding.
    public let embeddingDimension: Int
    /// The side of the square input image, in pixels.
    ///
    /// For a model that keeps the aspect ratio of an image (SigLIP 2 NaFlex), the side of the
    /// square with the same number of patches.
    public let resolution: Int
    /// The activation of the MLPs of the text tower.
    ///
    /// The image tower's differs in some models: most of SigLIP 2 have the exact GELU there.
    public let activation: Activation

    /// A file of weights that OpenAI published; see `HubModel.official`.
    public struct OfficialFile: Sendable, Hashable, Codable {
        /// OpenAI's name of the model, such as `ViT-B/32`.
        public let name: String
        /// The file's name, such as `ViT-B-32.pt`.
        public let file: String
        /// The file's name without its extension.
        var stem: String { file.hasSuffix(".pt") ? String(file.dropLast(3)) : file }
        /// The SHA-256 in hexadecimal digits, which is also part of the URL.
        public let sha256: String
        /// The size in units of 10⁶ bytes, rounded.
        public let megabytes: Int
    }

    /// The files that contain the vocabulary of a model; see `HubModel.tokenizer`.
    ///
    /// One file is enough: the first of `names` that the repository has.
    public struct TokenizerFiles: Sendable, Hashable, Codable {
        /// The repository with the files, `owner/name`; it may be another one than that of the
        /// weights.
        public let repository: String
        /// The names of the files, in order of preference.
        public let names: [String]
    }

    /// The approximate size of the file on the hub, in bytes: four per parameter, because all files
    /// are float32.
    public var byteCount: Int { 4 * parameterCount }

    /// The contents of the model's `open_clip_config.json`, or of transformers' `config.json` with
    /// a member `preprocessor_config`.
    package let configuration: [UInt8]

    /// All models of the registry, in open_clip's order.
    public static let all: [HubModel] = Registry.models.map { entry in
        guard let model = HubModel(entry) else {
            preconditionFailure("invalid entry in the registry: \(entry)")
        }
        return model
    }

    /// Returns the model with a name or alias; nil if there is none.
    ///
    /// Case is ignored (`vit-b/32`). An architecture without a tag (`ViT-B-32`) means its weights
    /// by OpenAI or, if there are none, its only weights in the registry.
    public static func named(_ name: String) -> HubModel? {
        if let exact = all.first(where: { $0.name == name || $0.aliases.contains(name) }) {
            return exact
        }
        let wanted = name.lowercased()
        let spelled = all.first { model in
            model.name.lowercased() == wanted
                || model.aliases.contains { $0.lowercased() == wanted }
        }
        if let spelled { return spelled }
        let suffix = "-quickgelu"
        let architecture = wanted.hasSuffix(suffix) ? wanted.dropLast(suffix.count) : wanted[...]
        let models = all.filter { model in
            [model.architecture, model.official?.stem ?? ""].contains {
                $0.lowercased() == architecture
            }
        }
        return models.first { $0.official != nil } ?? (models.count == 1 ? models[0] : nil)
    }

    /// The part of the name before the colon.
    private var architecture: String { String(name.prefix { $0 != ":" }) }

    /// Returns the model whose weights a repository contains, in the format of open_clip or
    /// transformers; nil if the registry has no such model, or several.
    ///
    /// If several models share the weights and differ in the size of images, returns the one after
    /// which the repository is named.
    public static func inRepository(_ repository: String) -> HubModel? {
        let repository = ModelHub.repository(repository)
        let models = all.filter {
            $0.repository == repository || $0.transformersRepository == repository
        }
        return models.count == 1
            ? models[0] : models.first { repository.hasSuffix("/\($0.architecture)") }
    }

    /// Returns the model of a repository whose own name requests the registry's configuration; nil
    /// if the repository's configuration files apply.
    ///
    /// If a model has its own vocabulary, the same weights give other embeddings in transformers
    /// than in open_clip: texts are cleaned differently, and in the SigLIP family the activations
    /// and the interpolation of images differ too. So the name of a repository in the format of
    /// transformers requests the configuration in that repository.
    static func configured(inRepository repository: String) -> HubModel? {
        guard let model = inRepository(repository) else { return nil }
        return model.tokenizer == nil || model.repository == ModelHub.repository(repository)
            ? model : nil
    }

    /// Returns up to three names and aliases that are similar to an unknown name, the closest
    /// first.
    package static func similar(to name: String) -> [String] {
        func plain(_ text: String) -> [Character] {
            text.lowercased().filter { $0.isLetter || $0.isNumber }.map { $0 }
        }
        let wanted = plain(name)
        guard wanted.count > 2 else { return [] }
        let scored = all.flatMap { [$0.name] + $0.aliases }.compactMap {
            candidate -> (Int, String)? in
            let other = plain(candidate)
            let isPart = other.starts(with: wanted)
            let distance = editDistance(wanted, other)
            return isPart || distance <= max(min(2, wanted.count - 3), wanted.count / 4)
                ? (isPart ? 0 : distance, candidate) : nil
        }
        return scored.sorted { ($0.0, $0.1.count) < ($1.0, $1.1.count) }.prefix(3).map(\.1)
    }

    /// Returns the Levenshtein distance of two strings.
    private static func editDistance(_ a: [Character], _ b: [Character]) -> Int {
        var row = Array(0...b.count)
        for (i, x) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, y) in b.enumerated() {
                let substituted = diagonal + (x == y ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(substituted, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }
}

extension HubModel {
    private init?(_ entry: JSONValue) {
        guard let name = entry["name"]?.string, let repository = entry["repository"]?.string,
            let parameterCount = entry["parameters"]?.integer,
            let license = entry["license"]?.string, let configuration = entry["configuration"],
            let summary = Summary(configuration)
        else { return nil }
        self.name = name
        aliases = entry["aliases"]?.array?.compactMap(\.string) ?? []
        self.repository = repository
        transformersRepository = entry["transformers"]?.string
        self.parameterCount = parameterCount
        self.license = license
        imageNetAccuracy = entry["imagenet"]?.number
        embeddingDimension = summary.embeddingDimension
        resolution = summary.resolution
        activation = summary.activation
        self.configuration = Array("\(configuration)".utf8)
        if let files = entry["tokenizer"] {
            guard let repository = files["repository"]?.string,
                let names = files["files"]?.array?.compactMap(\.string), !names.isEmpty
            else { return nil }
            tokenizer = TokenizerFiles(repository: repository, names: names)
        } else {
            tokenizer = nil
        }
        guard let file = entry["official"] else {
            official = nil
            return
        }
        guard let officialName = file["name"]?.string, let path = file["file"]?.string,
            let sha256 = file["sha256"]?.string, let megabytes = file["megabytes"]?.integer
        else { return nil }
        official = OfficialFile(
            name: officialName, file: path, sha256: sha256, megabytes: megabytes)
    }
}

/// The hyperparameters of a configuration that the registry states.
private struct Summary {
    let embeddingDimension: Int
    let resolution: Int
    let activation: Activation

    /// Reads open_clip's or transformers' configuration; nil if a value is missing.
    init?(_ configuration: JSONValue) {
        if let model = configuration["model_cfg"] {
            guard let dimension = model["embed_dim"]?.integer,
                let resolution = configuration["preprocess_cfg"]?["size"]?.integer
            else { return nil }
            (embeddingDimension, self.resolution) = (dimension, resolution)
            let isTanh = model["text_cfg"]?["act_kwargs"]?["approximate"]?.string == "tanh"
            let isQuick = model["quick_gelu"] == .bool(true)
            activation = isQuick ? .quickGELU : isTanh ? .tanhGELU : .gelu
            return
        }
        let vision = configuration["vision_config"]
        guard let dimension = vision?["hidden_size"]?.integer,
            let patch = vision?["patch_size"]?.integer, let count = vision?["num_patches"]?.integer,
            let side = (1...max(1, count)).first(where: { $0 * $0 == count }),
            configuration["text_config"]?["hidden_act"]?.string == "gelu_pytorch_tanh"
        else { return nil }
        (embeddingDimension, resolution) = (dimension, side * patch)
        activation = .tanhGELU
    }
}
