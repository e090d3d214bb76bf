internal import Tensors

/// The text tower: a causal transformer, read at the end token.
///
/// No position sees what follows it, so each text is computed up to its end token only, and the
/// texts of a batch lie one below the other without padding.
///
/// Source: `CLIP.encode_text` in `model.py` of openai/CLIP.
struct TextEncoder: Sendable {
    private let tokenEmbedding: Parameters.Stored  // [vocabulary, width], read row by row
    private let positionalEmbedding: Tensor  // [context, width]
    private let transformer: Transformer
    private let lnFinal: LayerNorm
    private let textProjection: Linear
    private let width: Int

    init(_ parameters: Parameters, _ configuration: CLIPConfiguration) {
        let text = configuration.text
        width = text.width
        tokenEmbedding = parameters["token_embedding.weight"]
        positionalEmbedding = parameters.tensor("positional_embedding")
        transformer = Transformer(
            parameters.scoped("transformer"), name: "transformer", layers: text.layers,
            heads: text.heads, isCausal: true, configuration: configuration)
        lnFinal = LayerNorm(
            parameters.scoped("ln_final"), epsilon: configuration.layerNormEpsilon)
        textProjection = Linear(parameters.projection("text_projection"))
    }

    /// Rows of ids, each ending with its end token -> [rows, embedding dimension].
    func callAsFunction(
        _ tokens: [ArraySlice<Int>], workspace: Workspace, observer: StageObserver? = nil
    ) -> Matrix {
        let (x, sequences) = embedded(tokens, workspace)
        observer?("embeddings", x)

        let ends = sequences.map { $0.upperBound - 1 }
        var y = transformer(x, sequences: sequences, pooledAt: ends, observer: observer)
        y = lnFinal(y)  // [texts, width]
        observer?("ln_final", y)
        y = textProjection(y)  // [texts, embedding dimension]
        observer?("text_embedding", y)
        return y
    }

    /// The residual stream at every position, [texts * positions, width].
    ///
    /// - Parameters:
    ///   - tokens: rows of ids of one length.
    ///   - leavingOut: how many of the last blocks are not run.
    ///   - normed: whether the final LayerNorm follows.
    func hiddenStates(
        _ tokens: [ArraySlice<Int>], leavingOut count: Int, normed: Bool, workspace: Workspace,
        observer: StageObserver? = nil
    ) -> Matrix {
        let (x, sequences) = embedded(tokens, workspace)
        observer?("embeddings", x)
        transformer.run(x, sequences: sequences, leavingOut: count, observer: observer)
        guard normed else { return x }
        let y = lnFinal(x)
        observer?("ln_final", y)
        return y
    }

    /// The embeddings of tokens and positions, and which rows are which text's.
    private func embedded(
        _ tokens: [ArraySlice<Int>], _ workspace: Workspace
    ) -> (Matrix, [Range<Int>]) {
        let positions = tokens.reduce(0) { $0 + $1.count }
        let x = workspace.matrix(rows: positions, columns: width)  // [positions, width]
        var sequences: [Range<Int>] = []
        for row in tokens {
            let start = sequences.last?.upperBound ?? 0
            let sequence = start..<(start + row.count)
            tokenEmbedding.parts[0].tensor.loadRows(Array(row), into: x, fromRow: start)
            x.add(rowsOf: positionalEmbedding, to: sequence)
            sequences.append(sequence)
        }
        return (x, sequences)
    }
}
