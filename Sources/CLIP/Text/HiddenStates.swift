internal import Tensors

/// The hidden states of the text tower at every position of each text.
///
/// ```swift
/// let model = try CLIPModel(path: "ViT-L-14").following(tokenizer: .huggingFace)
/// let states = try model.hiddenStates(of: ["a photo of a dog"])
/// print(states.count, states.positions, states.width)  // 1 77 768
/// ```
public struct HiddenStates: Sendable, Hashable {
    /// The block of the text tower whose output is returned.
    public enum Layer: String, Sendable, CaseIterable, Codable {
        case last
        case penultimate
    }

    /// The numbers, [texts, positions, width], row-major.
    public let values: [Float]
    /// The number of positions of each text: the model's context length, 77 for CLIP.
    public let positions: Int
    /// The number of channels of the text tower.
    public let width: Int

    /// The number of texts.
    public var count: Int { values.count / (positions * width) }

    /// The hidden states of one text, a vector for each position.
    public subscript(text: Int) -> [ArraySlice<Float>] {
        precondition(text >= 0 && text < count, "expected a text in 0..<\(count), found \(text)")
        return (0..<positions).map {
            let start = (text * positions + $0) * width
            return values[start..<(start + width)]
        }
    }
}

extension CLIPModel {
    /// Returns the hidden states of texts, on which other models, such as diffusion models, are
    /// conditioned.
    ///
    /// The models below expect texts tokenized by Hugging Face's rules
    /// (`following(tokenizer: .huggingFace)`):
    ///
    /// | model | text tower | layer | final norm | padding |
    /// |---|---|---|---|---|
    /// | Stable Diffusion 1 | ViT-L/14 | last | yes | 49407 |
    /// | Stable Diffusion 2 | ViT-H/14 | penultimate | yes | 0 |
    /// | SDXL | ViT-L/14 | penultimate | no | 49407 |
    /// | SDXL | ViT-bigG/14 | penultimate | no | 0 |
    ///
    /// - Parameters:
    ///   - texts: Any number of texts.
    ///   - layer: The block whose output is returned.
    ///   - finalNorm: True to apply the final LayerNorm.
    ///   - padding: The id that fills rows up to the context length; the tokenizer's padding id
    ///     if nil.
    ///   - truncating: True to truncate texts that have more tokens than the context.
    /// - Returns: The hidden states of all positions, padding included.
    /// - Throws: `CLIPError.textTooLong` if a text is too long and `truncating` is false,
    ///   `.unknownToken` if `padding` is outside the vocabulary, `.nonFiniteResult` if the weights
    ///   produce NaN or infinity.
    public func hiddenStates(
        of texts: [String], after layer: HiddenStates.Layer = .last, finalNorm: Bool = true,
        padding: Int? = nil, truncating: Bool = false
    ) throws(CLIPError) -> HiddenStates {
        let length = configuration.text.contextLength
        let tokenizer = try tokenizer
        let rows = try rows(of: texts, truncating: truncating).map {
            tokenizer.padded($0, to: length, with: padding)
        }
        return try hiddenStates(ofTokens: rows, after: layer, finalNorm: finalNorm)
    }

    /// Returns the hidden states of texts that are tokenized and padded already.
    ///
    /// - Parameters:
    ///   - tokens: Rows of ids, each as long as the context.
    ///   - layer: The block whose output is returned.
    ///   - finalNorm: True to apply the final LayerNorm.
    /// - Returns: The hidden states of all positions.
    /// - Throws: `CLIPError.wrongTokenCount` if a row has another length, `.unknownToken` if an id
    ///   is outside the vocabulary, `.nonFiniteResult` if the weights produce NaN or infinity.
    public func hiddenStates(
        ofTokens tokens: [[Int]], after layer: HiddenStates.Layer = .last, finalNorm: Bool = true
    ) throws(CLIPError) -> HiddenStates {
        let (length, width) = (configuration.text.contextLength, configuration.text.width)
        for row in tokens {
            try check(row)
            guard row.count == length else {
                throw .wrongTokenCount(expected: length...length, found: row.count)
            }
        }
        guard !tokens.isEmpty else {
            return HiddenStates(values: [], positions: length, width: width)
        }
        let encoder = textual.value
        let skipped = layer == .last ? 0 : 1
        let groups = EncodingGroups(count: tokens.count, threads: threads, largest: 4)
        let states = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            func pass(_ observer: StageObserver?) -> Matrix {
                encoder.hiddenStates(
                    tokens[group].map { $0[...] }, leavingOut: skipped, normed: finalNorm,
                    workspace: workspace, observer: observer)
            }
            return try finiteValues(of: pass(nil), pass)
        }
        return HiddenStates(values: states.flatMap(\.self), positions: length, width: width)
    }
}
