internal import Tensors

/// The text tower: a transformer whose result is its output at one position, usually the end token.
///
/// If the tower is causal, no position attends to later ones. Therefore each text is computed only
/// up to the pooled position, without padding, and a prefix that neighbouring texts share is
/// computed once. If it is not, the whole context is computed, padding included.
///
/// Sources: `CLIP.encode_text` in `model.py` of openai/CLIP, `TextTransformer` of open_clip.
struct TextEncoder: Sendable {
    private let tokenEmbedding: Parameters.Stored  // [vocabulary, width], read row by row
    private let positionalEmbedding: Tensor  // [context, width]
    private let transformer: Transformer
    private let lnFinal: LayerNorm
    private let textProjection: Linear?
    private let width: Int
    private let isCausal: Bool

    init(
        _ parameters: Parameters, _ configuration: CLIPConfiguration, _ precision: Precision
    ) {
        let text = configuration.text
        (width, isCausal) = (text.width, text.isCausal)
        tokenEmbedding = parameters["token_embedding.weight"]
        positionalEmbedding = parameters.tensor("positional_embedding")
        transformer = Transformer(
            parameters.scoped("transformer"), name: "transformer", layers: text.layers,
            .init(
                heads: text.heads, isCausal: text.isCausal, activation: text.activation,
                layerNormEpsilon: text.layerNormEpsilon),
            format: precision.format)
        lnFinal = LayerNorm(parameters.scoped("ln_final"), epsilon: text.layerNormEpsilon)
        switch text.projection {
        case .none: textProjection = nil
        case .linear: textProjection = Linear(parameters.projection("text_projection"))
        case .linearWithBias:
            textProjection = Linear(
                parameters.projection("text_projection"),
                bias: parameters.tensor("text_projection.bias"))
        }
    }

    /// Encodes texts; returns [texts, embedding dimension].
    func callAsFunction(
        _ texts: [TextRow], workspace: Workspace, observer: StageObserver? = nil
    ) -> Matrix {
        let trie = TokenTrie(texts.map(\.ids), shares: isCausal)
        let x = embedded(trie, workspace)  // [distinct prefixes, width]
        observer?("embeddings", x)

        let pooled =
            isCausal
            ? trie.ends : zip(trie.sequences.own, texts).map { $0.lowerBound + $1.position }
        var y = transformer(
            x, sequences: trie.sequences, pooledAt: pooled, observer: observer)
        y = lnFinal(y)  // [texts, width]
        observer?("ln_final", y)
        if let textProjection { y = textProjection(y) }  // [texts, embedding dimension]
        observer?("text_embedding", y)
        return y
    }

    /// Returns the residual stream at every position, [texts * positions, width].
    ///
    /// The rows of `tokens` must have equal lengths. The last `count` blocks are not run. The final
    /// LayerNorm is applied if `normed` is true.
    func hiddenStates(
        _ tokens: [ArraySlice<Int>], leavingOut count: Int, normed: Bool, workspace: Workspace,
        observer: StageObserver? = nil
    ) -> Matrix {
        let trie = TokenTrie(tokens, shares: false)
        let x = embedded(trie, workspace)
        observer?("embeddings", x)
        transformer.run(x, sequences: trie.sequences, leavingOut: count, observer: observer)
        guard normed else { return x }
        let y = lnFinal(x)
        observer?("ln_final", y)
        return y
    }

    /// Returns the sum of token and positional embeddings, [rows of the trie, width].
    private func embedded(_ trie: TokenTrie, _ workspace: Workspace) -> Matrix {
        let x = workspace.matrix(rows: trie.ids.count, columns: width)
        tokenEmbedding.parts[0].tensor.loadRows(trie.ids, into: x)
        x.add(rowsOf: positionalEmbedding, at: trie.positions)
        return x
    }
}
