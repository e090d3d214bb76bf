public import CLIP

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif
internal import Tensors

/// Which models there are, where they lie, and how to get them: the library's only networking.
///
///     let hub = CLIPHub()
///     let model = try hub.fetch("ViT-B/32") { print($0.received); return true }.load()
///
/// A name is OpenAI's (`ViT-B/32`), open_clip's (`ViT-B-32:laion2b_s34b_b79k`) or a repository of the
/// hub (`openai/clip-vit-base-patch32`, also written `hf-hub:openai/clip-vit-base-patch32`). Files lie where Hugging Face's own libraries keep them, so that
/// what those have fetched is found, and the other way round.
public struct CLIPHub: Sendable {
    private let cache: HubCache
    private var server: HubServer
    private let officialEndpoint: WebAddress?
    /// Whether nothing may be fetched: `HF_HUB_OFFLINE`.
    public let isOffline: Bool
    /// How patient it is.
    var policy: TransferPolicy {
        get { server.policy }
        set { server.policy = newValue }
    }

    /// Weights on this machine.
    public struct InstalledModel: Sendable, Equatable {
        /// The name that was asked for.
        public let name: String
        /// A file of weights, or a folder with one and its configuration.
        public let path: String
        /// The registry's entry, if the name is one of its.
        let known: String?

        /// Makes the model. What the registry says of the weights goes before what lies beside them.
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
    ///   `HF_HUB_OFFLINE`, `HF_HUB_DOWNLOAD_TIMEOUT`, `CLIP_HOME` and `CLIP_OPENAI_ENDPOINT` matter; the
    ///   process's if nil.
    public init(environment: [String: String]? = nil) {
        let environment = environment ?? ProcessInfo.processInfo.environment
        func value(_ name: String) -> String? {
            environment[name].flatMap { $0.isEmpty ? nil : $0 }
        }
        cache = HubCache(environment: environment)
        server = HubServer(
            endpoint: value("HF_ENDPOINT") ?? "https://huggingface.co",
            token: value("HF_TOKEN") ?? value("HUGGING_FACE_HUB_TOKEN"))
        officialEndpoint = WebAddress(
            value("CLIP_OPENAI_ENDPOINT") ?? "https://openaipublic.azureedge.net/clip/models")
        isOffline = ["1", "on", "yes", "true"].contains(value("HF_HUB_OFFLINE")?.lowercased())
        if let seconds = value("HF_HUB_DOWNLOAD_TIMEOUT").flatMap({ Int($0) }), seconds > 0 {
            policy.stall = seconds
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

    /// - Throws: `HubError.unknownModel` if a name is not `owner/name` of the hub, or is more likely a
    ///   mistyped name of a model or a file that is missing.
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
    private static let openCLIPNames = [
        "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
    ]

    /// The files that repositories have, the likeliest first.
    private static let kinds: [(weights: String, beside: [String])] = [
        ("open_clip_model.safetensors", ["open_clip_config.json"]),
        ("model.safetensors", ["config.json", "preprocessor_config.json"]),
        ("model.safetensors.index.json", ["config.json", "preprocessor_config.json"]),
        ("open_clip_pytorch_model.bin", ["open_clip_config.json"]),
        ("pytorch_model.bin", ["config.json", "preprocessor_config.json"]),
        ("pytorch_model.bin.index.json", ["config.json", "preprocessor_config.json"]),
    ]

    // MARK: fetching

    /// Fetches weights, unless they are here already, and returns where they are.
    ///
    /// Several processes may fetch the same at once: one does, the others wait for it. It stops at the
    /// next opportunity when its task is cancelled or `progress` returns false; a later call goes on there.
    ///
    /// - Parameters:
    ///   - name: as above.
    ///   - official: OpenAI's own `.pt` file rather than the hub's safetensors.
    ///   - progress: called for every piece that comes, and while none does; false stops it.
    /// - Throws: `HubError`; the file under its final name is whole and right, or absent.
    public func fetch(
        _ name: String, official: Bool = false,
        progress: (DownloadProgress) -> Bool = { _ in true }
    ) throws(HubError) -> InstalledModel {
        if let found = try find(name), !official, isSound(found) { return found }
        guard !isOffline else { throw .offline(name: name) }
        return try withoutActuallyEscaping(progress) { progress throws(HubError) in
            var isStopped = false
            let transfer = Transfer(
                isCancelled: { isStopped || Task.isCancelled },
                report: { if !progress($0) { isStopped = true } })
            guard let model = HubModel.named(name) else {
                return try fetch(repository: Self.repository(name), transfer)
            }
            if official {
                guard let file = model.official else {
                    throw .unknownModel(
                        name: "\(name) at OpenAI's", similar: OfficialModel.allCases.map(\.rawValue)
                    )
                }
                let path = try fetch(file, transfer)
                return InstalledModel(name: name, path: path, known: model.name)
            }
            let file = try server.describe(
                anyOf: Self.openCLIPNames, of: model.repository, isCancelled: transfer.isCancelled)
            let path = try fetch(file, of: model.repository, transfer).snapshot
            return InstalledModel(name: name, path: path, known: model.name)
        }
    }

    private struct Transfer {
        let isCancelled: () -> Bool
        let report: (DownloadProgress) -> Void
    }

    /// Whether what was found is whole: OpenAI's own package leaves files that broke off under their name.
    private func isSound(_ found: InstalledModel) -> Bool {
        guard let file = found.known.flatMap(HubModel.named)?.official,
            found.path == "\(cache.official)/\(file.file)"
        else { return true }
        return (try? MappedFile(path: found.path).sha256()) == file.sha256
    }

    /// OpenAI's own file, into OpenAI's own folder.
    private func fetch(
        _ file: HubModel.OfficialFile, _ transfer: Transfer
    ) throws(HubError) -> String {
        guard let base = officialEndpoint,
            let address = WebAddress("\(base.url)/\(file.sha256)/\(file.file)")
        else { throw .badRedirect(url: "CLIP_OPENAI_ENDPOINT", reason: "it is no address") }
        try makeFolder(cache.official)
        let path = "\(cache.official)/\(file.file)"
        try Download(
            name: file.file, address: address, credentials: [], destination: path,
            partial: path + ".incomplete", lock: path + ".lock", size: nil, sha256: file.sha256,
            policy: server.policy, isCancelled: transfer.isCancelled, report: transfer.report
        ).run()
        return path
    }

    /// What a repository has, with its configuration, into one snapshot.
    private func fetch(
        repository: String, _ transfer: Transfer
    ) throws(HubError) -> InstalledModel {
        let weights = try server.describe(
            anyOf: Self.kinds.map(\.weights), of: repository, isCancelled: transfer.isCancelled)
        for name in Self.kinds.first(where: { $0.weights == weights.name })?.beside ?? [] {
            if let file = try server.describe(
                name, of: repository, isCancelled: transfer.isCancelled)
            {
                _ = try fetch(file, of: repository, transfer)
            }
        }
        let isIndex = weights.name.hasSuffix(".index.json")
        let place = try fetch(weights, of: repository, isLinked: !isIndex, transfer)
        if isIndex {
            for name in try shards(of: place.blob) {
                let shard = try server.describe(
                    anyOf: [name], of: repository, isCancelled: transfer.isCancelled)
                _ = try fetch(shard, of: repository, transfer)
            }
            // Last: what has an index is complete.
            try cache.link(weights, of: repository, as: place.snapshot)
        }
        return InstalledModel(
            name: repository, path: String(folder(of: place.snapshot).dropLast()),
            known: HubModel.inRepository(repository)?.name)
    }

    private func shards(of index: String) throws(HubError) -> [String] {
        do {
            let json = try JSONValue(parsing: readFile(path: index, limit: 1 << 26))
            let names = Set((json["weight_map"]?.members ?? []).compactMap(\.value.string))
            return names.filter { !$0.contains("/") && !$0.hasPrefix(".") }.sorted()
        } catch {
            throw .unreachable(url: index, reason: "it is no index of weights")
        }
    }

    /// A file of a repository, into the snapshot of its commit.
    private func fetch(
        _ file: RemoteFile, of repository: String, isLinked: Bool = true, _ transfer: Transfer
    ) throws(HubError) -> (blob: String, snapshot: String) {
        let place = try cache.place(for: file, of: repository)
        try Download(
            name: file.name, address: file.address, credentials: server.credentials,
            destination: place.blob, partial: place.blob + ".incomplete", lock: place.lock,
            size: file.size, sha256: file.sha256, policy: server.policy,
            isCancelled: transfer.isCancelled, report: transfer.report
        ).run { () throws(HubError) in
            if isLinked { try cache.link(file, of: repository, as: place.snapshot) }
        }
        return (place.blob, place.snapshot)
    }
}
