import ArgumentParser
import CLIP

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write weights as safetensors in OpenAI's layout.",
        usage: "clip convert [<options>] <name|path> <out>",
        discussion: """
            The file's metadata holds all that is needed to use it: activation, normalisation, \
            architecture, and its source. Without --dtype every number stays as it is.

            Examples:
              clip convert tiny tiny-f16.safetensors --dtype f16
            """)

    @Argument(help: ArgumentHelp("The model.", valueName: "name|path"), completion: .model)
    var input: String

    @Argument(
        help: ArgumentHelp("The safetensors file to write.", valueName: "out"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(help: "The type of all numbers: f32, f16 or bf16. (default: as they are)")
    var dtype: NumberFormat?

    @Option(help: "The activation, quickgelu or gelu, if no file beside the weights says it.")
    var activation: Activation?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if output == "-" { throw ValidationError("convert writes a file, not standard output.") }
    }

    func run() throws {
        try OutputChecks.checkSuffix(
            of: output, "the output", is: ["safetensors"], format: "safetensors")
        try OutputChecks.checkPlace(of: output)
        let model = try ModelOptions.open(input, activation: activation, common)
        try model.write(safetensors: output, format: dtype, source: input)
        if !common.quiet {
            note("clip: wrote \(model.weights.parameterCount) numbers to \(output)")
        }
    }
}

extension NumberFormat: ExpressibleByArgument {}
