public import CLIP
internal import Files

/// Finds installed model weights, and downloads others.
///
/// No other part of the library uses the network.
///
/// ```swift
/// let hub = ModelHub()
/// let installed = try await hub.fetch("ViT-B/32")
/// let model = try installed.load()
/// ```
///
/// A model is given by one of these names:
/// - OpenAI's, `ViT-B/32`;
/// - open_clip's, `ViT-B-32:laion2b_s34b_b79k`;
/// - a repository of the hub, `openai/clip-vit-base-patch32` or
///   `hf-hub:openai/clip-vit-base-patch32`.
///
/// The cache is shared with Hugging Face's own libraries: files that one library downloaded are
/// found by the others.
///
/// Any number of tasks may use one hub at once.
public struct ModelHub: Sendable {
    let cache: HubCache
    private(set) var server: HubServer
    /// The URL of OpenAI's files; nil if `CLIP_OPENAI_ENDPOINT` is not an http or https URL.
    let officialEndpoint: WebAddress?
    /// True if the environment variable `HF_HUB_OFFLINE` forbids downloads.
    public let isOffline: Bool
    /// The timeouts and size limits of transfers.
    var policy: TransferPolicy {
        get { server.policy }
        set { server.policy = newValue }
    }

    /// Weights that are on this machine.
    ///
    /// ```swift
    /// if let installed = try ModelHub().find("ViT-B/32") {
    ///     let model = try installed.load()
    ///     print(installed.path, model.configuration.resolution)
    /// }
    /// ```
    public struct InstalledModel: Sendable, Hashable, Codable {
        /// The requested name, possibly without its prefix `hf-hub:`.
        public let name: String
        /// The path of a file of weights, or of a folder with weights and their configuration.
        public let path: String
        /// The name of the model in the registry; nil if the registry does not have it.
        let known: String?
        /// The fetched files for which the server stated no checksum, so that only their size was
        /// verified.
        public internal(set) var filesWithoutChecksum: [String] = []
        /// The folder of compact forms of tokenizers.
        fileprivate var tokenizerCache: String?

        /// Loads the model.
        ///
        /// For a model of the registry, the registry's configuration takes precedence over
        /// configuration files beside the weights.
        ///
        /// - Parameters:
        ///   - activation: The activation of the MLPs, if neither the files nor the registry state
        ///     it. It is an error if they state another one.
        ///   - threads: The number of threads that a call may use; all cores of the process if nil.
        /// - Returns: The model, whose weights are read when they are first used.
        /// - Throws: `CLIPError` if a file is missing, corrupt or unsupported.
        public func load(
            activation: Activation? = nil, threads: Int? = nil
        ) throws(CLIPError) -> CLIPModel {
            let model: CLIPModel
            if let known = known.flatMap(HubModel.named) {
                model = try CLIPModel(
                    path: path, configuration: known.configuration,
                    name: "the registry's entry \(known.name)", activation: activation,
                    threads: threads)
            } else {
                model = try CLIPModel(path: path, activation: activation, threads: threads)
            }
            return tokenizerCache.map { model.caching(tokenizersIn: $0) } ?? model
        }
    }

    /// Creates a hub that is configured by the given environment variables, or by those of the
    /// process if `environment` is nil.
    ///
    /// These variables have the same meaning as in Hugging Face's libraries:
    /// - `HF_ENDPOINT`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT` (in seconds);
    /// - `HF_HUB_CACHE`, `HF_HOME` and `XDG_CACHE_HOME` for the cache;
    /// - `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_FILE` and `SSL_CERT_DIR`, of which the
    ///   first that is set names the certificates to trust.
    ///
    /// `CLIP_HOME` is the folder of OpenAI's files, and of the files that only this library uses.
    /// `CLIP_OPENAI_ENDPOINT` is the URL from which OpenAI's files are downloaded.
    public init(environment: [String: String]? = nil) {
        let environment = environment ?? environmentVariables()
        func value(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        cache = HubCache(environment: environment)
        server = HubServer(
            endpoint: value("HF_ENDPOINT") ?? "https://huggingface.co",
            token: value("HF_TOKEN") ?? value("HUGGING_FACE_HUB_TOKEN"),
            certificates: Certificates(environment: environment))
        officialEndpoint = WebAddress(
            value("CLIP_OPENAI_ENDPOINT") ?? "https://openaipublic.azureedge.net/clip/models")
        isOffline = ["1", "on", "yes", "true"].contains(value("HF_HUB_OFFLINE")?.lowercased())
        if let seconds = value("HF_HUB_DOWNLOAD_TIMEOUT").flatMap({ Int($0) }), seconds > 0 {
            policy.stall = min(seconds, 86_400)
        }
    }

    /// The folder of OpenAI's files, and of the files that only this library uses: `CLIP_HOME`, or
    /// `.cache/clip` in the home folder.
    public var home: String { cache.official }

    /// The folder in which compact forms of large vocabularies are kept, so that the next start is
    /// fast: `tokenizers` in `home`.
    ///
    /// Models of the hub use it; pass it to `CLIPModel.caching(tokenizersIn:)` for others.
    public var tokenizerCache: String { home + "/tokenizers" }

    /// Makes the description of weights that use the hub's cache of tokenizers.
    func installed(name: String, path: String, known: String?) -> InstalledModel {
        var model = InstalledModel(name: name, path: path, known: known)
        model.tokenizerCache = tokenizerCache
        return model
    }

    // MARK: Finding

    /// Returns the installed weights of a model; nil if they are not on this machine.
    ///
    /// Nothing is downloaded or verified. The name may be any that `fetch` accepts; other names
    /// throw `HubError.unknownModel`.
    public func find(_ name: String) throws(HubError) -> InstalledModel? {
        if let model = HubModel.named(name) {
            let path =
                cache.file(of: .model(model.repository), among: Self.openCLIPNames)
                ?? model.transformersRepository.flatMap {
                    cache.file(of: .model($0), among: Self.transformersNames)
                } ?? model.official.flatMap(cache.official)
            return path.map { installed(name: name, path: $0, known: model.name) }
        }
        let repository = Self.repository(name)
        try Self.checkRepository(repository)
        let weights = cache.file(of: .model(repository), among: Self.kinds.map(\.weights))
        return weights.map { path in
            installed(
                name: name, path: String(folder(of: path).dropLast()),
                known: HubModel.configured(inRepository: repository)?.name)
        }
    }

    /// The repositories of the hub whose weights are on this machine, as `owner/name`.
    public var installedRepositories: [String] {
        cache.repositories.filter {
            cache.file(of: .model($0), among: Self.kinds.map(\.weights)) != nil
        }
    }

    /// Removes open_clip's prefix `hf-hub:` from the name of a repository.
    static func repository(_ name: String) -> String {
        let prefix = "hf-hub:"
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// Throws `HubError.unknownModel` if a name is not a valid `owner/name`, or if it is more
    /// likely a misspelt model or a missing file.
    private static func checkRepository(_ name: String) throws(HubError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isLikeOpenAI =
            parts[0].lowercased().hasPrefix("vit") && parts.last?.first?.isNumber == true
        let isFile = [".pt", ".pth", ".bin", ".safetensors", ".json"].contains {
            name.hasSuffix($0)
        }
        guard HubRepository.isName(name), !isFile, !isLikeOpenAI else {
            throw .unknownModel(name: name, similar: HubModel.similar(to: name))
        }
    }

    /// The names of weight files in open_clip's repositories, in order of preference.
    static let openCLIPNames = [
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
    ]

    /// The names of weight files in repositories of transformers, in order of preference.
    static let transformersNames = ["model.safetensors", "pytorch_model.bin"]

    /// The names of weight files and of the configuration beside them, in order of preference.
    static let kinds: [(weights: String, beside: [String])] = [
        ("open_clip_model.safetensors", ["open_clip_config.json"]),
        ("model.safetensors", ["config.json", "preprocessor_config.json"]),
        ("model.safetensors.index.json", ["config.json", "preprocessor_config.json"]),
        ("open_clip_pytorch_model.bin", ["open_clip_config.json"]),
        ("pytorch_model.bin", ["config.json", "preprocessor_config.json"]),
        ("pytorch_model.bin.index.json", ["config.json", "preprocessor_config.json"]),
    ]
}
