import CLIP
import CLIPSearch
import Files

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// The score of a label for an image; `cosine` is nil for a probe, `sigmoid` for a probe and for
/// models without a logit bias.
struct LabelScore {
    let label: String
    let probability: Float
    let sigmoid: Float?
    let logit: Float
    let cosine: Float?

    /// The score as an object, without the numbers that are nil.
    var json: JSONValue {
        var members: [JSONValue.Member] = [
            ("label", .string(label)), ("probability", .float(probability)),
        ]
        if let sigmoid { members.append(("sigmoid", .float(sigmoid))) }
        members.append(("logit", .float(logit)))
        if let cosine { members.append(("cosine", .float(cosine))) }
        return .object(members)
    }

    /// The numbers in the order of the columns of CSV.
    var numbers: [Float] { [probability, logit] + [cosine, sigmoid].compactMap(\.self) }

    /// The start of a row of the table: the probability, the sigmoid if there is one, and the
    /// cosine or the probe's logit.
    var row: String {
        (fixed(100 * probability, 2) + " %").right(11) + " "
            + (sigmoid.map { (fixed(100 * $0, 2) + " %").right(8) + " " } ?? "")
            + (cosine.map { fixed($0, 4).right(8) } ?? fixed(logit, 4).right(8))
    }
}

/// The classifier of `clip zeroshot`: labels of the command line, or a trained probe.
enum ImageLabelling {
    case zeroShot(ZeroShotClassifier)
    case probe(StoredProbe)

    var labels: [String] {
        switch self {
        case .zeroShot(let classifier): classifier.labels
        case .probe(let probe): probe.classNames
        }
    }

    /// True if scores have a sigmoid: the model has a logit bias.
    private var hasSigmoid: Bool {
        switch self {
        case .zeroShot(let classifier): classifier.model.logitBias != nil
        case .probe: false
        }
    }

    /// The names of the numbers in the order of `LabelScore.numbers`.
    var numberNames: [String] {
        switch self {
        case .zeroShot: ["probability", "logit", "cosine"] + (hasSigmoid ? ["sigmoid"] : [])
        case .probe: ["probability", "logit"]
        }
    }

    /// The title of the numbers of a row of the table.
    var title: String {
        switch self {
        case .zeroShot: "probability \(hasSigmoid ? " sigmoid " : "")  cosine"
        case .probe: "probability    logit"
        }
    }

    /// Returns the labels of an image, best first; of equal ones, the lower index comes first.
    ///
    /// - Parameters:
    ///   - embedding: The image's embedding as the model gives it, one row.
    ///   - top: The largest number of labels; all if nil.
    /// - Returns: The best labels with their probabilities.
    /// - Throws: `CLIPError` or `AnalysisError` if the embedding has another dimension.
    func scores(of embedding: Embeddings, top: Int?) throws -> [LabelScore] {
        switch self {
        case .zeroShot(let classifier):
            return try classifier.predictions(of: embedding, top: top)[0].map {
                LabelScore(
                    label: $0.label, probability: $0.probability, sigmoid: $0.sigmoid,
                    logit: $0.logit, cosine: $0.cosine)
            }
        case .probe(let probe):
            let logits = try probe.logits(of: embedding)[0]
            let largest = logits.max() ?? 0
            let weights = logits.map { exp($0 - largest) }
            let sum = weights.reduce(0, +)
            let order = logits.indices.sorted { (logits[$1], $0) < (logits[$0], $1) }
            return order.prefix(top ?? order.count).map {
                LabelScore(
                    label: probe.classNames[$0], probability: weights[$0] / sum,
                    sigmoid: nil, logit: logits[$0], cosine: nil)
            }
        }
    }
}

extension ModelOptions {
    /// Loads the model whose embeddings a probe classifies.
    ///
    /// The probe's record overrides `CLIP_MODEL`; `--model` may give another path of the same
    /// weights, and `--precision` another precision.
    ///
    /// - Parameters:
    ///   - probe: The probe.
    ///   - path: The path of its file.
    ///   - common: The options that all subcommands share.
    /// - Returns: The model, and the name or absolute path that loads it again.
    /// - Throws: `ProbeFileError.otherModel` if `--model` names another model; `Failure` if the
    ///   model is not found.
    func load(
        _ probe: StoredProbe, at path: FilePath, _ common: CommonOptions
    ) throws -> (model: CLIPModel, name: String) {
        try load(probe.model, of: .probe(path), isUpdate: true, common)
    }
}

extension ImageOptions {
    /// Returns the options with which the images of a probe's training were decoded and
    /// preprocessed.
    ///
    /// Limits, and whether truncated images are accepted, stay as given: they do not change the
    /// embedding of an image that both accept.
    ///
    /// - Parameters:
    ///   - probe: The probe; the options stay as given if it does not state its decoding.
    ///   - path: The path of its file, for messages.
    /// - Returns: The options of the training.
    /// - Throws: `ProbeFileError.otherDecoding` if an option is given that contradicts them.
    func following(_ probe: StoredProbe, at path: FilePath) throws(ProbeFileError) -> ImageOptions {
        guard let stored = probe.decoding else { return self }
        let storedDecode: Decoding = stored.smallestSide > 0 ? .fast : .exact
        // --reference ignores the EXIF orientation and does not scale 16 bits.
        let isReference = !stored.appliesOrientation
        func contradiction(_ option: String, _ stored: String, _ given: String) -> ProbeFileError {
            .otherDecoding(
                path: "\(path)", stored: "with \(option) \(stored)",
                given: "with \(option) \(given)")
        }
        if let given = givenPreprocess, given != stored.rules {
            throw contradiction("--preprocess", stored.rules.rawValue, given.rawValue)
        }
        if let given = givenDecode, given != storedDecode {
            throw contradiction("--decode", storedDecode.rawValue, given.rawValue)
        }
        if reference && !isReference {
            throw .otherDecoding(
                path: "\(path)", stored: "without --reference", given: "with it")
        }
        var options = self
        options.givenPreprocess = stored.rules
        options.givenDecode = storedDecode
        options.reference = isReference
        return options
    }
}
