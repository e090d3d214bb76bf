import ArgumentParser
import CLIP
import CLIPHub
import CLIPServer

/// The options of `clip serve` for its models.
struct ServeModelOptions: ParsableArguments {
    @Option(
        name: [.customShort("m"), .long], parsing: .singleValue,
        help: ArgumentHelp(
            """
            Serve this model: a name that clip models lists, a Hugging Face repository \
            (owner/name), or a file or folder of weights; repeat the option for more. The first \
            one is used by requests that name none. (default: CLIP_MODEL, else the model set with \
            clip pull --default, else ViT-B/32 if installed, else tiny, for zero-shot \
            classification only)
            """, valueName: "name|path"), completion: .model)
    var model: [String] = []

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
            "Preprocess images to R x R pixels instead of each model's resolution.",
            valueName: "r"))
    var resolution: Int?

    @Flag(help: "Load the models at the start instead of at their first use.")
    var preload = false

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Drop a model that was not used for SECONDS; 0 for never.", valueName: "seconds"))
    var ttl = ServerOptions().timeToLive

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            """
            Limit the size of all loaded models, such as 4G or 500M, and drop the least recently \
            used ones beyond it. (default: no limit)
            """, valueName: "size"))
    var memory: ByteCount?

    @Flag(help: "Download models that requests name and that are not installed.")
    var fetch = false

    @OptionGroup var threading: ThreadOptions
    @OptionGroup var engineOptions: EngineOptions

    func validate() throws {
        // Checks precision, engine and resolution, and the activation of the first model.
        for name in model.isEmpty ? [nil] : model.map(Optional.some) {
            try options(for: name).validate()
        }
        if ttl < 0 { throw ValidationError("--ttl must be at least 0, not \(ttl).") }
        if let memory, memory.bytes < 1 {
            throw ValidationError("--memory must be more than 0.")
        }
        if model.contains("") {
            throw ValidationError("--model is empty; is a shell variable unset?")
        }
    }

    /// Returns the options with which other subcommands load one model.
    func options(for model: String? = nil) throws -> ModelOptions {
        // Parsed, because members of a value that `init()` makes cannot be read: they have no
        // defaults until the parser sets them.
        var options = try ModelOptions.parse([])
        (options.model, options.activation) = (model, activation)
        (options.precision, options.resolution) = (precision, resolution)
        (options.threading, options.engineOptions) = (threading, engineOptions)
        return options
    }
}
