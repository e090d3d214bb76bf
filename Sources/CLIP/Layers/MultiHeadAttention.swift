internal import Tensors

/// Self-attention with several heads, over sequences that lie one below the other.
///
/// Source: `torch.nn.MultiheadAttention`.
struct MultiHeadAttention: Sendable {
    private let query: Linear
    private let keyValue: Linear
    private let queryKeyValue: Linear
    private let outProj: Linear
    private let width: Int
    private let heads: Int
    private let isCausal: Bool

    /// - Parameters:
    ///   - weight: [3 * width, width], query first, then key and value.
    ///   - bias: [3 * width].
    init(weight: Tensor, bias: Tensor, outProj: Linear, heads: Int, isCausal: Bool) {
        width = weight.shape[1]
        self.heads = heads
        self.isCausal = isCausal
        self.outProj = outProj
        queryKeyValue = Linear(weight, bias: bias)
        query = Linear(weight.rows(0..<width), bias: bias.rows(0..<width))
        keyValue = Linear(weight.rows(width..<3 * width), bias: bias.rows(width..<3 * width))
    }

    init(_ parameters: Parameters, heads: Int, isCausal: Bool) {
        self.init(
            weight: parameters.tensor("in_proj_weight"), bias: parameters.tensor("in_proj_bias"),
            outProj: Linear(parameters.scoped("out_proj")), heads: heads, isCausal: isCausal)
    }

    /// y += attention(x), every position looking at its whole sequence (or at what lies before it).
    func callAsFunction(_ x: Matrix, sequences: [Range<Int>], addedTo y: Matrix) {
        let qkv = queryKeyValue(x)  // [rows, 3 * width]
        let attended = scaledDotProductAttention(
            query: Columns(qkv, 0..<width), key: Columns(qkv, width..<2 * width),
            value: Columns(qkv, 2 * width..<3 * width), heads: heads,
            queries: sequences, keys: sequences, causal: isCausal)  // [rows, width]
        outProj(attended, addedTo: y)
    }

    /// y += attention(x) at one position of each sequence: y is [sequences, width].
    ///
    /// - Parameter rows: the row of each sequence's position; its last one if this is causal.
    func pooled(_ x: Matrix, sequences: [Range<Int>], at rows: [Int], addedTo y: Matrix) {
        outProj(attended(x, sequences: sequences, at: rows), addedTo: y)
    }

    /// attention(x) at one position of each sequence: [sequences, outputs].
    func pooled(_ x: Matrix, sequences: [Range<Int>], at rows: [Int]) -> Matrix {
        outProj(attended(x, sequences: sequences, at: rows))
    }

    private func attended(_ x: Matrix, sequences: [Range<Int>], at rows: [Int]) -> Matrix {
        let q = query(x.gathered(rows))  // [sequences, width]
        let kv = keyValue(x)  // [rows, 2 * width]
        return scaledDotProductAttention(
            query: Columns(q, 0..<width), key: Columns(kv, 0..<width),
            value: Columns(kv, width..<2 * width), heads: heads,
            queries: rows.indices.map { $0..<($0 + 1) }, keys: sequences,
            causal: isCausal)  // [sequences, width]
    }
}
