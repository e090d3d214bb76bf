internal import Tensors

/// (x - mean) / √(variance + ε) · weight + bias, over the last dimension.
///
/// Source: `torch.nn.LayerNorm`.
struct LayerNorm: Sendable {
    private let weight: Tensor  // [width]
    private let bias: Tensor  // [width]
    private let epsilon: Float
    private let format: ElementFormat

    /// - Parameter format: that of the result.
    init(_ parameters: Parameters, epsilon: Float, format: ElementFormat = .float32) {
        weight = parameters.tensor("weight")
        bias = parameters.tensor("bias")
        self.epsilon = epsilon
        self.format = format
    }

    /// [rows, width] -> [rows, width].
    func callAsFunction(_ x: Matrix) -> Matrix {
        x.layerNormalized(weight: weight, bias: bias, epsilon: epsilon, format: format)
    }
}
