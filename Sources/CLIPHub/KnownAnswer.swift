internal import Files
package import CLIP

/// A published output of a model for a given input, with which `clip verify` compares the output of
/// installed weights.
///
/// A model that reproduces these numbers agrees with the implementation that published them.
package struct KnownAnswer: Sendable {
    /// The name of the model: OpenAI's, open_clip's or that of a repository, or `tiny` for the
    /// small model that the command contains.
    package let model: String
    /// The project that published the output; for `tiny`, the library that computed it.
    package let source: String
    /// A short description of the compared quantity and its input.
    package let description: String
    /// The largest accepted absolute difference, which allows for rounding and another order of
    /// operations.
    package let tolerance: Double
    /// The part of the expected number's magnitude by which the accepted difference is larger than
    /// `tolerance`; 0 for most answers.
    package let relativeTolerance: Double

    private let quantity: Quantity
    private let rules: Tokenizer.Rules?
    private let texts: [String]
    private let ids: [[Int]]
    private let pixels: [Float]
    private let circles: [CircleDrawing]
    private let isNormalized: Bool
    private let first: Int
    private let expected: [[Double]]
    private let measure: Measure

    private enum Measure: String { case values, sum, norm }

    private enum Quantity: String {
        /// The embeddings of texts or images.
        case text, image
        /// The pooled outputs of a tower before the projection.
        case pooledText = "pooled text"
        case pooledImage = "pooled image"
        /// The token ids of texts with start and end tokens, without padding.
        case tokens
        /// The logits of each text with each image, with the model's bias if it has one.
        case logits
        /// The factor that turns cosines into logits, and the bias that is added to them.
        case logitScale = "logit scale"
        case logitBias = "logit bias"
    }

    /// The result of a comparison.
    package struct Outcome: Sendable, Equatable {
        /// The published numbers.
        package let expected: [Double]
        /// The numbers of the model.
        package let found: [Double]
        /// The largest absolute difference; infinity if the counts differ or the model's numbers
        /// are not all finite.
        package let difference: Double
        /// True if all differences are within the tolerance.
        package let isRight: Bool
    }

    /// All published outputs of the registry.
    package static let all: [KnownAnswer] = Registry.answers.flatMap { entry in
        let models = entry["models"]?.array?.compactMap(\.string) ?? []
        let answers = models.compactMap { KnownAnswer(entry, model: $0) }
        guard !answers.isEmpty, answers.count == models.count else {
            preconditionFailure("invalid answer in the registry: \(entry)")
        }
        return answers
    }

    /// The names of the models that have answers, without repetition.
    package static let models: [String] = all.reduce(into: []) {
        if !$0.contains($1.model) { $0.append($1.model) }
    }

    /// Returns the name under which the answers of a model are listed.
    ///
    /// - Parameter name: Any name of a model or of a repository that `ModelHub` accepts.
    /// - Returns: The name of the model in OpenAI's list or in `models`; nil if it is in neither.
    package static func model(named name: String) -> String? {
        let name = ModelHub.repository(name)
        if models.contains(name) { return name }
        guard let known = HubModel.named(name) ?? HubModel.configured(inRepository: name) else {
            return nil
        }
        return known.official?.name ?? (models.contains(known.name) ? known.name : nil)
    }

    init?(_ entry: JSONValue, model: String) {
        guard let source = entry["source"]?.string,
            let quantity = entry["what"]?.string.flatMap(Quantity.init),
            let tolerance = entry["tolerance"]?.number,
            let measure = [Measure.values, .sum, .norm].first(where: { entry[$0.rawValue] != nil }),
            let numbers = entry[measure.rawValue]?.array
        else { return nil }
        (self.model, self.source, self.quantity) = (model, source, quantity)
        (self.tolerance, self.measure) = (tolerance, measure)
        relativeTolerance = entry["relative"]?.number ?? 0
        rules = entry["rules"]?.string.flatMap(Tokenizer.Rules.init)
        texts = entry["texts"]?.array?.compactMap(\.string) ?? []
        ids = entry["ids"]?.array?.map { $0.array?.compactMap(\.integer) ?? [] } ?? []
        pixels = entry["pixels"]?.array?.compactMap { $0.number.map(Float.init) } ?? []
        circles =
            entry["circles"]?.array?.compactMap { size in
                guard let sides = size.array?.compactMap(\.integer), sides.count == 2 else {
                    return nil
                }
                return CircleDrawing(width: sides[0], height: sides[1])
            } ?? []
        isNormalized = entry["normalized"] == .bool(true)
        first = entry["first"]?.integer ?? 0
        expected = numbers.map { ($0.array ?? [$0]).compactMap(\.number) }
        let isComplete =
            (entry["rules"] == nil) == (rules == nil)
            && circles.count == entry["circles"]?.array?.count ?? 0
            && expected.allSatisfy { !$0.isEmpty }
        guard isComplete else { return nil }
        let inputs =
            texts.map { "\"\($0)\"" } + ids.map { "\($0.count) ids" }
            + pixels.map { "pixels of \($0)" }
            + circles.map { "a circle, \($0.width) x \($0.height)" }
        let more = inputs.count > 4 ? ", and \(inputs.count - 3) more" : ""
        let kind = isNormalized ? "\(quantity.rawValue) of length 1" : quantity.rawValue
        let prefix = measure == .values ? "" : "\(measure.rawValue) of "
        let suffix =
            (first == 0 ? "" : " from number \(first)")
            + (rules.map { " by the rules \($0.rawValue)" } ?? "")
        description =
            prefix + kind + suffix + (inputs.isEmpty ? "" : ": ")
            + inputs.prefix(more.isEmpty ? 4 : 3).joined(separator: ", ") + more
    }

    /// Runs a model on the input, and compares the model's output with the published one.
    ///
    /// Throws `CLIPError` if the input does not fit the model, or if its tokenizer is missing.
    package func check(_ model: CLIPModel) throws(CLIPError) -> Outcome {
        let rows = try rows(of: rules.map { model.following(tokenizer: $0) } ?? model)
        let found = rows.enumerated().map { index, row in
            switch measure {
            case .values:
                // The ids of a text must be all of the expected ones; embeddings are cut.
                let count =
                    quantity == .tokens || index >= expected.count
                    ? row.count : expected[index].count
                return Array(row.dropFirst(first).prefix(count))
            case .sum: return [row.reduce(0, +)]
            case .norm: return [row.reduce(0) { $0 + $1 * $1 }.squareRoot()]
            }
        }
        let isComparable =
            found.map(\.count) == expected.map(\.count)
            && found.allSatisfy { $0.allSatisfy(\.isFinite) }
        let pairs = zip(expected.joined(), found.joined())
        return Outcome(
            expected: Array(expected.joined()), found: Array(found.joined()),
            difference: isComparable ? pairs.map { abs($0 - $1) }.max() ?? .infinity : .infinity,
            isRight: isComparable
                && pairs.allSatisfy {
                    abs($0 - $1) <= tolerance + relativeTolerance * abs($0)
                })
    }

    /// Returns the quantity that a model computes for the input, one row per text or image.
    private func rows(of model: CLIPModel) throws(CLIPError) -> [[Double]] {
        switch quantity {
        case .logitScale: return [[Double(model.logitScale)]]
        case .logitBias: return [model.logitBias.map { [Double($0)] } ?? []]
        case .tokens: return try tokens(of: model).map { $0.map(Double.init) }
        case .text: return rows(of: try model.encode(tokens: tokens(of: model)))
        case .image: return rows(of: try images(of: model))
        case .pooledText:
            let tokens = try tokens(of: model)
            return split(try model.pooled(tokens: tokens), tokens.count)
        case .pooledImage:
            return split(model.pooled(pixels: constantImages(for: model)), pixels.count)
        case .logits:
            let cosines = try model.encode(tokens: tokens(of: model)).cosineSimilarities(
                to: images(of: model))
            return cosines.map { model.logits(ofCosines: $0).map(Double.init) }
        }
    }

    private func tokens(of model: CLIPModel) throws(CLIPError) -> [[Int]] {
        guard !texts.isEmpty else { return ids }
        let tokenizer = try model.tokenizer
        var rows = ids
        for text in texts {
            rows.append(
                try tokenizer.tokenize(
                    text, contextLength: model.configuration.text.contextLength))
        }
        return rows
    }

    /// Returns the embeddings of the input images.
    private func images(of model: CLIPModel) throws(CLIPError) -> Embeddings {
        guard !circles.isEmpty else { return try model.encode(pixels: constantImages(for: model)) }
        var images: [RGBImage] = []
        for circle in circles { images.append(try circle.image()) }
        return try model.encode(images: images)
    }

    /// Returns preprocessed images of one value each.
    private func constantImages(for model: CLIPModel) -> [Float] {
        let side = model.configuration.resolution
        return pixels.flatMap { [Float](repeating: $0, count: 3 * side * side) }
    }

    private func rows(of embeddings: Embeddings) -> [[Double]] {
        let found = isNormalized ? embeddings.normalized() : embeddings
        return split(found.values, found.count)
    }

    private func split(_ values: [Float], _ count: Int) -> [[Double]] {
        let width = values.count / max(1, count)
        return (0..<count).map { values[($0 * width)..<(($0 + 1) * width)].map(Double.init) }
    }
}
