internal import Tensors

/// Attention pooling: the mean of a feature map attends to all its positions.
///
/// There is one query, so keys and values are never computed. For the features x of a position, a
/// head's score q · (K x + b) is (Kᵀ q) · x plus a constant, which softmax cancels. The head's
/// result Σ p (V x + b) is V (Σ p x) + b, because the probabilities p sum to 1.
///
/// Source: `AttentionPool2d` in `model.py` of openai/CLIP.
struct AttentionPool2D: Sendable {
    private let positionalEmbedding: Tensor  // [1 + area, width]
    private let query: Linear
    private let transposedKey: HeadWeights  // of each head, [width, width / heads]
    private let value: HeadWeights  // of each head, [width / heads, width]
    private let outProj: Linear
    private let heads: Int

    init(_ parameters: Parameters, heads: Int) {
        positionalEmbedding = parameters.tensor("positional_embedding")
        self.heads = heads
        query = Linear(parameters.scoped("q_proj"), format: .float32)
        func parts(_ name: String) -> [Tensor] {
            let tensor = parameters.tensor(name)
            let size = tensor.shape[0] / heads
            return (0..<heads).map { tensor.rows($0 * size..<($0 + 1) * size) }
        }
        transposedKey = HeadWeights(parts("k_proj.weight").map { $0.transposed() })
        value = HeadWeights(parts("v_proj.weight"), biases: parts("v_proj.bias"))
        outProj = Linear(parameters.scoped("c_proj"), format: .float32)
    }

    /// Pools a map, [batch, height, width, channels] -> [batch, embedding dimension].
    func callAsFunction(_ map: FeatureMap) -> Matrix {
        let x = map.withMeanFirst()  // [batch * (1 + area), width]
        let (length, width) = (x.rows / map.batch, x.columns)
        let positions = (0..<map.batch).map { $0 * length..<($0 + 1) * length }
        x.add(rowsOf: positionalEmbedding, at: positions.flatMap { _ in 0..<length })
        let q = transposedKey.split(query(x.gathered(positions.map(\.lowerBound))))
        let all = Columns(x, 0..<width)
        let mean = scaledDotProductAttention(
            query: Columns(q, 0..<width), key: all, value: all, heads: 1,
            queries: positions.indices.map { $0 * heads..<($0 + 1) * heads },
            keys: positions.map { [$0] }, causal: false,
            scale: 1 / Float(width / heads).squareRoot())  // [batch * heads, width]
        return outProj(value.merged(mean))
    }
}
