import ArgumentParser
import CLIP
import CLIPHub

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// On how many cores something runs.
struct ThreadOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How many cores to use; CLIP_THREADS in the environment is the default, then all.",
            valueName: "n"))
    var threads: Int?

    func validate() throws {
        if let threads, threads < 1 {
            throw ValidationError("--threads must be at least 1, not \(threads).")
        }
    }

    /// How many are asked for; nil if nobody says.
    func wanted() throws -> Int? {
        guard threads == nil, let text = Environment["CLIP_THREADS"] else { return threads }
        guard let number = Int(text), number > 0 else {
            throw Failure("CLIP_THREADS must be a number of threads, not \"\(text)\"", status: 2)
        }
        return number
    }
}

/// Which model runs, and how.
struct ModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            A file of weights, a folder with one, a name that clip models lists (ViT-B/32, \
            ViT-B-32:laion2b_s34b_b79k), a repository of the hub (owner/name), or tiny, the small \
            model that is built in; the default is CLIP_MODEL in the environment.
            """, valueName: "name|path"), completion: .model)
    var model: String?

    @Option(help: "quickgelu or gelu, where nothing beside the weights says which.")
    var activation: Activation?

    @Option(
        help: "The arithmetic: fp32, or faster and less exact, bf16 or int8. (default: fp32)")
    var precision: Precision?

    @Option(
        help: ArgumentHelp(
            """
            The side of pictures in pixels, where it is not to be the model's own: a ViT's positional \
            embeddings are interpolated.
            """, valueName: "r"))
    var resolution: Int?

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var engineOptions: EngineOptions

    func validate() throws {
        try engineOptions.check(precision ?? .fp32)
        if let model, let activation, activation != .quickGELU,
            OfficialModel(rawValue: model) != nil
        {
            throw ValidationError(
                "\(model) was trained with quickgelu, not \(activation.rawValue).")
        }
        if let resolution, !(1...8192).contains(resolution) {
            throw ValidationError("--resolution must be 1 to 8192, not \(resolution).")
        }
    }

    /// The name under which outputs speak of the model.
    func name() throws -> String {
        guard let name = model ?? Environment["CLIP_MODEL"] else {
            throw Failure(
                """
                no model: give --model a file of weights, a folder with one, a name that clip models \
                lists, or tiny, the small one that is built in; or set CLIP_MODEL
                """, status: 2)
        }
        return name
    }

    /// The model, with texts and pictures treated as is asked for.
    func load(
        _ texts: TextOptions, _ pictures: PictureOptions, _ common: CommonOptions
    ) throws -> CLIPModel {
        try load(common).following(
            tokenizer: texts.tokenizer.rules, preprocessing: pictures.preprocess)
    }

    func load(_ common: CommonOptions) throws -> CLIPModel {
        let threads = try threading.wanted()
        var model = try Self.open(name(), activation: activation, common, threads: threads)
        if let resolution { model = try model.at(resolution: resolution) }
        let precision = precision ?? .fp32
        model = model.at(precision: precision)
        model = try engineOptions.applied(to: model, common)
        if model.precision != precision && !common.quiet {
            note(
                """
                clip: this CPU has no instructions for \(precision.rawValue), so it is \
                \(model.precision.rawValue)
                """)
        }
        if case .name(let official) = model.weights.activationSource, !common.quiet {
            note(
                "clip: activation \(model.configuration.activation.rawValue), since the file is named "
                    + "as OpenAI's \(official.rawValue)")
        }
        return model
    }

    /// The preprocessing of the model that is given, in which the activation has no part.
    func preprocessor(_ common: CommonOptions) throws -> ImagePreprocessor {
        let model = try Self.inspect(name(), activation: activation, common).model
        return try resolution.map { try model.at(resolution: $0) }?.preprocessor
            ?? model.preprocessor
    }

    /// Loads a model to be looked at, not used: it need not be known which activation it has.
    static func inspect(
        _ name: String, activation: Activation?, _ common: CommonOptions
    ) throws -> (model: CLIPModel, isActivationKnown: Bool) {
        do {
            return (try open(name, activation: activation, common, mayFetch: false), true)
        } catch CLIPError.unknownActivation {
            return (try open(name, activation: .gelu, common, mayFetch: false), false)
        }
    }

    /// Whether a model is given at all.
    var isGiven: Bool { model != nil || Environment["CLIP_MODEL"] != nil }

    /// Loads a model by path or name.
    ///
    /// - Parameter mayFetch: whether weights that are not here are fetched: at a terminal, where
    ///   somebody sees it.
    static func open(
        _ name: String, activation: Activation?, _ common: CommonOptions, threads: Int? = nil,
        mayFetch: Bool = true
    ) throws -> CLIPModel {
        guard name != BundledModel.name else {
            return try BundledModel.load(activation: activation, threads: threads)
        }
        if FileManager.default.fileExists(atPath: name) {
            return try CLIPModel(path: name, activation: activation, threads: threads)
        }
        return try installed(name, common, mayFetch: mayFetch)
            .load(activation: activation, threads: threads)
    }

    /// The weights of a name, fetched if need be.
    private static func installed(
        _ name: String, _ common: CommonOptions, mayFetch: Bool
    ) throws -> CLIPHub.InstalledModel {
        let hub = CLIPHub()
        if let found = try hub.find(name) { return found }
        let size = HubModel.named(name)?.byteCount
        guard !hub.isOffline else { throw HubError.offline(name: name) }
        guard mayFetch, errorsAreTerminal else {
            throw HubError.notInstalled(name: name, bytes: size)
        }
        let words = size.map { ", about \(fixed(Double($0) / 1e6, 0)) MB" } ?? ""
        note("clip: fetching the weights of \(name)\(words)")
        return try Pull.fetch(name, common)
    }
}

extension Activation: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}

/// The variables of the environment; an empty one counts as none.
enum Environment {
    static subscript(name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            return nil
        }
        return value
    }
}
