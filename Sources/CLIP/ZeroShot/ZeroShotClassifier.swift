/// A label of an image, with its probability among all labels given.
///
/// Predictions are made by ``ZeroShotClassifier``.
public struct Prediction: Sendable, Hashable, Codable {
    /// The label, one of those given.
    public let label: String
    /// The probability among the labels given, 0...1. Those of all labels sum to 1.
    public let probability: Float
    /// The number of which the probabilities are the softmax: `logitScale * cosine`.
    public let logit: Float
    /// The cosine of the image's embedding and the label's, -1...1.
    public let cosine: Float
}

/// Classifies images with labels of your choice.
///
///     let classifier = try ZeroShotClassifier(
///         model: model, labels: ["bicycle", "mountain"], templates: ["a photo of a {}."])
///     let best = try classifier.classify(RGBImage(contentsOfFile: "bike.jpg"), top: 1)[0]
///     print(best.label, best.probability)
///
/// Each label is put into every template, the normalised embeddings of the prompts are averaged, and
/// the mean is normalised again. An image's probabilities are the softmax of the scaled cosines.
///
/// Source: `Prompt_Engineering_for_ImageNet.ipynb` of openai/CLIP.
public struct ZeroShotClassifier: Sendable {
    /// What images are told apart by, in the order given.
    public let labels: [String]
    let model: CLIPModel
    private let labelVectors: UnitVectors
    /// One row a label, normalised: what another classifier of the same model can be made from.
    public let labelEmbeddings: Embeddings

    /// Encodes the labels.
    ///
    /// - Parameters:
    ///   - labels: at least two; of one, every image would be certain.
    ///   - templates: prompts with `{}` where the label goes; by default the label alone.
    ///   - truncating: whether a prompt that is too long is cut.
    /// - Throws: `CLIPError.invalidLabels` for fewer than two labels, no template, or a template
    ///   without `{}`; `.textTooLong` for a prompt that is too long.
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

    /// Returns the rows of ids of all prompts, label by label.
    static func prompts(
        _ labels: [String], _ templates: [String], _ model: CLIPModel, truncating: Bool
    ) throws(CLIPError) -> [[Int]] {
        try check(labels)
        guard !templates.isEmpty else { throw .invalidLabels(reason: "give at least one template") }
        if let bad = templates.first(where: { !$0.contains("{}") }) {
            throw .invalidLabels(reason: "the template \"\(bad)\" has no {} for the label")
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
        // Sorted, so that prompts of one template, which begin alike, are encoded together.
        let order = prompts.indices.sorted { prompts[$0].lexicographicallyPrecedes(prompts[$1]) }
        var sums = [Float](repeating: 0, count: labels * dimension)
        // Many at a time, and yet not the vectors of a hundred thousand at once.
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

    /// Takes embeddings of labels that were computed before.
    ///
    /// - Parameter labelEmbeddings: of the same model, one row a label, normalised.
    /// - Throws: `CLIPError.invalidLabels` for fewer than two labels or another number of rows,
    ///   `.wrongDimension` if the embeddings are not the model's.
    public init(
        model: CLIPModel, labels: [String], labelEmbeddings: Embeddings
    ) throws(CLIPError) {
        let dimension = model.configuration.embeddingDimension
        try Self.check(labels)
        guard labels.count == labelEmbeddings.count else {
            throw .invalidLabels(
                reason:
                    "expected \(labels.count) embeddings of labels, found \(labelEmbeddings.count)")
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
        guard labels.count >= 2 else {
            throw .invalidLabels(
                reason: """
                    give at least two labels, not \(labels.count): a probability says how much \
                    better one fits than the others
                    """)
        }
    }

    /// Returns the predictions of an image, best first.
    ///
    /// - Parameter top: The number of labels returned; all if nil.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func classify(_ image: RGBImage, top: Int? = nil) throws(CLIPError) -> [Prediction] {
        try classify([image], top: top)[0]
    }

    /// Returns the predictions of each image, best first.
    ///
    /// - Parameter top: The number of labels returned for each image; all if nil.
    /// - Throws: `CLIPError.nonFiniteResult` if the result is not finite.
    public func classify(
        _ images: [RGBImage], top: Int? = nil
    ) throws(CLIPError) -> [[Prediction]] {
        try predictions(of: model.encode(images: images), top: top)
    }

    /// Returns the predictions of each image, given its embedding, best first. Labels with equal
    /// cosines are in the order given.
    ///
    /// - Parameters:
    ///   - embeddings: The images' embeddings by the same model, normalised or not.
    ///   - top: The number of labels returned for each image; all if nil. Few of many labels are
    ///     selected without sorting the others.
    /// - Throws: `CLIPError.wrongDimension` if the embeddings are not the model's.
    public func predictions(
        of embeddings: Embeddings, top: Int? = nil
    ) throws(CLIPError) -> [[Prediction]] {
        try labelVectors.cosines(of: embeddings).map { cosines in
            let probabilities = model.probabilities(ofCosines: cosines)
            return largest(max(0, top ?? labels.count), of: cosines).map { i in
                Prediction(
                    label: labels[i], probability: probabilities[i],
                    logit: model.logitScale * cosines[i], cosine: cosines[i])
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

/// Returns the indices of the `count` largest numbers, the largest first and the lower index first
/// among equals.
func largest(_ count: Int, of numbers: [Float]) -> [Int] {
    func isBefore(_ a: Int, _ b: Int) -> Bool { (numbers[b], a) < (numbers[a], b) }
    // To insert into a longer list takes longer than to sort all.
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
