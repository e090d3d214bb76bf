import ArgumentParser
import CLIP

struct Merge: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Interpolate the weights of two models (WiSE-FT).",
        usage: "clip merge [<options>] <name|path> <name|path> --output <file>",
        discussion: """
            Writes (1 - ALPHA) x the first model + ALPHA x the second, tensor by tensor. Give a \
            pretrained model and the same model after fine-tuning: the result often keeps the \
            robustness of the one and the accuracy of the other. Both must have the same \
            architecture, activation and preprocessing.

            The output is one safetensors file in OpenAI's layout that needs no configuration \
            file; clip info shows the two models and ALPHA.

            Examples:
              clip merge tiny tiny --alpha 0.5 -o merged.safetensors
            """)

    @Argument(
        help: ArgumentHelp(
            "Take this model with the weight 1 - ALPHA: a name or a path.",
            valueName: "name|path"), completion: .model)
    var first: String

    @Argument(
        help: ArgumentHelp(
            "Take this model with the weight ALPHA: a name or a path.",
            valueName: "name|path"), completion: .model)
    var second: String

    @Option(
        parsing: .unconditional,
        help: "Set the weight of the second model, 0 to 1.")
    var alpha = 0.5

    @Option(
        name: .shortAndLong, help: ArgumentHelp("Write this safetensors file.", valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(help: "Store all weights as f32, f16 or bf16.")
    var dtype = NumberFormat.float32

    @Option(
        help: """
            Set the activation of weights whose configuration names none: quickgelu, gelu or \
            gelu_tanh.
            """)
    var activation: Activation?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        guard (0...1).contains(alpha) else {
            throw ValidationError("--alpha must be 0 to 1, not \(alpha).")
        }
        if output == "-" {
            throw ValidationError("merge cannot write to standard output; name a file.")
        }
    }

    func run() throws {
        try OutputChecks.checkSuffix(of: output, "-o", is: ["safetensors"], format: "safetensors")
        try OutputChecks.checkPlace(of: output)
        let (a, b) = (try open(first), try open(second))
        guard !a.reads(file: output), !b.reads(file: output) else {
            throw Failure(
                "-o \(output): it is a file of a model to be merged; give another name", status: 2)
        }
        try a.write(
            safetensors: output, merging: b, alpha: alpha, format: dtype, source: first,
            otherSource: second)
        if !common.quiet {
            note("clip: wrote \(a.weights.parameterCount) parameters to \(output)")
            Convert.noteTokenizer(of: a, beside: output)
        }
    }

    /// Loads one of the models.
    ///
    /// `--activation` applies only if the model's configuration states none.
    private func open(_ name: String) throws -> CLIPModel {
        do {
            return try ModelOptions.open(name, activation: nil, common)
        } catch CLIPError.unknownActivation where activation != nil {
            return try ModelOptions.open(name, activation: activation, common)
        }
    }
}
