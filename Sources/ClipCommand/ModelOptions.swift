import ArgumentParser
import CLIP
import CLIPHub

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The option for the number of threads.
struct ThreadOptions: ParsableArguments {
    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Compute with N threads. (default: CLIP_THREADS, else all cores)", valueName: "n"))
    var threads: Int?

    func validate() throws {
        if let threads, threads < 1 {
            throw ValidationError("--threads must be at least 1, not \(threads).")
        }
    }

    /// Returns the number of threads given; nil if neither `--threads` nor `CLIP_THREADS` is set.
    ///
    /// - Throws: `Failure` with status 2 if `CLIP_THREADS` is not a positive number.
    func wanted() throws -> Int? {
        guard threads == nil, let text = Environment["CLIP_THREADS"] else { return threads }
        guard let number = Int(text), number > 0 else {
            throw Failure("CLIP_THREADS must be a positive integer, not \"\(text)\"", status: 2)
        }
        return number
    }
}

/// Options that select the model and how it runs.
struct ModelOptions: ParsableArguments {
    @Option(
        name: [.customShort("m"), .long],
        help: ArgumentHelp(
            """
            Use this model: a name that clip models lists, a Hugging Face repository (owner/name), \
            or a file or folder of weights. (default: CLIP_MODEL, else the model set with clip \
            pull --default, else ViT-B/32 if installed, else tiny, except for clip index, probe, \
            worker and encode -o)
            """, valueName: "name|path"), completion: .model)
    var model: String?

    @Option(
        help: """
            Set the activation of weights whose configuration names none: quickgelu, gelu or \
            gelu_tanh.
            """)
    var activation: Activation?

    @Option(
        help: "Compute in fp32, or faster and less exactly in bf16 or int8. (default: fp32)")
    var precision: Precision?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Preprocess images to R x R pixels instead of the model's resolution, and interpolate \
            the positional embeddings; vision transformers only. NaFlex keeps the aspect ratio, \
            and takes as many patches as R x R pixels have.
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

    /// Returns the name of the model and where it comes from.
    ///
    /// - Throws: `Failure` if the stored default is not installed.
    func choice() throws -> ModelChoice {
        if let model { return ModelChoice(name: model, origin: .option) }
        if let name = Environment["CLIP_MODEL"] {
            return ModelChoice(name: name, origin: .environment)
        }
        return try DefaultModel.choose()
    }

    /// Returns the name or path of the model, as it is given.
    func name() throws -> String { try choice().name }

    /// Loads the model with the tokenizer and the preprocessing of the options.
    func load(
        _ texts: TextOptions, _ images: ImageOptions, _ common: CommonOptions,
        for use: ModelUse = .answer
    ) throws -> CLIPModel {
        try load(common, for: use).following(
            tokenizer: texts.rules, preprocessing: images.preprocess)
    }

    /// Loads the model with the precision, resolution and engine of the options.
    ///
    /// If the CPU does not support the precision, prints a note and uses fp32.
    ///
    /// - Throws: `Failure` with status 2 if the result is to be stored, no model is named, and the
    ///   recommended one is not installed.
    func load(_ common: CommonOptions, for use: ModelUse = .answer) throws -> CLIPModel {
        let threads = try threading.wanted()
        let choice = try choice()
        if choice.origin == .demonstration {
            if case .record(let what) = use { throw DefaultModel.refusal(toKeep: what) }
            if !common.quiet { note(DefaultModel.demonstrationNote) }
        }
        let opened = try choice.explaining {
            try Self.open(choice.name, activation: activation, common, threads: threads)
        }
        let model = try applied(to: opened, common)
        if case .name(let official) = model.weights.activationSource, !common.quiet {
            let activation = model.configuration.activation.rawValue
            note(
                """
                clip: assuming activation \(activation), because the file is named like OpenAI's \
                \(official.rawValue)
                """)
        }
        return model
    }

    /// Returns a model with the precision, resolution and engine of the options.
    ///
    /// If the CPU does not support the precision, prints a note and uses fp32.
    func applied(to model: CLIPModel, _ common: CommonOptions) throws -> CLIPModel {
        var model = model
        if let resolution { model = try model.at(resolution: resolution) }
        let precision = precision ?? .fp32
        model = try model.at(precision: precision.isSupported ? precision : .fp32)
        model = try engineOptions.applied(to: model, common)
        if model.precision != precision && !common.quiet {
            note(Self.unsupportedNote(precision))
        }
        return model
    }

    /// Returns the message that the CPU does not support a precision, so that fp32 is used.
    static func unsupportedNote(_ precision: Precision) -> String {
        "clip: this CPU has no instructions for \(precision.rawValue); computing in fp32"
    }

    /// Returns the preprocessing of the chosen model, even if its activation is unknown.
    func preprocessor(_ common: CommonOptions) throws -> ImagePreprocessor {
        let choice = try choice()
        let model = try choice.explaining {
            try Self.inspect(choice.name, activation: activation, common).model
        }
        return try resolution.map { try model.at(resolution: $0) }?.preprocessor
            ?? model.preprocessor
    }

    /// Loads a model for inspection, without downloading it; a model of unknown activation gets
    /// GELU.
    static func inspect(
        _ name: String, activation: Activation?, _ common: CommonOptions
    ) throws -> (model: CLIPModel, isActivationKnown: Bool) {
        do {
            return (try open(name, activation: activation, common, mayFetch: false), true)
        } catch CLIPError.unknownActivation {
            return (try open(name, activation: .gelu, common, mayFetch: false), false)
        }
    }

    /// True if `--model` or `CLIP_MODEL` names a model.
    var isGiven: Bool { model != nil || Environment["CLIP_MODEL"] != nil }

    /// The address space, in bytes, that commands need to run the smallest model.
    private static let leastAddressSpace = 150_000_000

    /// Checks the limit on the address space.
    ///
    /// A failed allocation would end the process without a message.
    ///
    /// - Throws: `Failure` if the limit is too low for every model.
    private static func checkAddressSpace() throws {
        guard let limit = limitOfAddressSpace(), limit < leastAddressSpace else { return }
        throw Failure(
            """
            a model needs at least \(leastAddressSpace / 1_000_000) MB of address space, the limit \
            is \(limit / 1_000_000) MB; raise the limit with ulimit -v
            """)
    }

    /// Loads a model by path or name.
    ///
    /// - Parameters:
    ///   - name: The path of weights, a name that `clip models` lists, or a Hugging Face
    ///     repository.
    ///   - activation: The activation; nil to derive it from the configuration or the file name.
    ///   - common: The common options, for `--quiet`.
    ///   - threads: The number of threads; all cores if nil.
    ///   - mayFetch: True to download missing weights if standard error is a terminal.
    /// - Returns: The model.
    /// - Throws: `Failure` if the file is of another kind, such as an image; `HubError` if the name
    ///   is unknown or not installed; `CLIPError` if the weights cannot be loaded.
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
                throw Failure("unsupported weights: \(name) is \(kind)")
            }
            return try CLIPModel(path: name, activation: activation, threads: threads)
                .caching(tokenizersIn: ModelHub().tokenizerCache)
        }
        return try installed(name, common, mayFetch: mayFetch)
            .load(activation: activation, threads: threads)
    }

    /// Returns the installed weights of a named model; downloads them if missing and allowed.
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
        note("clip: downloading the weights of \(name)\(words)")
        return try Pull.fetch(name, common)
    }
}

extension Activation: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}

/// The environment variables of the process; an empty variable counts as unset.
enum Environment {
    static subscript(name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            return nil
        }
        return value
    }
}
