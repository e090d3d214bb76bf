import ArgumentParser
import CLIP
import CLIPSearch

/// Options for the names of a data set's classes and for their prompts.
struct ClassOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Read the class names from FILE, one per line, instead of the data set's.",
            valueName: "file"),
        completion: .file())
    var classes: String?

    @Option(
        parsing: .unconditionalSingleValue,
        help: ArgumentHelp(
            """
            Replace {} in PROMPT with each class name; repeat the option to average the embeddings \
            of several prompts. (default: the data set's templates, else "a photo of a {}.")
            """, valueName: "prompt"))
    var template: [String] = []

    @Option(help: "Average the embeddings of OpenAI's 80 prompt templates (imagenet).")
    var templates: PromptOptions.TemplateList?

    func validate() throws {
        if !template.isEmpty && templates != nil {
            throw ValidationError("--template and --templates cannot be combined.")
        }
        if let prompt = template.first(where: { !$0.contains("{}") && !$0.contains("{c}") }) {
            throw ValidationError("--template \"\(prompt)\" has no {} to stand for the class.")
        }
    }

    /// True if `--template` or `--templates` is given.
    var hasTemplates: Bool { !template.isEmpty || templates != nil }

    /// Returns the class names of `--classes`; nil if it is not given.
    func names() throws -> [String]? { try classes.map(Labels.readClassNames) }

    /// Returns the templates of the options, else those of the data set, else "a photo of a {}.".
    ///
    /// - Throws: `Failure` if a template of the data set lacks the placeholder of the class.
    func prompts(of dataset: EvaluationDataset) throws -> [String] {
        if templates == .imagenet { return PromptTemplates.imageNet }
        guard template.isEmpty else { return template.map { $0.replacing("{c}", with: "{}") } }
        let own = dataset.templates ?? ["a photo of a {}."]
        if let other = own.first(where: { !$0.contains("{}") }) {
            throw Failure(
                """
                the data set \(dataset.name) has the template "\(other)" without {c} for the \
                class; give --template
                """)
        }
        return own
    }
}
