internal import Tensors

/// The text tower: a causal transformer, whose result is its output at the end token.
///
/// No position attends to later ones. Therefore each text is computed only up to its end token,
/// without padding, and a prefix that neighbouring texts share is computed once.
///
/// Source: `CLIP.encode_text` in `model.py` of openai/CLIP.
struct TextEncoder: Sendable {
    private let tokenEmbedding: Parameters.Stored  // [vocabulary, width], read row by row
    private let positionalEmbedding: Tensor  // [context, width]
    private let transformer: Transformer
    private let lnFinal: LayerNorm
    private let textProjection: Linear
    private let width: Int

    init(
        _ parameters: Parameters, _ configuration: CLIPConfiguration, _ precision: Precision
    ) {
        let text = configuration.text
        width = text.width
        tokenEmbedding = parameters["token_embedding.weight"]
        positionalEmbedding = parameters.tensor("positional_embedding")
        transformer = Transformer(
            parameters.scoped("transformer"), name: "transformer", layers: text.layers,
            heads: text.heads, isCausal: true, format: precision.format,
            configuration: configuration)
        lnFinal = LayerNorm(
            parameters.scoped("ln_final"), epsilon: configuration.layerNormEpsilon)
        textProjection = Linear(parameters.projection("text_projection"))
    }

    /// Encodes rows of token ids that end with the end token; returns [rows, embedding dimension].
    func callAsFunction(
        _ tokens: [ArraySlice<Int>], workspace: Workspace, observer: StageObserver? = nil
    ) -> Matrix {
        let trie = TokenTrie(tokens)
        let x = embedded(trie, workspace)  // [distinct prefixes, width]
        observer?("embeddings", x)

        var y = transformer(
            x, sequences: trie.sequences, pooledAt: trie.ends, observer: observer)
        y = lnFinal(y)  // [texts, width]
        observer?("ln_final", y)
        y = textProjection(y)  // [texts, embedding dimension]
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
