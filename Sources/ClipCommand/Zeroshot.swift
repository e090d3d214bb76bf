import ArgumentParser
import CLIP

struct Zeroshot: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say which of some labels fits a picture best.",
        discussion: """
            The cosine of picture and label is low even where they fit, 0.2 to 0.35: compare cosines \
            with each other, not with 1. The probability is among the labels given, the softmax of \
            the cosines times the model's scale; that product, the logit, is in the JSON too.

            Example: clip zeroshot bike.jpg "a man riding bicycle" "a man climbing mountain"
            """)

    @Argument(help: "A JPEG, PNG or WebP file.")
    var image: String

    @Argument(help: ArgumentHelp("What it may show.", valueName: "label"))
    var labels: [String] = []

    @Option(
        name: .customLong("labels"),
        help: ArgumentHelp(
            "More labels, one a line, empty lines left out; - is standard input.", valueName: "file"
        ))
    var labelFile: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "A prompt with {} for the label, such as \"a photo of a {}\"; give several to average.",
            valueName: "prompt"))
    var template: [String] = []

    @Option(help: "A list of prompts: imagenet, the 80 of OpenAI.")
    var templates: TemplateList?

    @Option(help: ArgumentHelp("Only the best so many labels.", valueName: "k"))
    var top: Int?

    @Flag(help: "Print JSON.")
    var json = false

    @OptionGroup var textOptions: TextOptions
    @OptionGroup var pictures: PictureOptions
    @OptionGroup var model: ModelOptions
    @OptionGroup var common: CommonOptions

    enum TemplateList: String, ExpressibleByArgument, CaseIterable {
        case imagenet
    }

    func validate() throws {
        if let top, top < 1 { throw ValidationError("--top must be at least 1, not \(top).") }
        if !template.isEmpty && templates != nil {
            throw ValidationError("--template and --templates exclude each other.")
        }
    }

    func run() throws {
        let labels = try labels + (labelFile.map(readLines) ?? []).filter { !$0.isEmpty }
        guard labels.count >= 2 else {
            throw Failure(
                "give at least two labels after the picture, not \(labels.count)", status: 2)
        }
        let model = try self.model.load(textOptions, pictures, common)
        let picture = try pictures.read(image, for: model.preprocessor)
        let prompts =
            switch templates {
            case .imagenet: PromptTemplates.imageNet
            case nil: template.isEmpty ? ["{}"] : template
            }
        let classifier = try ZeroShotClassifier(
            model: model, labels: labels, templates: prompts, truncating: textOptions.truncate)
        let predictions = try classifier.classify([picture])[0].prefix(top ?? labels.count)

        guard !json else {
            print(
                JSON.object([
                    "image": .string(image), "model": .string(try self.model.name()),
                    "predictions": .array(
                        predictions.map {
                            .object([
                                "label": .string($0.label), "probability": .float($0.probability),
                                "logit": .float($0.logit), "cosine": .float($0.cosine),
                            ])
                        }),
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
}
