import Files
import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

struct Zeroshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Classify images with labels of your choice (zero-shot).",
        discussion: """
            Probabilities are the softmax, over the given labels, of the logits: the cosines times \
            the model's logit scale. Even a fitting label has a cosine of only 0.2 to 0.35, so \
            compare cosines with each other, not with 1.

            With --labels, every argument is an image, a folder, a WebDataset (.tar), a pattern, \
            or - for standard input. Results of several images are printed as a table at a \
            terminal and as JSON Lines elsewhere. Embeddings of many labels are cached in CLIP_HOME.

            Examples:
              clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
              clip zeroshot bike.jpg bicycle mountain --template "a photo of a {}"
              clip zeroshot *.jpg --labels labels.txt
              clip zeroshot . --labels labels.txt --top 3 --format csv
            """)

    @Argument(
        help: ArgumentHelp(
            """
            Classify the first input with the other arguments as labels; with --labels FILE, \
            classify all inputs.
            """,
            valueName: "input"),
        completion: .file())
    var arguments: [String] = []

    @Option(
        name: .customLong("labels"),
        help: ArgumentHelp(
            "Read labels from FILE, one per line; - is standard input.", valueName: "file"),
        completion: .file())
    var labelFile: String?

    @Option(
        name: [.customShort("t"), .long], parsing: .unconditional,
        help: ArgumentHelp(
            "Print only the K best labels. (default: all for one image, 1 for several)",
            valueName: "k"))
    var top: Int?

    @Flag(help: "Print JSON, one object per image.")
    var json = false

    @Option(
        help: """
            Print JSON Lines (jsonl) or CSV (csv). (default: a table; jsonl for several images if \
            standard output is not a terminal)
            """)
    var format: Format?

    @Option(
        help: ArgumentHelp(
            "Add this field of WebDataset samples to --format csv as a column; repeat for more.",
            valueName: "field"))
    var column: [Column] = []

    @OptionGroup var prompts: PromptOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var images: ImageOptions

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case jsonl, csv
    }

    /// A field that a WebDataset sample may have in addition to its image.
    enum Column: String, ExpressibleByArgument, CaseIterable {
        case cls, txt, json
    }

    func validate() throws {
        if let top, top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
        if arguments.isEmpty && collection.filesFrom.isEmpty {
            throw ValidationError("nothing to classify: give an image and labels")
        }
        if labelFile == nil && !collection.filesFrom.isEmpty {
            throw ValidationError("--files-from needs --labels.")
        }
        if json && format == .csv {
            throw ValidationError("--json and --format csv cannot be combined.")
        }
        if !column.isEmpty && format != .csv {
            throw ValidationError(
                "--column needs --format csv; JSON Lines include a sample's cls, txt and json.")
        }
        let inputs = labelFile == nil ? Array(arguments.prefix(1)) : arguments
        try InputHints.check(inputs, streamedBy: "zeroshot --labels FILE")
        try collection.checkStandardInput(inputs + [labelFile])
    }

    func run() throws {
        let inputs = labelFile == nil ? Array(arguments.prefix(1)) : arguments
        try collection.checkErrors(inputs: inputs, others: [("--labels", labelFile)])
        let labels =
            try labelFile.map { try Labels.read($0, common) } ?? Array(arguments.dropFirst())
        if labelFile == nil { try Labels.check(labels, common) }
        let model = try self.model.load(textOptions, images, common)
        if let path = onlyImage(inputs) {
            let image = try images.read(path, for: model.preprocessor)
            let predictions = try prompts.classifier(model, labels, textOptions).classify(
                image, top: top)
            show(predictions, of: path, try self.model.name())
        } else {
            try classifyAll(inputs, labels, model)
        }
    }

    /// Returns the path of the image if the only input is a single image and no option needs a
    /// collection; nil otherwise.
    private func onlyImage(_ inputs: [String]) -> String? {
        guard inputs.count == 1, format == nil, collection.isDefault else { return nil }
        return ImageCollection.isOneImage(FilePath(argument: inputs[0])) ? inputs[0] : nil
    }

    private func show(_ predictions: [Prediction], of image: String, _ model: String) {
        guard !json else {
            return printLine(
                .object([
                    "image": .path(FilePath(argument: image)), "model": .string(model),
                    "predictions": Self.json(predictions),
                ]))
        }
        print("probability   cosine  label")
        for prediction in predictions {
            print(
                (fixed(100 * prediction.probability, 2) + " %").right(11),
                fixed(prediction.cosine, 4).right(8), "", TerminalText.shown(prediction.label))
        }
    }

    private static func json(_ predictions: [Prediction]) -> JSONValue {
        .array(
            predictions.map {
                .object([
                    "label": .string($0.label), "probability": .float($0.probability),
                    "logit": .float($0.logit), "cosine": .float($0.cosine),
                ])
            })
    }

    /// Classifies a collection and prints a line per image (JSON) or per label (CSV, table).
    private func classifyAll(_ inputs: [String], _ labels: [String], _ model: CLIPModel) throws {
        let classifier = try prompts.classifier(model, labels, textOptions)
        let job = CollectionJob(collection, common, name: "zeroshot")
        if format == .csv {
            let added = column.map { ",\($0.rawValue)" }.joined()
            print("image,rank,label,probability,logit,cosine\(added)")
        }
        let name = try self.model.name()
        let isTable = format == nil && !json && outputIsTerminal
        let width = labels.map { TerminalText.shown($0).count }.max() ?? 0
        if isTable { print("probability   cosine  \("label".left(width))  image") }
        try job.perform {
            try job.run(
                collection.sources(inputs), model, images.decoding(for: model.preprocessor)
            ) { sample, vector in
                let embedding = Embeddings(rows: vector, dimension: vector.count)
                let predictions = try classifier.predictions(of: embedding, top: top ?? 1)[0]
                guard !isTable else {
                    return Self.printRows(predictions, of: sample.name, labelWidth: width)
                }
                guard format == .csv else {
                    var members: [JSONValue.Member] = [
                        ("image", .path(sample.name)),
                        ("model", .string(name)),
                    ]
                    members += sample.fieldsForJSON.map { ($0.key, .raw($0.value)) }
                    members.append(("predictions", Self.json(predictions)))
                    return printLine(.object(members))
                }
                let added = column.flatMap {
                    [UInt8(ascii: ",")] + csvField(sample.trimmedField($0.rawValue))
                }
                for (rank, prediction) in predictions.enumerated() {
                    let numbers = [prediction.probability, prediction.logit, prediction.cosine]
                    printBytes(
                        csvField(sample.name.bytes) + ",\(rank + 1),".utf8
                            + csvField(Array(prediction.label.utf8))
                            + numbers.map { ",\($0)" }.joined().utf8 + added + "\n".utf8)
                }
            }
        }
        if job.failures > 0 { throw ExitCode(1) }
    }

    /// Prints the table rows of one of several images.
    private static func printRows(
        _ predictions: [Prediction], of image: FilePath, labelWidth: Int
    ) {
        for prediction in predictions {
            let probability = (fixed(100 * prediction.probability, 2) + " %").right(11)
            let label = TerminalText.shown(prediction.label).left(labelWidth)
            let row = "\(probability) \(fixed(prediction.cosine, 4).right(8))  \(label)  "
            printBytes(Array(row.utf8) + TerminalText.shown(image) + "\n".utf8)
        }
    }
}

/// Returns a CSV field (RFC 4180), quoted where necessary.
func csvField(_ bytes: [UInt8]) -> [UInt8] {
    let quote = UInt8(ascii: "\"")
    guard bytes.contains(where: { $0 == quote || ",\r\n".utf8.contains($0) }) else { return bytes }
    return [quote] + bytes.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote]
}
