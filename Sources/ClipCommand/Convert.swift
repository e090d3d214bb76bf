import ArgumentParser
import CLIP

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Convert weights to a safetensors file in OpenAI's layout.",
        usage: "clip convert [<options>] <name|path> <out>",
        discussion: """
            The output needs no configuration file: its metadata records the activation, the \
            normalisation, the architecture and the source. Without --dtype, the weights are \
            copied unchanged.

            Examples:
              clip convert tiny tiny-f16.safetensors --dtype f16
            """)

    @Argument(
        help: ArgumentHelp(
            "Convert a model that clip models lists, or a file or folder of weights.",
            valueName: "name|path"), completion: .model)
    var input: String

    @Argument(
        help: ArgumentHelp(
            "Write the converted weights to OUT, a safetensors file.", valueName: "out"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(help: "Store all weights as f32, f16 or bf16. (default: unchanged)")
    var dtype: NumberFormat?

    @Option(
        help: """
            Set the activation of weights whose configuration names none: quickgelu, gelu or \
            gelu_tanh.
            """)
    var activation: Activation?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if output == "-" {
            throw ValidationError("convert cannot write to standard output; name a file.")
        }
    }

    func run() throws {
        try OutputChecks.checkSuffix(
            of: output, "the output", is: ["safetensors"], format: "safetensors")
        try OutputChecks.checkPlace(of: output)
        let model = try ModelOptions.open(input, activation: activation, common)
        try model.write(safetensors: output, format: dtype, source: input)
        if !common.quiet {
            note("clip: wrote \(model.weights.parameterCount) parameters to \(output)")
            Self.noteTokenizer(of: model, beside: output)
        }
    }

    /// Prints a note if the folder of written weights lacks the tokenizer that texts need.
    static func noteTokenizer(of model: CLIPModel, beside output: String) {
        guard let tokenizer = model.tokenizerPath,
            (try? CLIPModel(path: output))?.tokenizerPath == nil
        else { return }
        note("clip: texts need the tokenizer beside the weights: copy \(tokenizer) there")
    }
}

extension NumberFormat: ExpressibleByArgument {}
