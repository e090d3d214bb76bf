internal import CLIP

/// An image and the labels to choose from, from the body of a request.
struct ZeroShotRequest: Sendable {
    let image: ImageReference
    let labels: [String]
    let templates: [String]
    /// The largest number of predictions; all if nil.
    let top: Int?
    let model: String?

    static let labelCounts = 2...1000
    static let templateCounts = 1...100
    /// The largest number of UTF-8 bytes of a label or a template.
    static let longestText = 2000
    /// The largest number of UTF-8 bytes of all prompts together.
    static let longestPrompts = 4 << 20
    /// The built-in sets of templates by their names.
    static let sets = ["imagenet": PromptTemplates.imageNet]
    private static let fieldNames: Set<String> = ["labels", "templates", "top", "model"]

    /// Reads the body of `POST /zeroshot`: JSON, or a form with an image file.
    ///
    /// - Throws: `RequestError` with status 400, 413 or 415.
    init(body request: ServerRequest, _ options: ServerOptions) throws(RequestError) {
        let (fields, files) = try request.fieldsOfBody(Self.fieldNames, file: "image")
        guard files.count <= 1 else {
            throw .invalid("expected one image, found \(files.count)", parameter: "image")
        }
        if let file = files.first {
            image = .bytes(file)
        } else if let text = try fields.string("image", limit: .max) {
            image = try ImageReference(text, parameter: "image", options)
        } else {
            throw .invalid("the request has no image", parameter: "image")
        }
        labels = try fields.strings("labels", limit: Self.longestText)
        guard Self.labelCounts.contains(labels.count) else {
            throw .invalid(
                "expected \(Self.text(Self.labelCounts)) labels, found \(labels.count)",
                parameter: "labels")
        }
        guard labels.allSatisfy({ !$0.allSatisfy(\.isWhitespace) }) else {
            throw .invalid("a label is empty", parameter: "labels")
        }
        if fields.value("templates")?.array?.isEmpty == true {
            throw .invalid("templates is an empty list", parameter: "templates")
        }
        templates = try Self.templates(fields.strings("templates", limit: Self.longestText))
        top = try fields.integer("top", in: 1...Self.labelCounts.upperBound)
        model = try fields.string("model", limit: 1000)
        try Self.checkSize(labels, templates, most: options.textsPerRequest * 16)
    }

    private static func templates(_ given: [String]) throws(RequestError) -> [String] {
        if given.isEmpty { return ["{}"] }
        if given.count == 1, let name = given.first, !name.contains("{}") {
            guard let set = sets[name] else {
                throw .invalid(
                    "templates must contain {} or be one of \(sets.keys.sorted())",
                    parameter: "templates")
            }
            return set
        }
        guard templateCounts.contains(given.count) else {
            throw .invalid(
                "expected \(text(templateCounts)) templates, found \(given.count)",
                parameter: "templates")
        }
        guard given.allSatisfy({ $0.contains("{}") }) else {
            throw .invalid("a template has no {} in place of the label", parameter: "templates")
        }
        return given
    }

    /// Throws if there are too many prompts, or if they are too long together.
    private static func checkSize(
        _ labels: [String], _ templates: [String], most: Int
    ) throws(RequestError) {
        let count = labels.count * templates.count
        guard count <= most else {
            throw .tooLarge(
                "labels times templates are \(count); the limit is \(most)", parameter: "labels")
        }
        let labelBytes = labels.reduce(0) { $0 + $1.utf8.count }
        var bytes = 0
        for template in templates {
            let places = template.split(separator: "{}", omittingEmptySubsequences: false).count - 1
            bytes += labels.count * template.utf8.count + places * labelBytes
        }
        guard bytes <= longestPrompts else {
            throw .tooLarge(
                "the prompts of all labels have \(bytes) bytes; the limit is \(longestPrompts)",
                parameter: "templates")
        }
    }

    private static func text(_ range: ClosedRange<Int>) -> String {
        "\(range.lowerBound) to \(range.upperBound)"
    }
}
