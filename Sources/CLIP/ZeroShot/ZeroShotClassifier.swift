internal import Tensors

/// What a picture is taken for, among some labels.
public struct Prediction: Sendable, Equatable {
    /// One of the labels given.
    public let label: String
    /// Among the labels given, 0...1; those of all labels sum to 1.
    public let probability: Float
    /// `logitScale * cosine`: what the probabilities are the softmax of.
    public let logit: Float
    /// Of the picture's embedding and the label's, -1...1.
    public let cosine: Float
}

/// Classifies pictures with words alone.
///
/// Each label is put into every template, the normalised embeddings of the prompts are averaged, and
/// the mean is normalised again. A picture's probabilities are the softmax of the scaled cosines.
///
/// Source: `Prompt_Engineering_for_ImageNet.ipynb` of openai/CLIP.
public struct ZeroShotClassifier: Sendable {
    /// What pictures are told apart by, in the order given.
    public let labels: [String]
    let model: CLIPModel
    /// One row a label, normalised: what another classifier of the same model can be made from.
    public let labelEmbeddings: Embeddings

    /// Encodes the labels.
    ///
    /// - Parameters:
    ///   - labels: at least two; of one, every picture would be certain.
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
        return Embeddings(values: sums.map { $0 / count }, dimension: dimension).normalized()
    }

    /// Takes embeddings of labels that were computed before.
    ///
    /// - Parameter labelEmbeddings: of the same model, one row a label, normalised.
    /// - Throws: `CLIPError.invalidLabels` for fewer than two labels.
    public init(
        model: CLIPModel, labels: [String], labelEmbeddings: Embeddings
    ) throws(CLIPError) {
        precondition(
            labels.count == labelEmbeddings.count
                && labelEmbeddings.dimension == model.configuration.embeddingDimension,
            "\(labels.count) labels, \(labelEmbeddings.count) rows of \(labelEmbeddings.dimension)")
        try Self.check(labels)
        self.model = model
        self.labels = labels
        self.labelEmbeddings = labelEmbeddings
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

    /// What each of some pictures is taken for, best first.
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the weights make no number.
    public func classify(_ images: [RGBImage]) throws(CLIPError) -> [[Prediction]] {
        predictions(of: try model.encode(images: images))
    }

    /// What pictures of some embeddings are taken for, best first.
    public func predictions(of embeddings: Embeddings) -> [[Prediction]] {
        embeddings.cosineSimilarities(to: labelEmbeddings).map { cosines in
            let probabilities = model.probabilities(ofCosines: cosines)
            return labels.indices
                .sorted { (cosines[$1], $0) < (cosines[$0], $1) }
                .map { i in
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
