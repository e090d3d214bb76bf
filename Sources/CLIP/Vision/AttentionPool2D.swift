internal import Tensors

/// Attention of the mean position over all positions of a feature map.
///
/// Source: `AttentionPool2d` in `model.py` of openai/CLIP.
struct AttentionPool2D: Sendable {
    private let positionalEmbedding: Tensor  // [1 + area, width]
    private let attention: MultiHeadAttention

    init(_ parameters: Parameters, heads: Int, format: ElementFormat) {
        positionalEmbedding = parameters.tensor("positional_embedding")
        let projections = ["q_proj", "k_proj", "v_proj"].map { parameters.scoped($0) }
        attention = MultiHeadAttention(
            weight: .stacked(projections.map { $0.tensor("weight") }),
            bias: .stacked(projections.map { $0.tensor("bias") }),
            outProj: Linear(parameters.scoped("c_proj"), format: .float32), heads: heads,
            isCausal: false, format: format)
    }

    /// [batch, height, width, channels] -> [batch, embedding dimension].
    func callAsFunction(_ map: FeatureMap) -> Matrix {
        let x = map.withMeanFirst()  // [batch * (1 + area), channels]
        let length = x.rows / map.batch
        let sequences = Sequences(count: map.batch, length: length)
        x.add(rowsOf: positionalEmbedding, at: sequences.own.flatMap { _ in 0..<length })
        return attention.pooled(x, sequences: sequences, at: sequences.own.map(\.lowerBound))
    }
}
