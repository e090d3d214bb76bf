internal import Tensors

/// A layer norm, (x - mean) / √(variance + ε) · weight + bias, over the last dimension.
///
/// Source: `torch.nn.LayerNorm`.
struct LayerNorm: Sendable {
    private let weight: Tensor  // [width]
    private let bias: Tensor  // [width]
    private let epsilon: Float
    private let format: ElementFormat

    /// Makes a layer norm whose result has the given number format.
    init(_ parameters: Parameters, epsilon: Float, format: ElementFormat = .float32) {
        weight = parameters.tensor("weight")
        bias = parameters.tensor("bias")
        self.epsilon = epsilon
        self.format = format
    }

    /// Normalises each row, [rows, width] -> [rows, width].
    func callAsFunction(_ x: Matrix) -> Matrix {
        x.layerNormalized(weight: weight, bias: bias, epsilon: epsilon, format: format)
    }
}
