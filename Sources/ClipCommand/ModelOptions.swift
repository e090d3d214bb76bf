import ArgumentParser
import CLIP
import CLIPHub

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The number of threads.
struct ThreadOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Use N threads. (default: CLIP_THREADS, else all cores)", valueName: "n"))
    var threads: Int?

    func validate() throws {
        if let threads, threads < 1 {
            throw ValidationError("--threads must be at least 1, not \(threads).")
        }
    }

    /// The number asked for; nil if neither the option nor CLIP_THREADS says.
    func wanted() throws -> Int? {
        guard threads == nil, let text = Environment["CLIP_THREADS"] else { return threads }
        guard let number = Int(text), number > 0 else {
            throw Failure("CLIP_THREADS must be a number of threads, not \"\(text)\"", status: 2)
        }
        return number
    }
}

/// The model, and how it runs.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.customShort("m"), .long],
        help: ArgumentHelp(
            """
            A name that clip models lists (ViT-B/32, ViT-B-32:laion2b_s34b_b79k), a repository of \
            the hub (owner/name), a file of weights, a folder with one, or tiny, the small model \
            that is built in. (default: CLIP_MODEL, else what clip pull --default set, else \
            ViT-B/32 if it is installed, else tiny)
            """, valueName: "name|path"), completion: .model)
    var model: String?

    @Option(help: "The activation, quickgelu or gelu, if no file beside the weights says it.")
    var activation: Activation?

    @Option(
        help: "The arithmetic: fp32, or faster and less exact, bf16 or int8. (default: fp32)")
    var precision: Precision?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Run a ViT at another resolution, in pixels; its positional embeddings are \
            interpolated. (default: the model's own)
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

    /// The model, and what named it.
    func choice() throws -> ModelChoice {
        if let model { return ModelChoice(name: model, origin: .option) }
        if let name = Environment["CLIP_MODEL"] {
            return ModelChoice(name: name, origin: .environment)
        }
        return try DefaultModel.choose()
    }

    /// The name under which outputs speak of the model.
    func name() throws -> String { try choice().name }

    /// The model, with texts and images treated as the options say.
    func load(
        _ texts: TextOptions, _ images: ImageOptions, _ common: CommonOptions,
        for use: ModelUse = .answer
    ) throws -> CLIPModel {
        try load(common, for: use).following(
            tokenizer: texts.tokenizer.rules, preprocessing: images.preprocess)
    }

    /// The model.
    ///
    /// - Throws: `Failure` with status 2 if the result is kept and only the demonstration model is there.
    func load(_ common: CommonOptions, for use: ModelUse = .answer) throws -> CLIPModel {
        let threads = try threading.wanted()
        let choice = try choice()
        if choice.origin == .demonstration {
            if case .record(let what) = use { throw DefaultModel.refusal(toKeep: what) }
            if !common.quiet { note(DefaultModel.demonstrationNote) }
        }
        var model = try choice.explaining {
            try Self.open(choice.name, activation: activation, common, threads: threads)
        }
        if let resolution { model = try model.at(resolution: resolution) }
        let precision = precision ?? .fp32
        model = try model.at(precision: precision.isSupported ? precision : .fp32)
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

    /// The preprocessing of the chosen model, in which the activation has no part.
    func preprocessor(_ common: CommonOptions) throws -> ImagePreprocessor {
        let choice = try choice()
        let model = try choice.explaining {
            try Self.inspect(choice.name, activation: activation, common).model
        }
        return try resolution.map { try model.at(resolution: $0) }?.preprocessor
            ?? model.preprocessor
    }

    /// Loads a model for inspection only, so that its activation may be unknown.
    static func inspect(
        _ name: String, activation: Activation?, _ common: CommonOptions
    ) throws -> (model: CLIPModel, isActivationKnown: Bool) {
        do {
            return (try open(name, activation: activation, common, mayFetch: false), true)
        } catch CLIPError.unknownActivation {
            return (try open(name, activation: .gelu, common, mayFetch: false), false)
        }
    }

    /// Whether the user names a model, by option or environment.
    var isGiven: Bool { model != nil || Environment["CLIP_MODEL"] != nil }

    /// The smallest address space, in bytes, in which every command can run its smallest model.
    private static let leastAddressSpace = 150_000_000

    /// Refuses a process that has too few addresses for a model: memory that is missing later ends
    /// it.
    private static func checkAddressSpace() throws {
        guard let limit = limitOfAddressSpace(), limit < leastAddressSpace else { return }
        throw Failure(
            """
            a model needs \(leastAddressSpace / 1_000_000) MB of address space, and the limit is \
            \(limit / 1_000_000) MB: raise it (ulimit -v)
            """)
    }

    /// Loads a model by path or name.
    ///
    /// - Parameter mayFetch: fetches missing weights if standard error is a terminal, where somebody
    ///   sees it.
    static func open(
        _ name: String, activation: Activation?, _ common: CommonOptions, threads: Int? = nil,
        mayFetch: Bool = true
    ) throws -> CLIPModel {
        try checkAddressSpace()
        guard name != BundledModel.name else {
            return try BundledModel.load(activation: activation, threads: threads)
        }
        if FileManager.default.fileExists(atPath: name) {
            if let kind = ForeignFile.kind(of: name) {
                throw Failure("\(name) is not a file of weights: it is \(kind)")
            }
            return try CLIPModel(path: name, activation: activation, threads: threads)
        }
        return try installed(name, common, mayFetch: mayFetch)
            .load(activation: activation, threads: threads)
    }

    /// The installed weights of a name, fetched first if need be.
    private static func installed(
        _ name: String, _ common: CommonOptions, mayFetch: Bool
    ) throws -> ModelHub.InstalledModel {
        let hub = ModelHub()
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
