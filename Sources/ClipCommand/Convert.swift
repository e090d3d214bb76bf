import ArgumentParser
import CLIP

struct Convert: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write weights as safetensors in OpenAI's layout.",
        discussion: """
            The file's metadata says all that is needed to use it: activation, normalisation, \
            architecture, and what it was made of. Without --dtype every number stays as it is.
            """)

    @Argument(help: ArgumentHelp("The model.", valueName: "name|path"), completion: .model)
    var input: String

    @Argument(
        help: ArgumentHelp("The safetensors file to write.", valueName: "out"),
        completion: .file(extensions: ["safetensors"]))
    var output: String

    @Option(help: "f32, f16 or bf16, for all numbers.")
    var dtype: NumberFormat?

    @Option(help: "quickgelu or gelu, where nothing beside the weights says which.")
    var activation: Activation?

    @OptionGroup var common: CommonOptions

    func validate() throws {
        if output == "-" { throw ValidationError("convert writes a file, not standard output.") }
    }

    func run() throws {
        let model = try ModelOptions.open(input, activation: activation, common)
        try model.write(safetensors: output, format: dtype, source: input)
        if !common.quiet {
            note("clip: wrote \(model.weights.parameterCount) numbers to \(output)")
        }
    }
}

extension NumberFormat: ExpressibleByArgument {}
