internal import Files
package import CLIP

/// A published output of a model for a given input, with which `clip verify` compares the output of
/// installed weights.
///
/// A model that reproduces these numbers agrees with the implementation that published them.
package struct KnownAnswer: Sendable {
    /// The name of the model: OpenAI's, or `tiny` for the small model that the command contains.
    package let model: String
    /// The project that published the output; for `tiny`, the library that computed it.
    package let source: String
    /// A short description of the compared quantity and its input.
    package let description: String
    /// The largest accepted absolute difference, which allows for rounding and another order of
    /// operations.
    package let tolerance: Double

    private let quantity: String
    private let texts: [String]
    private let ids: [[Int]]
    private let pixels: [Float]
    private let isNormalized: Bool
    private let first: Int
    private let expected: [Double]
    private let measure: Measure

    private enum Measure: String { case values, sum, norm }

    /// The result of a comparison.
    package struct Outcome: Sendable, Equatable {
        /// The published numbers.
        package let expected: [Double]
        /// The numbers of the model.
        package let found: [Double]
        /// The largest absolute difference; infinity if the counts differ or the model's numbers
        /// are not all finite.
        package let difference: Double
        /// True if the difference is within the tolerance.
        package let isRight: Bool
    }

    /// All published outputs of the registry.
    package static let all: [KnownAnswer] = Registry.answers.map { entry in
        guard let answer = KnownAnswer(entry) else {
            preconditionFailure("invalid answer in the registry: \(entry)")
        }
        return answer
    }

    private init?(_ entry: JSONValue) {
        guard let model = entry["model"]?.string, let source = entry["source"]?.string,
            let quantity = entry["what"]?.string, let tolerance = entry["tolerance"]?.number,
            let measure = [Measure.values, .sum, .norm].first(where: { entry[$0.rawValue] != nil })
        else { return nil }
        (self.model, self.source, self.quantity) = (model, source, quantity)
        (self.tolerance, self.measure) = (tolerance, measure)
        texts = entry["texts"]?.array?.compactMap(\.string) ?? []
        ids = entry["ids"]?.array?.map { $0.array?.compactMap(\.integer) ?? [] } ?? []
        pixels = entry["pixels"]?.array?.compactMap { $0.number.map(Float.init) } ?? []
        isNormalized = entry["normalized"] == .bool(true)
        first = entry["first"]?.integer ?? 0
        expected =
            entry[measure.rawValue]?.array?.flatMap { $0.array ?? [$0] }.compactMap(\.number) ?? []
        let inputs =
            texts.map { "\"\($0)\"" } + ids.map { "\($0.count) ids" }
            + pixels.map { "pixels of \($0)" }
        let kind = isNormalized ? "\(quantity) of length 1" : quantity
        let prefix = measure == .values ? "" : "\(measure.rawValue) of "
        description = "\(prefix)\(kind): \(inputs.joined(separator: ", "))"
    }

    /// Runs a model on the input, and compares the model's output with the published one.
    ///
    /// Throws `CLIPError` if the input does not fit the model.
    package func check(_ model: CLIPModel) throws(CLIPError) -> Outcome {
        let rows = try rows(of: model)
        var found: [Double] = []
        let width = expected.count / max(1, rows.count)
        for row in rows {
            switch measure {
            case .values: found += row.dropFirst(first).prefix(width).map(Double.init)
            case .sum: found.append(row.reduce(0) { $0 + Double($1) })
            case .norm:
                found.append(row.reduce(0) { $0 + Double($1) * Double($1) }.squareRoot())
            }
        }
        let differences = zip(expected, found).map { abs($0 - $1) }
        let isComparable = found.count == expected.count && found.allSatisfy(\.isFinite)
        let difference = isComparable ? differences.max() ?? .infinity : .infinity
        return Outcome(
            expected: expected, found: found, difference: difference,
            isRight: difference <= tolerance)
    }

    /// Returns the quantity that a model computes for the input, one row per text or image.
    private func rows(of model: CLIPModel) throws(CLIPError) -> [[Float]] {
        let side = model.configuration.resolution
        let images = pixels.flatMap { [Float](repeating: $0, count: 3 * side * side) }
        var tokens = ids
        for text in texts {
            tokens.append(
                try model.tokenizer.tokenize(
                    text, contextLength: model.configuration.text.contextLength))
        }
        func split(_ values: [Float], _ count: Int) -> [[Float]] {
            let width = values.count / max(1, count)
            return (0..<count).map { Array(values[($0 * width)..<(($0 + 1) * width)]) }
        }
        switch quantity {
        case "pooled text": return split(model.pooled(tokens: tokens), tokens.count)
        case "pooled image": return split(model.pooled(pixels: images), pixels.count)
        case "logits":
            let cosines = try model.encode(tokens: tokens).cosineSimilarities(
                to: model.encode(pixels: images))
            return cosines.map { model.logits(ofCosines: $0) }
        default:
            let isText = quantity == "text"
            var embeddings =
                try isText ? model.encode(tokens: tokens) : model.encode(pixels: images)
            if isNormalized { embeddings = embeddings.normalized() }
            return split(embeddings.values, isText ? tokens.count : pixels.count)
        }
    }
}
