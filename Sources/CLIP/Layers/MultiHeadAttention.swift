internal import Tensors

/// Multi-head self-attention over sequences of rows.
///
/// Source: `torch.nn.MultiheadAttention`.
struct MultiHeadAttention: Sendable {
    private let query: Linear
    private let keyValue: Linear
    private let outProj: Linear
    private let width: Int
    private let heads: Int
    private let isCausal: Bool

    init(_ parameters: Parameters, heads: Int, isCausal: Bool, format: ElementFormat) {
        let weight = parameters.tensor("in_proj_weight")  // query first, then key and value
        let bias = parameters.tensor("in_proj_bias")
        width = weight.shape[1]
        self.heads = heads
        self.isCausal = isCausal
        query = Linear(weight.rows(0..<width), bias: bias.rows(0..<width), format: format)
        keyValue = Linear(
            weight.rows(width..<3 * width), bias: bias.rows(width..<3 * width), format: format)
        outProj = Linear(parameters.scoped("out_proj"), format: format)
    }

    /// Computes y += attention(x) in place, [rows, width].
    ///
    /// Each position attends to its whole sequence or, if causal, to the positions up to itself.
    func callAsFunction(_ x: Matrix, sequences: Sequences, addedTo y: Matrix) {
        let attended = attended(x, queries: x, of: sequences.own, sequences)  // [rows, width]
        outProj(attended, addedTo: y)
    }

    /// Computes y += attention(x) at one position of each sequence, [sequences, width].
    ///
    /// `rows` contains the row of this position for each sequence. If attention is causal, the
    /// position must be the last one of the sequence.
    func pooled(_ x: Matrix, sequences: Sequences, at rows: [Int], addedTo y: Matrix) {
        let attended = attended(
            x, queries: x.gathered(rows), of: rows.indices.map { $0..<($0 + 1) }, sequences)
        outProj(attended, addedTo: y)
    }

    private func attended(
        _ x: Matrix, queries: Matrix, of ranges: [Range<Int>], _ sequences: Sequences
    ) -> Matrix {
        let q = query(queries)  // [queries, width]
        let kv = keyValue(x)  // [rows, 2 * width]
        return scaledDotProductAttention(
            query: Columns(q, 0..<width), key: Columns(kv, 0..<width),
            value: Columns(kv, width..<2 * width), heads: heads, queries: ranges,
            keys: sequences.all, causal: isCausal)  // [queries, width]
    }
}
