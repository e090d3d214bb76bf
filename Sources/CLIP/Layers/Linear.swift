internal import Tensors

/// y = x Wᵀ + b, then an activation.
///
/// Source: `torch.nn.Linear`.
struct Linear: Sendable {
    private let weights: ProductWeights
    private let activation: Nonlinearity

    /// - Parameters:
    ///   - weight: [outputs, inputs].
    ///   - bias: [outputs].
    ///   - format: how both factors are held.
    init(
        _ weight: Tensor, bias: Tensor? = nil, activation: Nonlinearity = .identity,
        format: ElementFormat = .float32
    ) {
        weights = ProductWeights(weight: weight, bias: bias, format: format)
        self.activation = activation
    }

    init(
        _ parameters: Parameters, activation: Nonlinearity = .identity, format: ElementFormat
    ) {
        self.init(
            parameters.tensor("weight"), bias: parameters.tensor("bias"), activation: activation,
            format: format)
    }

    /// [rows, inputs] -> [rows, outputs].
    ///
    /// - Parameter format: that of the result: float32 or bfloat16.
    func callAsFunction(_ x: Matrix, format: ElementFormat = .float32) -> Matrix {
        weights.apply(x, activation: activation, format: format)
    }

    /// y += x Wᵀ + b.
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        weights.apply(x, addedTo: y, activation: activation)
    }
}
