import CLIP
import CLIPSearch

/// A function from the embedding of an image to a logit for each class.
struct EvalScorer {
    /// The task in CLIP_benchmark's JSON.
    let task: String
    /// The prefix of the keys of the metrics in CLIP_benchmark's JSON.
    let keyPrefix: String
    /// The description for the report, such as "2 templates".
    let description: String
    let classNames: [String]
    /// The factor from cosines to logits; nil if the logits are not multiples of cosines.
    let cosineScale: Float?
    /// Returns one row of logits for each embedding, which need not be normalised.
    let logits: (Embeddings) throws -> [[Float]]

    /// The scale of the logits, the same for all models: 100, as in CLIP_benchmark.
    static let scale: Float = 100

    /// Creates the scorer of zero-shot classification: the cosines with the labels times 100.
    ///
    /// - Parameters:
    ///   - model: The model.
    ///   - classNames: The names of at least two classes, which may be equal.
    ///   - templates: The prompt templates, with `{}` in place of the class name.
    /// - Returns: The scorer.
    /// - Throws: `CLIPError` if the prompts cannot be encoded.
    static func zeroShot(
        _ model: CLIPModel, _ classNames: [String], templates: [String]
    ) throws -> EvalScorer {
        let classifier = try PromptOptions.classifier(
            model, classNames, templates, truncating: true)
        let vectors = UnitVectors(classifier.labelEmbeddings)
        let prompt = templates.count == 1 ? "the template \"\(templates[0])\"" : nil
        return EvalScorer(
            task: "zeroshot_classification", keyPrefix: "",
            description: prompt ?? counted(templates.count, "template"), classNames: classNames,
            cosineScale: scale,
            logits: { try vectors.cosines(of: $0).map { $0.map { scale * $0 } } })
    }

    /// Creates the scorer of a probe for the classes of a data set, which may be in another order.
    ///
    /// - Parameters:
    ///   - probe: The probe.
    ///   - classNames: The names of the data set's classes.
    ///   - path: The path of the probe, for messages.
    /// - Returns: The scorer, whose logits are in the order of `classNames`.
    /// - Throws: `Failure` if the probe has other classes than the data set.
    static func probe(
        _ probe: StoredProbe, classNames: [String], path: String
    ) throws -> EvalScorer {
        var order: [Int]?
        if probe.classNames != classNames {
            let places = Dictionary(
                probe.classNames.enumerated().map { ($1, $0) },
                uniquingKeysWith: { first, _ in first })
            let found = classNames.compactMap { places[$0] }
            guard classNames.count == probe.classNames.count, Set(found).count == classNames.count
            else {
                let other = classNames.first { places[$0] == nil }
                if other == nil, Set(classNames).count < classNames.count {
                    throw Failure(
                        """
                        the probe \(path) has other classes than the data set, or the same in \
                        another order: several classes of the data set have one name, so its \
                        classes must be those of the probe in the same order
                        """)
                }
                throw Failure(
                    """
                    the probe \(path) has other classes than the data set: expected \
                    \(grouped(classNames.count)), found \(grouped(probe.classNames.count))\
                    \(other.map { " without \"\($0)\"" } ?? "")
                    """)
            }
            order = found
        }
        let places = order
        return EvalScorer(
            task: "linear_probe", keyPrefix: "lp_",
            description: "the probe \(path) (\(probe.method.rawValue))", classNames: classNames,
            cosineScale: nil,
            logits: { embeddings in
                let logits = try probe.logits(of: embeddings)
                return places.map { places in logits.map { row in places.map { row[$0] } } }
                    ?? logits
            })
    }
}

/// Returns the indices of the `count` largest logits, largest first; of equal logits, the lower
/// index comes first.
func topClasses(_ count: Int, of logits: [Float]) -> [Int] {
    var best: [Int] = []
    for index in logits.indices {
        let place = best.lastIndex { logits[$0] >= logits[index] }.map { $0 + 1 } ?? 0
        guard place < count else { continue }
        best.insert(index, at: place)
        if best.count > count { best.removeLast() }
    }
    return best
}
