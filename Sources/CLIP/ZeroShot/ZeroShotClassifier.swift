/// A label of an image, with its probability among the labels of the classifier.
///
/// ```swift
/// for prediction in try classifier.classify(image, top: 3) {
///     print(prediction.label, prediction.probability)
/// }
/// ```
public struct Prediction: Sendable, Hashable, Codable {
    /// The label, which is one of the classifier's.
    public let label: String
    /// The probability among the labels of the classifier, 0...1.
    ///
    /// The probabilities of all labels sum to 1.
    public let probability: Float
    /// The probability of the label by itself, 0...1; nil for models without a logit bias.
    ///
    /// It is the sigmoid of the logit, and does not depend on the other labels.
    public let sigmoid: Float?
    /// The logit, `logitScale * cosine`, plus the logit bias of models that have one.
    ///
    /// The probabilities are the softmax of the logits.
    public let logit: Float
    /// The cosine of the image's embedding and the label's, -1...1.
    public let cosine: Float
}

/// A classifier of images with labels of your choice (zero-shot).
///
/// ```swift
/// let classifier = try ZeroShotClassifier(
///     model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
/// let best = try classifier.classify(RGBImage(contentsOfFile: "bike.jpg"), top: 1)[0]
/// print(best.label, best.probability)
/// ```
///
/// Each label is inserted in every prompt template, the normalised embeddings of its prompts are
/// averaged, and the mean is normalised again. An image's probabilities are the softmax of its
/// cosines with the labels, multiplied by `logitScale`. For models with a logit bias, each
/// prediction also has the sigmoid of its logit.
///
/// Source: `Prompt_Engineering_for_ImageNet.ipynb` of openai/CLIP.
public struct ZeroShotClassifier: Sendable {
    /// The labels, in the order given.
    public let labels: [String]
    package let model: CLIPModel
    private let labelVectors: UnitVectors
    /// The normalised embeddings of the labels, one row each, from which another classifier of the
    /// same model can be made.
    public let labelEmbeddings: Embeddings

    /// Makes a classifier by encoding the labels.
    ///
    /// - Parameters:
    ///   - model: The model that encodes labels and images.
    ///   - labels: At least two labels; with one, every image would have the probability 1.
    ///   - templates: The prompt templates, with `{}` in the place of the label; by default the
    ///     label alone is the prompt.
    ///   - truncating: True to truncate prompts that have more tokens than the context.
    /// - Throws: `CLIPError.tooFewLabels` for fewer than two labels, `.noTemplate` if `templates`
    ///   is empty, `.invalidTemplate` for a template without `{}`, `.textTooLong` if a prompt is
    ///   too long and `truncating` is false, `.nonFiniteResult` if the weights produce NaN or
    ///   infinity.
    public init(
        model: CLIPModel, labels: [String], templates: [String] = ["{}"], truncating: Bool = false
    ) throws(CLIPError) {
        let prompts = try Self.prompts(labels, templates, model, truncating: truncating)
        self.model = model
        self.labels = labels
        labelEmbeddings = try Self.embeddings(
            of: prompts, labels: labels.count, dimension: model.configuration.embeddingDimension
        ) { tokens throws(CLIPError) in try model.encode(tokens: tokens) }
        labelVectors = UnitVectors(labelEmbeddings)
    }

    /// Returns the token ids of all prompts, one row for each prompt, label by label.
    static func prompts(
        _ labels: [String], _ templates: [String], _ model: CLIPModel, truncating: Bool
    ) throws(CLIPError) -> [[Int]] {
        try check(labels)
        guard !templates.isEmpty else { throw .noTemplate }
        if let template = templates.first(where: { !$0.contains("{}") }) {
            throw .invalidTemplate(template)
        }
        var prompts: [[Int]] = []
        prompts.reserveCapacity(labels.count * templates.count)
        for label in labels {
            let texts = templates.map { prompt($0, label) }
            prompts += try model.rows(of: texts, truncating: truncating)
        }
        return prompts
    }

    /// Returns the normalised mean embedding of each label's prompts.
    static func embeddings<Failure: Error>(
        of prompts: [[Int]], labels: Int, dimension: Int,
        encode: (_ tokens: [[Int]]) throws(Failure) -> Embeddings
    ) throws(Failure) -> Embeddings {
        let templates = prompts.count / labels
        // Sorted, so that prompts with a common prefix, as those of one template, are encoded
        // together.
        let order = prompts.indices.sorted { prompts[$0].lexicographicallyPrecedes(prompts[$1]) }
        var sums = [Float](repeating: 0, count: labels * dimension)
        // Large groups are fast; the embeddings of all prompts at once could take too much memory.
        for start in stride(from: 0, to: order.count, by: 8192) {
            let group = order[start..<min(start + 8192, order.count)]
            let rows = try encode(group.map { prompts[$0] }).normalized()
            for (row, prompt) in group.enumerated() {
                let sum = prompt / templates * dimension
                for (i, value) in rows[row].enumerated() { sums[sum + i] += value }
            }
        }
        let count = Float(templates)
        return Embeddings(rows: sums.map { $0 / count }, dimension: dimension).normalized()
    }

    /// Makes a classifier from embeddings of labels that were computed before.
    ///
    /// - Parameters:
    ///   - model: The model that encodes images, the same that encoded the labels.
    ///   - labels: At least two labels.
    ///   - labelEmbeddings: The normalised embeddings of the labels, one row each.
    /// - Throws: `CLIPError.tooFewLabels` for fewer than two labels, `.wrongEmbeddingCount` if
    ///   labels and rows differ in number, `.wrongDimension` if the model's embeddings have another
    ///   dimension.
    public init(
        model: CLIPModel, labels: [String], labelEmbeddings: Embeddings
    ) throws(CLIPError) {
        let dimension = model.configuration.embeddingDimension
        try Self.check(labels)
        guard labels.count == labelEmbeddings.count else {
            throw .wrongEmbeddingCount(expected: labels.count, found: labelEmbeddings.count)
        }
        guard labelEmbeddings.dimension == dimension else {
            throw .wrongDimension(expected: dimension, found: labelEmbeddings.dimension)
        }
        self.model = model
        self.labels = labels
        self.labelEmbeddings = labelEmbeddings
        labelVectors = UnitVectors(labelEmbeddings)
    }

    private static func check(_ labels: [String]) throws(CLIPError) {
        guard labels.count >= 2 else { throw .tooFewLabels(expected: 2, found: labels.count) }
    }

    /// Returns the prompts of all labels, label by label.
    package static func prompts(labels: [String], templates: [String]) -> [String] {
        labels.flatMap { label in templates.map { prompt($0, label) } }
    }

    /// Returns the same label embeddings, to the bit, as `init(model:labels:templates:)` computes,
    /// from embeddings of the prompts that were computed before.
    ///
    /// - Parameters:
    ///   - promptEmbeddings: The embeddings of `prompts(labels:templates:)` by the model, not
    ///     normalised.
    ///   - model: The model that encoded the prompts.
    ///   - labels: At least two labels.
    ///   - templates: The prompt templates.
    /// - Returns: The normalised embeddings of the labels, one row each.
    /// - Throws: `CLIPError`, as the initialiser does; `.wrongEmbeddingCount` if prompts and
    ///   embeddings differ in number.
    package static func labelEmbeddings(
        ofPrompts promptEmbeddings: [[Float]], _ model: CLIPModel, labels: [String],
        templates: [String]
    ) throws(CLIPError) -> Embeddings {
        let prompts = try prompts(labels, templates, model, truncating: false)
        guard prompts.count == promptEmbeddings.count else {
            throw .wrongEmbeddingCount(expected: prompts.count, found: promptEmbeddings.count)
        }
        let dimension = model.configuration.embeddingDimension
        if let other = promptEmbeddings.first(where: { $0.count != dimension }) {
            throw .wrongDimension(expected: dimension, found: other.count)
        }
        var vectors: [[Int]: [Float]] = [:]
        for (tokens, vector) in zip(prompts, promptEmbeddings) { vectors[tokens] = vector }
        return embeddings(of: prompts, labels: labels.count, dimension: dimension) { tokens in
            Embeddings(rows: tokens.flatMap { vectors[$0] ?? [] }, dimension: dimension)
        }
    }

    /// Returns the predictions of an image, best first.
    ///
    /// - Parameters:
    ///   - image: An image of any size.
    ///   - top: The number of predictions to return; all if nil.
    /// - Returns: At most `top` predictions.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func classify(_ image: RGBImage, top: Int? = nil) throws(CLIPError) -> [Prediction] {
        try classify([image], top: top)[0]
    }

    /// Returns the predictions of each image, best first.
    ///
    /// - Parameters:
    ///   - images: Any number of images.
    ///   - top: The number of predictions to return for each image; all if nil.
    /// - Returns: At most `top` predictions for each image, in the order of the images.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func classify(
        _ images: [RGBImage], top: Int? = nil
    ) throws(CLIPError) -> [[Prediction]] {
        try predictions(of: model.encode(images: images), top: top)
    }

    /// Returns the predictions of each image, given its embedding, best first.
    ///
    /// Labels with equal cosines are in the order given. If `top` is small, the best labels are
    /// selected without sorting the others.
    ///
    /// - Parameters:
    ///   - embeddings: The images' embeddings by the same model, normalised or not.
    ///   - top: The number of predictions to return for each image; all if nil.
    /// - Returns: At most `top` predictions for each image, in the order of the embeddings.
    /// - Throws: `CLIPError.wrongDimension` if the embeddings have another dimension than the
    ///   labels'.
    public func predictions(
        of embeddings: Embeddings, top: Int? = nil
    ) throws(CLIPError) -> [[Prediction]] {
        try labelVectors.cosines(of: embeddings).map { cosines in
            let probabilities = model.probabilities(ofCosines: cosines)
            let order = largest(max(0, top ?? labels.count), of: cosines)
            let chosen = order.map { cosines[$0] }
            let logits = model.logits(ofCosines: chosen)
            let sigmoids = model.sigmoidProbabilities(ofCosines: chosen)
            return order.enumerated().map { place, i in
                Prediction(
                    label: labels[i], probability: probabilities[i], sigmoid: sigmoids?[place],
                    logit: logits[place], cosine: cosines[i])
            }
        }
    }

    private static func prompt(_ template: String, _ label: String) -> String {
        var parts: [Substring] = []
        var rest = template[...]
        while let brace = rest.firstRange(of: "{}") {
            parts.append(rest[..<brace.lowerBound])
            rest = rest[brace.upperBound...]
        }
        return (parts + [rest]).joined(separator: label)
    }
}

/// Returns the indices of the `count` largest numbers, largest first; of equal numbers, the lower
/// index comes first.
func largest(_ count: Int, of numbers: [Float]) -> [Int] {
    func isBefore(_ a: Int, _ b: Int) -> Bool { (numbers[b], a) < (numbers[a], b) }
    // Insertion into a longer list is slower than sorting all.
    guard count <= 100, count < numbers.count else {
        return Array(numbers.indices.sorted(by: isBefore).prefix(count))
    }
    var best: [Int] = []
    for index in numbers.indices {
        if best.count == count {
            guard let last = best.last, isBefore(index, last) else { continue }
            best.removeLast()
        }
        let place = best.lastIndex { !isBefore(index, $0) }.map { $0 + 1 } ?? 0
        best.insert(index, at: place)
    }
    return best
}
