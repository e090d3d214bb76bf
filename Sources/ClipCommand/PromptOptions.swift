import Files
import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

/// The prompts that labels are put into.
struct PromptOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            """
            A prompt with {} in place of the label, such as "a photo of a {}"; repeat the option to \
            average several.
            """, valueName: "prompt"))
    var template: [String] = []

    @Option(help: "A list of prompts: imagenet, OpenAI's 80.")
    var templates: TemplateList?

    enum TemplateList: String, ExpressibleByArgument, CaseIterable {
        case imagenet
    }

    func validate() throws {
        if !template.isEmpty && templates != nil {
            throw ValidationError("--template and --templates exclude each other.")
        }
        if let prompt = template.first(where: { !$0.contains("{}") }) {
            throw ValidationError(
                "--template \"\(prompt)\" has no {}, which stands for the label.")
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
        return try LabelCache(folder: FilePath(ModelHub().home + "/labels")).classifier(
            model: model, labels: labels, templates: prompts, truncating: texts.truncate)
    }
}
