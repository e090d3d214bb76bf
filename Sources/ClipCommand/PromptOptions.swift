import Files
import ArgumentParser
import CLIP
import CLIPHub
import CLIPSearch

/// Options for the prompt templates of labels.
struct PromptOptions: ParsableArguments {
    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            """
            Replace {} in PROMPT with each label; repeat the option to average the embeddings of \
            several prompts. (default: {})
            """,
            valueName: "prompt"))
    var template: [String] = []

    @Option(help: "Average the embeddings of OpenAI's 80 prompt templates (imagenet).")
    var templates: TemplateList?

    enum TemplateList: String, ExpressibleByArgument, CaseIterable {
        case imagenet
    }

    func validate() throws {
        if !template.isEmpty && templates != nil {
            throw ValidationError("--template and --templates cannot be combined.")
        }
        if let prompt = template.first(where: { !$0.contains("{}") }) {
            throw ValidationError(
                "--template \"\(prompt)\" has no {} to stand for the label.")
        }
    }

    /// Creates a classifier of labels.
    ///
    /// If labels times templates are 256 or more, the embeddings of the labels are cached on disk.
    func classifier(
        _ model: CLIPModel, _ labels: [String], _ texts: TextOptions
    ) throws -> ZeroShotClassifier {
        let prompts =
            switch templates {
            case .imagenet: PromptTemplates.imageNet
            case nil: template.isEmpty ? ["{}"] : template
            }
        return try Self.classifier(model, labels, prompts, truncating: texts.truncate)
    }

    /// Creates a classifier of labels with the given templates, as `classifier(_:_:_:)` does.
    static func classifier(
        _ model: CLIPModel, _ labels: [String], _ templates: [String], truncating: Bool
    ) throws -> ZeroShotClassifier {
        // Encoding a few prompts is faster than reading them from the cache.
        guard labels.count * templates.count >= 256 else {
            return try ZeroShotClassifier(
                model: model, labels: labels, templates: templates, truncating: truncating)
        }
        return try LabelCache(folder: FilePath(ModelHub().home + "/labels")).classifier(
            model: model, labels: labels, templates: templates, truncating: truncating)
    }
}
