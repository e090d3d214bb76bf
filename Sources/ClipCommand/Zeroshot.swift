import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

struct Zeroshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say which of some labels fits a picture best.",
        discussion: """
            The cosine of picture and label is low even where they fit, 0.2 to 0.35: compare cosines \
            with each other, not with 1. The probability is among the labels given, the softmax of \
            the cosines times the model's scale; that product, the logit, is in the JSON too.

            With --labels, every argument is a picture, a folder, a WebDataset (.tar), a pattern, or - for \
            standard input, and more than one picture makes a line of JSON each, or of CSV. Vectors of \
            many labels are kept in CLIP_HOME, by model and templates.

            Examples: clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
            clip zeroshot photos --labels labels.txt --templates imagenet --format csv
            """)

    @Argument(
        help: ArgumentHelp(
            "A picture, then what it may show; with --labels, pictures, folders, .tar files, patterns.",
            valueName: "input"), completion: .file())
    var arguments: [String] = []

    @Option(
        name: .customLong("labels"),
        help: ArgumentHelp(
            "Labels, one a line, empty lines left out; - is standard input.", valueName: "file"),
        completion: .file())
    var labelFile: String?

    @Option(
        help: ArgumentHelp(
            "Only the best so many labels; the default is all for one picture, 1 for several.",
            valueName: "k"))
    var top: Int?

    @Flag(help: "Print JSON.")
    var json = false

    @Option(help: "jsonl or csv, for any number of pictures.")
    var format: Format?

    @Option(
        help: ArgumentHelp(
            "Add this file of a WebDataset's samples as a column of CSV; may be given several times.",
            valueName: "field"))
    var column: [Column] = []

    @OptionGroup var prompts: PromptOptions
    @OptionGroup var collection: CollectionOptions
    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    enum Format: String, ExpressibleByArgument, CaseIterable {
        case jsonl, csv
    }

    /// What a WebDataset may have beside an image.
    enum Column: String, ExpressibleByArgument, CaseIterable {
        case cls, txt, json
    }

    func validate() throws {
        if let top, top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
        if arguments.isEmpty && collection.filesFrom.isEmpty {
            throw ValidationError("Nothing to classify: give a picture (image) and labels.")
        }
        if labelFile == nil && !collection.filesFrom.isEmpty {
            throw ValidationError("--files-from needs --labels.")
        }
        if !column.isEmpty && format != .csv {
            throw ValidationError(
                "--column is for --format csv; JSON Lines have cls, txt and json by themselves.")
        }
    }

    func run() throws {
        let inputs = labelFile == nil ? Array(arguments.prefix(1)) : arguments
        let labels =
            try labelFile.map(readLines)?.filter { !$0.isEmpty } ?? Array(arguments.dropFirst())
        guard labels.count >= 2 else {
            throw Failure(
                "give at least two labels after the picture, not \(labels.count)", status: 2)
        }
        let model = try self.model.load(textOptions, pictures, common)
        if let path = onlyPicture(inputs) {
            let picture = try pictures.read(path, for: model.preprocessor)
            let predictions = try prompts.classifier(model, labels, textOptions).classify([picture]
            )[0]
            show(predictions.prefix(top ?? labels.count), of: path, try self.model.name())
        } else {
            try classifyAll(inputs, labels, model)
        }
    }

    /// The picture, if no more are asked for.
    private func onlyPicture(_ inputs: [String]) -> String? {
        guard inputs.count == 1, format == nil, collection.isDefault else { return nil }
        return PictureCollection.isOnePicture(FilePath(argument: inputs[0])) ? inputs[0] : nil
    }

    private func show(_ predictions: ArraySlice<Prediction>, of picture: String, _ model: String) {
        guard !json else {
            print(
                JSON.object([
                    "image": .path(FilePath(argument: picture)), "model": .string(model),
                    "predictions": Self.json(predictions),
                ]))
            return
        }
        print("probability   cosine  label")
        for prediction in predictions {
            print(
                (fixed(100 * prediction.probability, 2) + " %").right(11),
                fixed(prediction.cosine, 4).right(8), "", prediction.label)
        }
    }

    private static func json(_ predictions: ArraySlice<Prediction>) -> JSON {
        .array(
            predictions.map {
                .object([
                    "label": .string($0.label), "probability": .float($0.probability),
                    "logit": .float($0.logit), "cosine": .float($0.cosine),
                ])
            })
    }

    /// A line for each picture, or for each of its best labels.
    private func classifyAll(_ inputs: [String], _ labels: [String], _ model: CLIPModel) throws {
        let classifier = try prompts.classifier(model, labels, textOptions)
        let job = CollectionJob(collection, common, name: "zeroshot")
        if format == .csv {
            let added = column.map { ",\($0.rawValue)" }.joined()
            print("image,rank,label,probability,logit,cosine\(added)")
        }
        try job.perform {
            try job.run(
                collection.sources(inputs), model, pictures.decoding(for: model.preprocessor)
            ) { sample, vector in
                let embedding = Embeddings(values: vector, dimension: vector.count)
                let predictions = classifier.predictions(of: embedding)[0].prefix(top ?? 1)
                guard format == .csv else {
                    var members = [JSON.Member("image", .path(sample.name))]
                    members += sample.fieldsForJSON.map { .init($0.key, .raw($0.value)) }
                    members.append(.init("predictions", Self.json(predictions)))
                    return printLine(.members(members))
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
}

/// A field of RFC 4180, in quotation marks where it needs them.
private func csvField(_ bytes: [UInt8]) -> [UInt8] {
    let quote = UInt8(ascii: "\"")
    guard bytes.contains(where: { $0 == quote || ",\r\n".utf8.contains($0) }) else { return bytes }
    return [quote] + bytes.flatMap { $0 == quote ? [quote, quote] : [$0] } + [quote]
}
