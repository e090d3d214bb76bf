internal import Tensors

/// Attention pooling by a learned query, and an MLP with a residual connection.
///
/// The query q does not depend on the image. Therefore it is computed once, and keys and values are
/// not computed: for the output x of a position, a head's score q · (K x + b) is (Kᵀ q) · x plus a
/// constant, which softmax cancels. The head's result Σ p (V x + b) is V (Σ p x) + b, because the
/// probabilities p sum to 1.
///
/// Source: `AttentionPoolLatent` of timm; `Siglip2MultiheadAttentionPoolingHead` of transformers.
struct LatentAttentionPool: Sendable {
    private let scores: Tensor  // Kᵀ q of each head, [heads, width]
    private let value: HeadWeights  // of each head, [width / heads, width]
    private let outProj: Linear
    private let ln: LayerNorm
    private let mlp: MLP
    private let heads: Int

    init(
        _ parameters: Parameters, heads: Int, activation: Activation, layerNormEpsilon: Float,
        format: ElementFormat
    ) {
        let weight = parameters.tensor("in_proj_weight")  // query first, then key and value
        let bias = parameters.tensor("in_proj_bias")
        let width = weight.shape[1]
        self.heads = heads
        func part(_ tensor: Tensor, _ third: Int, _ head: Int) -> Tensor {
            let size = width / heads
            let first = third * width + head * size
            return tensor.rows(first..<(first + size))
        }
        let query = parameters.tensor("latent").multiplied(
            byRowsOf: weight.rows(0..<width), adding: bias.rows(0..<width))  // [width]
        scores = .stacked(
            (0..<heads).map { head in
                part(weight, 1, head).combined(withFactors: part(query, 0, head))
                    .reshaped([1, width])
            })
        value = HeadWeights(
            (0..<heads).map { part(weight, 2, $0) }, biases: (0..<heads).map { part(bias, 2, $0) })
        outProj = Linear(parameters.scoped("out_proj"), format: format)
        ln = LayerNorm(parameters.scoped("ln"), epsilon: layerNormEpsilon, format: format)
        mlp = MLP(parameters.scoped("mlp"), activation: activation, format: format)
    }

    /// Pools each sequence, [rows, width] -> [sequences, width].
    func callAsFunction(_ x: Matrix, sequences: Sequences) -> Matrix {
        let (count, width) = (sequences.own.count, x.columns)
        let q = x.workspace.matrix(rows: count * heads, columns: width)
        for row in 0..<q.rows { q.setRow(row, to: scores.rows(row % heads..<row % heads + 1)) }
        let all = Columns(x, 0..<width)
        let mean = scaledDotProductAttention(
            query: Columns(q, 0..<width), key: all, value: all, heads: 1,
            queries: (0..<count).map { $0 * heads..<($0 + 1) * heads }, keys: sequences.all,
            causal: false, scale: 1 / Float(width / heads).squareRoot())
        // [sequences * heads, width]
        let y = outProj(value.merged(mean))  // [sequences, width]
        mlp(ln(y), addedTo: y)
        return y
    }
}
