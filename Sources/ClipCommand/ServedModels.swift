import CLIP
import CLIPHub
import CLIPSearch
import CLIPServer
import Files

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The models of `clip serve`: their names, and the loading of each.
struct ServedModels: Sendable {
    /// The names and paths that `--model` or `CLIP_MODEL` gives, or the default model; empty if
    /// only the demonstration model is available.
    let named: [String]
    /// The names and paths in the records of the served indexes.
    private let recorded: [String: Recorded]
    private let options: ModelOptions
    private let threads: Int?

    private struct Recorded {
        let record: ModelRecord
        let folder: FilePath
    }

    /// Chooses the models and checks that they are installed, or may be downloaded.
    ///
    /// - Throws: `HubError` or `Failure` if a model is not found.
    init(_ given: ServeModelOptions, indexes: [FolderIndex]) throws {
        options = try given.options()
        threads = try given.threading.wanted()
        _ = try EngineOptions.inEnvironment()
        var recorded: [String: Recorded] = [:]
        for index in indexes where recorded[index.modelName] == nil {
            recorded[index.modelName] = Recorded(record: index.model, folder: index.folder)
        }
        self.recorded = recorded
        guard given.model.isEmpty else {
            named = given.model.map(Self.installedName)
            for name in named { try Self.checkExists(name, mayFetch: given.fetch) }
            return
        }
        let choice = try options.choice()
        named = choice.origin == .demonstration ? [] : [choice.name]
        try choice.explaining {
            for name in named { try Self.checkExists(name, mayFetch: given.fetch) }
        }
    }

    /// Returns the name of the registry for the spelling of another program, such as immich's
    /// `ViT-B-32__openai`; any other name or path unchanged.
    private static func installedName(_ name: String) -> String {
        guard name != BundledModel.name, !FileManager.default.fileExists(atPath: name),
            HubModel.named(name) == nil
        else { return name }
        return Server.registryName(ofModel: name) ?? name
    }

    /// Opens each named model, so that one that cannot be loaded is reported at the start.
    ///
    /// Weights are only mapped, which takes milliseconds. Models that requests download are left
    /// out.
    func check(mayFetch: Bool) throws {
        for name in named {
            do {
                _ = try load(name, mayFetch: false)
            } catch HubError.notInstalled where mayFetch {
                continue
            }
        }
    }

    private static func checkExists(_ name: String, mayFetch: Bool) throws {
        guard name != BundledModel.name else { return }
        if FileManager.default.fileExists(atPath: name) {
            if let kind = ForeignFile.kind(of: name) {
                throw Failure("unsupported weights: \(name) is \(kind)")
            }
            return
        }
        guard try ModelHub().find(name) == nil, !mayFetch else { return }
        throw HubError.notInstalled(name: name, bytes: HubModel.named(name)?.byteCount)
    }

    /// Loads a model.
    ///
    /// A name is opened as a path only if the command line, the environment or the record of a
    /// served index gives it.
    ///
    /// - Throws: `HubError` if the name is unknown or not installed, and `mayFetch` is false;
    ///   `CLIPError` if the model cannot be loaded; `Failure`.
    func load(_ name: String, mayFetch: Bool) throws -> CLIPModel {
        do {
            return try loaded(name, mayFetch: mayFetch)
        } catch let error as HubError {
            throw error
        } catch {
            throw Failure(Hints.line(error))
        }
    }

    private func loaded(_ name: String, mayFetch: Bool) throws -> CLIPModel {
        var quiet = try CommonOptions.parse([])
        quiet.quiet = true
        if !named.contains(name), let found = recorded[name] {
            return try options.load(found.record, of: .index(of: found.folder), quiet).model
        }
        let isPath = named.contains(name) && FileManager.default.fileExists(atPath: name)
        let model: CLIPModel
        if isPath || name == BundledModel.name {
            model = try ModelOptions.open(
                name, activation: options.activation, quiet, threads: threads, mayFetch: false)
        } else {
            model = try installed(name, mayFetch: mayFetch, quiet)
                .load(activation: options.activation, threads: threads)
        }
        return try options.applied(to: model, quiet)
    }

    private func installed(
        _ name: String, mayFetch: Bool, _ quiet: CommonOptions
    ) throws -> ModelHub.InstalledModel {
        let hub = ModelHub()
        if let found = try hub.find(name) { return found }
        let size = HubModel.named(name)?.byteCount
        guard mayFetch else { throw HubError.notInstalled(name: name, bytes: size) }
        guard !hub.isOffline else { throw HubError.offline(name: name) }
        note("clip: serve: downloading the weights of \(name)")
        return try Pull.fetch(name, quiet)
    }

    /// The names of the installed models: those of `clip models`, and installed repositories that
    /// it does not list.
    static var installed: [String] {
        let hub = ModelHub()
        let known = HubModel.all
        let names = known.filter { (try? hub.find($0.name)) != nil }
            .map { $0.official?.name ?? $0.name }
        let listed = Set(known.flatMap { [$0.repository, $0.transformersRepository ?? ""] })
        return names + hub.installedRepositories.filter { !listed.contains($0) }
    }
}
