internal import Files
public import CLIP

/// Which models there are, where they lie, and how to get them: the library's only networking.
///
///     let hub = CLIPHub()
///     let model = try hub.fetch("ViT-B/32") { print($0.received); return true }.load()
///
/// A name is OpenAI's (`ViT-B/32`), open_clip's (`ViT-B-32:laion2b_s34b_b79k`) or a repository of
/// the hub (`openai/clip-vit-base-patch32`, also written `hf-hub:openai/clip-vit-base-patch32`).
/// Files lie where Hugging Face's own libraries keep them, so that what those have fetched is
/// found, and the other way round.
///
/// Any number of tasks may use one hub at once.
public struct CLIPHub: Sendable {
    let cache: HubCache
    private(set) var server: HubServer
    let officialEndpoint: WebAddress?
    /// Whether nothing may be fetched: `HF_HUB_OFFLINE`.
    public let isOffline: Bool
    /// The timeouts and size limits of transfers.
    var policy: TransferPolicy {
        get { server.policy }
        set { server.policy = newValue }
    }

    /// Weights on this machine.
    public struct InstalledModel: Sendable, Hashable, Codable {
        /// The name that was asked for.
        public let name: String
        /// A file of weights, or a folder with one and its configuration.
        public let path: String
        /// The registry's entry, if the name is one of its.
        let known: String?
        /// The files that this call fetched, or found, of which the server gave no checksum: their
        /// size alone has been checked.
        public internal(set) var filesWithoutChecksum: [String] = []

        /// Makes the model. The registry's configuration takes precedence over files beside the
        /// weights.
        ///
        /// - Parameters:
        ///   - activation: of the MLPs; another than is known is refused.
        ///   - threads: how many a call may use; all cores of the process if nil.
        /// - Throws: `CLIPError` for whatever is wrong with the files.
        public func load(
            activation: Activation? = nil, threads: Int? = nil
        ) throws(CLIPError) -> CLIPModel {
            guard let known = known.flatMap(HubModel.named) else {
                return try CLIPModel(path: path, activation: activation, threads: threads)
            }
            return try CLIPModel(
                path: path, configuration: known.configuration,
                name: "the registry's entry \(known.name)", activation: activation,
                threads: threads)
        }
    }

    /// - Parameter environment: of which `HF_ENDPOINT`, `HF_TOKEN`, `HF_HOME`, `HF_HUB_CACHE`,
    ///   `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`, `CLIP_HOME`, `CLIP_OPENAI_ENDPOINT` and, for
    ///   the certificates to trust, `REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE`, `SSL_CERT_FILE` and
    ///   `SSL_CERT_DIR` (the first that is set) matter; the process's if nil.
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

    /// The folder of what this project keeps: CLIP_HOME, or .cache/clip in the home folder.
    public var home: String { cache.official }

    // MARK: finding

    /// The weights of that name, if they are on this machine.
    ///
    /// - Throws: `HubError.unknownModel` if the name is none.
    public func find(_ name: String) throws(HubError) -> InstalledModel? {
        if let model = HubModel.named(name) {
            let path =
                cache.file(of: model.repository, among: Self.openCLIPNames)
                ?? model.transformersRepository.flatMap {
                    cache.file(of: $0, among: ["model.safetensors", "pytorch_model.bin"])
                } ?? model.official.flatMap(cache.official)
            return path.map { InstalledModel(name: name, path: $0, known: model.name) }
        }
        let repository = Self.repository(name)
        try Self.checkRepository(repository)
        let weights = cache.file(of: repository, among: Self.kinds.map(\.weights))
        return weights.map { path in
            InstalledModel(
                name: name, path: String(folder(of: path).dropLast()),
                known: HubModel.inRepository(repository)?.name)
        }
    }

    /// The repositories of the hub that are on this machine and hold weights: `owner/name`.
    public var installedRepositories: [String] {
        cache.repositories.filter { cache.file(of: $0, among: Self.kinds.map(\.weights)) != nil }
    }

    /// A repository's name without the prefix that open_clip writes before it.
    static func repository(_ name: String) -> String {
        let prefix = "hf-hub:"
        return name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name
    }

    /// - Throws: `HubError.unknownModel` if a name is not `owner/name` of the hub, or is more
    ///   likely a mistyped name of a model or a file that is missing.
    private static func checkRepository(_ name: String) throws(HubError) {
        let parts = name.split(separator: "/", omittingEmptySubsequences: false)
        let isLikeOpenAI =
            parts[0].lowercased().hasPrefix("vit") && parts.last?.first?.isNumber == true
        let isFile = [".pt", ".pth", ".bin", ".safetensors", ".json"].contains {
            name.hasSuffix($0)
        }
        let isRepository =
            parts.count == 2
            && parts.allSatisfy { part in
                !part.isEmpty && !part.hasPrefix(".") && part.utf8.count <= 96
                    && part.allSatisfy {
                        $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0))
                    }
            }
        guard isRepository, !isFile, !isLikeOpenAI else {
            throw .unknownModel(name: name, similar: HubModel.similar(to: name))
        }
    }

    /// The files that open_clip's repositories have, the likelier first.
    static let openCLIPNames = [
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
    ]

    /// The files that repositories have, the likeliest first.
    static let kinds: [(weights: String, beside: [String])] = [
        ("open_clip_model.safetensors", ["open_clip_config.json"]),
        ("model.safetensors", ["config.json", "preprocessor_config.json"]),
        ("model.safetensors.index.json", ["config.json", "preprocessor_config.json"]),
        ("open_clip_pytorch_model.bin", ["open_clip_config.json"]),
        ("pytorch_model.bin", ["config.json", "preprocessor_config.json"]),
        ("pytorch_model.bin.index.json", ["config.json", "preprocessor_config.json"]),
    ]
}
