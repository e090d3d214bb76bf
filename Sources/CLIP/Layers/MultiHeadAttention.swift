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
    private let rotation: Rotation?

    init(
        _ parameters: Parameters, _ options: ResidualAttentionBlock.Options, format: ElementFormat
    ) {
        let weight = parameters.matrix("in_proj_weight")  // query first, then key and value
        let bias = parameters.tensor("in_proj_bias")
        width = weight.inputs
        (heads, isCausal, rotation) = (options.heads, options.isCausal, options.rotation)
        query = Linear(weight.rows(0..<width), bias: bias.rows(0..<width), format: format)
        keyValue = Linear(
            weight.rows(width..<3 * width), bias: bias.rows(width..<3 * width), format: format)
        outProj = Linear(parameters.scoped("out_proj"), format: format)
    }

    /// Computes y += attention(x) in place, [rows, width].
    ///
    /// Each position attends to its whole sequence or, if causal, to the positions up to itself.
    func callAsFunction(_ x: Matrix, sequences: Sequences, addedTo y: Matrix) {
        let attended = attended(
            x, queries: x, at: nil, of: sequences.own, sequences)  // [rows, width]
        outProj(attended, addedTo: y)
    }

    /// Computes y += attention(x) at one position of each sequence, [sequences, width].
    ///
    /// `rows` contains the row of this position for each sequence. If attention is causal, the
    /// position must be the last one of the sequence.
    func pooled(_ x: Matrix, sequences: Sequences, at rows: [Int], addedTo y: Matrix) {
        let attended = attended(
            x, queries: x.gathered(rows), at: rows, of: rows.indices.map { $0..<($0 + 1) },
            sequences)
        outProj(attended, addedTo: y)
    }

    /// Returns the attention of queries, which are the rows of x with the given indices, or all.
    private func attended(
        _ x: Matrix, queries: Matrix, at indices: [Int]?, of ranges: [Range<Int>],
        _ sequences: Sequences
    ) -> Matrix {
        let q = query(queries)  // [queries, width]
        let kv = keyValue(x)  // [rows, 2 * width]
        if let rotation {
            let positions = sequences.positions(rows: x.rows)
            q.rotate(by: rotation, at: indices.map { $0.map { positions[$0] } } ?? positions)
            kv.rotate(by: rotation, at: positions, columns: 0..<width)
        }
        return scaledDotProductAttention(
            query: Columns(q, 0..<width), key: Columns(kv, 0..<width),
            value: Columns(kv, width..<2 * width), heads: heads, queries: ranges,
            keys: sequences.all, causal: isCausal)  // [queries, width]
    }
}
