internal import Tensors

/// A pre-norm transformer block: x + attention(ln_1(x)), then x + mlp(ln_2(x)).
struct ResidualAttentionBlock: Sendable {
    private let ln1: LayerNorm
    private let attention: MultiHeadAttention
    private let ln2: LayerNorm
    private let mlp: MLP

    /// The options of a tower's blocks.
    struct Options {
        let heads: Int
        /// True if each position attends only to those up to itself.
        var isCausal = false
        let activation: Activation
        let layerNormEpsilon: Float
        /// The rotation of queries and keys by their positions; nil for none.
        var rotation: Rotation?
    }

    init(_ parameters: Parameters, _ options: Options, format: ElementFormat) {
        let epsilon = options.layerNormEpsilon
        ln1 = LayerNorm(parameters.scoped("ln_1"), epsilon: epsilon, format: format)
        attention = MultiHeadAttention(parameters.scoped("attn"), options, format: format)
        ln2 = LayerNorm(parameters.scoped("ln_2"), epsilon: epsilon, format: format)
        mlp = MLP(parameters.scoped("mlp"), activation: options.activation, format: format)
    }

    /// Updates the residual stream x, [rows, width], in place.
    func callAsFunction(
        _ x: Matrix, sequences: Sequences, name: String, observer: StageObserver?
    ) {
        attention(ln1(x), sequences: sequences, addedTo: x)
        observer?("\(name).attn", x)
        mlp(ln2(x), addedTo: x)
        observer?(name, x)
    }

    /// Returns the residual stream after the block at one position of each sequence, [sequences,
    /// width].
    ///
    /// Only these positions of the last block are used, so the others are not computed.
    func pooled(
        _ x: Matrix, sequences: Sequences, at rows: [Int], name: String,
        observer: StageObserver?
    ) -> Matrix {
        let y = x.gathered(rows)  // [sequences, width]
        attention.pooled(ln1(x), sequences: sequences, at: rows, addedTo: y)
        observer?("\(name).attn", y)
        mlp(ln2(y), addedTo: y)
        observer?(name, y)
        return y
    }
}
