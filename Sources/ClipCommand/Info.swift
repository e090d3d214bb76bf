import ArgumentParser
import CLIP
import CLIPHub
import Files

struct Info: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Describe a model: format, architecture, preprocessing, licence, SHA-256.",
        discussion: """
            The rules name the library whose tokenization and preprocessing the model follows; \
            other commands select other rules with --tokenizer and --preprocess.

            Examples:
              clip info tiny
              clip info tiny --json
            """)

    @Argument(
        help: ArgumentHelp(
            "Describe a model that clip models lists, or a file or folder of weights.",
            valueName: "name|path"), completion: .model)
    var name: String

    @Option(
        help: """
            Set the activation of weights whose configuration names none: quickgelu, gelu or \
            gelu_tanh.
            """)
    var activation: Activation?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var common: CommonOptions

    func run() throws {
        let (model, isActivationKnown) = try ModelOptions.inspect(
            name, activation: activation, common)
        let (weights, configuration) = (model.weights, model.configuration)
        let preprocessor = model.preprocessor
        let text = configuration.text
        let sums = model.checksums()
        let known = HubModel.named(name) ?? HubModel.inRepository(name)
        let tokenizerError = model.tokenizerError
        let license = name == BundledModel.name ? BundledModel.license : known?.license
        if json {
            let members: KeyValuePairs<String, JSONValue> = [
                "path": .string(weights.path), "format": .string(weights.format.rawValue),
                "layout": .string(weights.layout.rawValue),
                "types": .array(weights.types.map { .string($0) }),
                "parameters": .integer(weights.parameterCount),
                "bytes": .integer(weights.byteCount),
                "architecture": .string(configuration.summary),
                "resolution": .integer(configuration.resolution),
                "context": .integer(text.contextLength),
                "dimension": .integer(configuration.embeddingDimension),
                "activation": isActivationKnown
                    ? .string(configuration.activation.rawValue) : .null,
                "mean": .floats(preprocessor.mean),
                "std": .floats(preprocessor.standardDeviation),
                "interpolation": .string(preprocessor.interpolation.rawValue),
                "resize_mode": .string(preprocessor.resizeMode.rawValue),
                "logit_scale": .float(model.logitScale),
                "sha256": .array(sums.map { .string($0.sha256) }),
                "license": license.map { .string($0) } ?? .null,
                "merge": weights.merge.map(Self.json) ?? .null,
            ]
            printLine(
                .object(
                    members.map { ($0.key, $0.value) }
                        + model.furtherInfo(
                            isActivationKnown: isActivationKnown, tokenizerError)))
            if tokenizerError != nil { throw ExitCode(1) }
            return
        }
        func list(_ values: [Float]) -> String { values.map { "\($0)" }.joined(separator: ", ") }
        for (key, value) in [
            ("file", weights.path),
            ("format", weights.format.name),
            ("layout", weights.layout.inWords),
            ("numbers", weights.types.joined(separator: ", ")),
            ("parameters", "\(weights.parameterCount) in \(weights.byteCount) bytes"),
            ("image tower", configuration.summary),
            ("text tower", text.inWords),
            ("tokenizer", model.tokenizerInWords),
            ("embedding", "\(configuration.embeddingDimension) numbers"),
            (
                "activation",
                isActivationKnown
                    ? model.activationInWords + ", says " + describe(weights.activationSource)
                    : "unknown: quickgelu (OpenAI's weights and a few others) or gelu; "
                        + "nothing here says which"
            ),
            ("mean", list(preprocessor.mean)),
            ("std", list(preprocessor.standardDeviation)),
            ("resize", preprocessor.resizingInWords),
            ("rules", model.rulesInWords),
            ("logit scale", "\(model.logitScale)"),
            ("logit bias", model.logitBias.map { "\($0)" } ?? "none"),
            ("licence", license ?? "unknown"),
            ("SHA-256", sums.map(\.sha256).joined(separator: ", ")),
        ] + Self.rows(weights.merge) {
            print((key + ":").left(13), value)
        }
        if let tokenizerError {
            report(tokenizerError)
            throw ExitCode(1)
        }
    }

    private static func json(_ merge: WeightsDescription.Merge) -> JSONValue {
        func object(_ parent: WeightsDescription.Merge.Parent) -> JSONValue {
            .object(["name": .string(parent.name), "fingerprint": .string(parent.fingerprint)])
        }
        return .object([
            "first": object(merge.first), "second": object(merge.second),
            "alpha": .number(merge.alpha),
        ])
    }

    /// Returns the rows about the models of a merge, each with its weight.
    private static func rows(_ merge: WeightsDescription.Merge?) -> [(String, String)] {
        guard let merge else { return [] }
        return [(merge.first, 1 - merge.alpha), (merge.second, merge.alpha)].map { parent, weight in
            ("merge of", "\(fixed(weight, 4)) x \(parent.name), fingerprint \(parent.fingerprint)")
        }
    }
}

extension WeightFormat {
    fileprivate var name: String {
        switch self {
        case .safetensors: "safetensors"
        case .pyTorch: "PyTorch checkpoint (zip)"
        case .torchScript: "TorchScript archive (zip)"
        }
    }
}

private func describe(_ source: WeightsDescription.ActivationSource) -> String {
    switch source {
    case .configuration(let path): path
    case .name(let official): "the file's name, which is that of OpenAI's \(official.rawValue)"
    case .caller: "--activation"
    }
}
