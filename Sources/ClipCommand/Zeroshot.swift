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

            Models with a logit bias (SigLIP) also give the sigmoid of each logit, which does not \
            depend on the other labels. Read the probability to learn which label fits best, and \
            the sigmoid to learn if a label fits at all; a fitting one often has less than 50 %, \
            so compare with a threshold from your own data. Labels are sorted by probability, and \
            --top counts in that order.

            With --labels, every argument is an image, a folder, a WebDataset (.tar), a pattern, \
            or - for standard input. Results of several images are printed as a table at a \
            terminal and as JSON Lines elsewhere. Embeddings of 256 prompts or more are \
            cached in the folder labels of CLIP_HOME (~/.cache/clip if unset).

            With --probe, every argument is an image too; the labels and the model are those of \
            the probe, which clip probe train makes. A probe gives probabilities and logits, but \
            no cosines.

            Examples:
              clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
              clip zeroshot bike.jpg bicycle mountain --template "a photo of a {}"
              clip zeroshot *.jpg --labels labels.txt
              clip zeroshot . --labels labels.txt --top 3 --format csv
            """)

    @Argument(
        help: ArgumentHelp(
            """
            Classify the first input with the other arguments as labels; with --labels FILE or \
            --probe FILE, classify all inputs.
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
        help: ArgumentHelp(
            "Classify with a probe from clip probe train, which states labels and model.",
            valueName: "file"),
        completion: .file(extensions: ["safetensors"]))
    var probe: String?

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
            let needed = hasOnlyInputs ? "an image" : "an image and labels"
            throw ValidationError("nothing to classify: give \(needed)")
        }
        if !hasOnlyInputs && !collection.filesFrom.isEmpty {
            throw ValidationError("--files-from needs --labels or --probe.")
        }
        if probe != nil {
            if labelFile != nil {
                throw ValidationError("--probe and --labels cannot be combined.")
            }
            if !prompts.template.isEmpty || prompts.templates != nil {
                throw ValidationError(
                    "--template and --templates have no effect with --probe; omit them.")
            }
        }
        if json && format == .csv {
            throw ValidationError("--json and --format csv cannot be combined.")
        }
        if !column.isEmpty && format != .csv {
            throw ValidationError(
                "--column needs --format csv; JSON Lines include a sample's cls, txt and json.")
        }
        try InputHints.check(
            inputs, streamedBy: "zeroshot \(probe == nil ? "--labels" : "--probe") FILE")
        try collection.checkStandardInput(inputs + [labelFile])
    }

    /// True if no argument is a label.
    private var hasOnlyInputs: Bool { labelFile != nil || probe != nil }

    /// The arguments that are images, folders and archives.
    var inputs: [String] { hasOnlyInputs ? arguments : Array(arguments.prefix(1)) }

    func run() throws {
        try collection.checkErrors(
            inputs: inputs, others: [("--labels", labelFile), ("--probe", probe)])
        if let path = probe.map({ FilePath(argument: $0) }) {
            let probe = try StoredProbe.read(path)
            let (model, name) = try self.model.load(probe, at: path, common)
            let images = try self.images.following(probe, at: path)
            return try run(model.following(preprocessing: images.preprocess), name, images) {
                .probe(probe)
            }
        }
        let labels =
            try labelFile.map { try Labels.read($0, common) } ?? Array(arguments.dropFirst())
        if labelFile == nil { try Labels.check(labels, common) }
        let model = try self.model.load(textOptions, images, common)
        try run(model, try self.model.name(), images) {
            try Labels.warnAboutEmptyOnes(labels, model, common)
            return .zeroShot(try prompts.classifier(model, labels, textOptions))
        }
    }

    /// Classifies the inputs.
    ///
    /// A single image is read before the labels are encoded, so that an unreadable one is reported
    /// at once.
    private func run(
        _ model: CLIPModel, _ name: String, _ images: ImageOptions,
        _ makeLabelling: () throws -> ImageLabelling
    ) throws {
        guard let path = onlyImage(inputs) else {
            return try classifyAll(
                inputs, makeLabelling(), model, name, images.decoding(for: model.preprocessor))
        }
        let image = try images.read(path, for: model.preprocessor)
        let labelling = try makeLabelling()
        show(
            try labelling.scores(of: model.encode(images: [image]), top: top), of: path, name,
            title: labelling.title)
    }

    /// Returns the path of the image if the only input is a single image and no option needs a
    /// collection; nil otherwise.
    private func onlyImage(_ inputs: [String]) -> String? {
        guard inputs.count == 1, format == nil, collection.isDefault else { return nil }
        return ImageCollection.isOneImage(FilePath(argument: inputs[0])) ? inputs[0] : nil
    }

    private func show(
        _ scores: [LabelScore], of image: String, _ model: String, title: String
    ) {
        guard !json else {
            return printLine(
                .object([
                    "image": .path(FilePath(argument: image)), "model": .string(model),
                    "predictions": .array(scores.map(\.json)),
                ]))
        }
        print("\(title)  label")
        for score in scores { print(score.row, "", TerminalText.shown(score.label)) }
    }

    /// Classifies a collection and prints a line per image (JSON) or per label (CSV, table).
    private func classifyAll(
        _ inputs: [String], _ labelling: ImageLabelling, _ model: CLIPModel, _ name: String,
        _ decoding: RGBImage.DecodingOptions
    ) throws {
        let job = CollectionJob(collection, common, name: "zeroshot")
        if format == .csv {
            let added = column.map { ",\($0.rawValue)" }.joined()
            print("image,rank,label,\(labelling.numberNames.joined(separator: ","))\(added)")
        }
        let isTable = format == nil && !json && outputIsTerminal
        let width = labelling.labels.map { TerminalText.shown($0).count }.max() ?? 0
        if isTable { print("\(labelling.title)  \("label".left(width))  image") }
        try job.perform {
            try job.run(collection.sources(inputs), model, decoding) { sample, vector in
                let embedding = Embeddings(rows: vector, dimension: vector.count)
                let scores = try labelling.scores(of: embedding, top: top ?? 1)
                guard !isTable else {
                    return Self.printRows(scores, of: sample.name, labelWidth: width)
                }
                guard format == .csv else {
                    var members: [JSONValue.Member] = [
                        ("image", .path(sample.name)),
                        ("model", .string(name)),
                    ]
                    members += sample.fieldsForJSON.map { ($0.key, .raw($0.value)) }
                    members.append(("predictions", .array(scores.map(\.json))))
                    return printLine(.object(members))
                }
                let added = column.flatMap {
                    [UInt8(ascii: ",")] + csvField(sample.trimmedField($0.rawValue))
                }
                for (rank, score) in scores.enumerated() {
                    printBytes(
                        csvField(sample.name.bytes) + ",\(rank + 1),".utf8
                            + csvField(Array(score.label.utf8))
                            + score.numbers.map { ",\($0)" }.joined().utf8 + added + "\n".utf8)
                }
            }
        }
        if job.failures > 0 { throw ExitCode(1) }
    }

    /// Prints the table rows of one of several images.
    private static func printRows(_ scores: [LabelScore], of image: FilePath, labelWidth: Int) {
        for score in scores {
            let row = "\(score.row)  \(TerminalText.shown(score.label).left(labelWidth))  "
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
