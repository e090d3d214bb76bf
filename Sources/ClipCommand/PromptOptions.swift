import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

/// What is said around labels.
struct PromptOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            "A prompt with {} for the label, such as \"a photo of a {}\"; give several to average.",
            valueName: "prompt"))
    var template: [String] = []

    @Option(help: "A list of prompts: imagenet, the 80 of OpenAI.")
    var templates: TemplateList?

    enum TemplateList: String, ExpressibleByArgument, CaseIterable {
        case imagenet
    }

    func validate() throws {
        if !template.isEmpty && templates != nil {
            throw ValidationError("--template and --templates exclude each other.")
        }
    }

    /// A classifier of labels, whose vectors are kept where they took long.
    func classifier(
        _ model: CLIPModel, _ labels: [String], _ texts: TextOptions
    ) throws -> ZeroShotClassifier {
        let prompts =
            switch templates {
            case .imagenet: PromptTemplates.imageNet
            case nil: template.isEmpty ? ["{}"] : template
            }
        // A few are computed sooner than looked for.
        guard labels.count * prompts.count >= 256 else {
            return try ZeroShotClassifier(
                model: model, labels: labels, templates: prompts, truncating: texts.truncate)
        }
        return try LabelCache(folder: FilePath(CLIPHub().home + "/labels")).classifier(
            model: model, labels: labels, templates: prompts, truncating: texts.truncate)
    }
}
