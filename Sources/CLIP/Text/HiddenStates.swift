internal import Tensors

/// What the text tower makes of every position of some texts.
public struct HiddenStates: Sendable, Hashable {
    /// After which block of the tower.
    public enum Layer: String, Sendable, CaseIterable, Codable {
        case last
        case penultimate
    }

    /// [texts, positions, width], row-major.
    public let values: [Float]
    /// Positions a text, the model's context: 77.
    public let positions: Int
    /// The tower's width.
    public let width: Int

    /// How many texts there are.
    public var count: Int { values.count / (positions * width) }

    /// Those of one text, a vector a position.
    public subscript(text: Int) -> [ArraySlice<Float>] {
        precondition(text >= 0 && text < count, "text \(text) of \(count)")
        return (0..<positions).map {
            let start = (text * positions + $0) * width
            return values[start..<(start + width)]
        }
    }
}

extension CLIPModel {
    /// What the text tower makes of every position of texts, for models that are conditioned on it.
    ///
    /// Of texts that Hugging Face's rules tokenize (`following(tokenizer: .huggingFace)`), Stable
    /// Diffusion 1 takes the last block with the final norm, padded with 49407; 2 the one before it with the
    /// norm, padded with 0; SDXL the one before it without the norm, padded with 49407 for its first text
    /// tower (ViT-L/14) and with 0 for its second (ViT-bigG/14).
    ///
    /// - Parameters:
    ///   - texts: of any number.
    ///   - layer: after which block.
    ///   - finalNorm: whether the final LayerNorm follows.
    ///   - padding: the id that fills rows up to the context; the tokenizer's if nil.
    ///   - truncating: whether a text of more tokens than the context is cut.
    /// - Throws: as `encode(texts:)`, and `CLIPError.invalidTokens` for a padding outside the vocabulary.
    public func hiddenStates(
        of texts: [String], after layer: HiddenStates.Layer = .last, finalNorm: Bool = true,
        padding: Int? = nil, truncating: Bool = false
    ) throws(CLIPError) -> HiddenStates {
        let length = configuration.text.contextLength
        let rows = try rows(of: texts, truncating: truncating).map {
            tokenizer.padded($0, to: length, with: padding)
        }
        return try hiddenStates(ofTokens: rows, after: layer, finalNorm: finalNorm)
    }

    /// The same of texts that are tokenized and padded already.
    ///
    /// - Parameter tokens: rows of as many ids as the context has positions.
    /// - Throws: `CLIPError.invalidTokens` if a row has another length or an id outside the vocabulary;
    ///   `.nonFiniteResult` if the weights make no number.
    public func hiddenStates(
        ofTokens tokens: [[Int]], after layer: HiddenStates.Layer = .last, finalNorm: Bool = true
    ) throws(CLIPError) -> HiddenStates {
        let (length, width) = (configuration.text.contextLength, configuration.text.width)
        for row in tokens {
            try check(row)
            guard row.count == length else {
                throw .invalidTokens(
                    reason: "a row has \(row.count), where hidden states are of \(length)")
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
