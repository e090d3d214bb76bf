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
    init(_ weight: Tensor, bias: Tensor? = nil, activation: Nonlinearity = .identity) {
        weights = ProductWeights(weight: weight, bias: bias)
        self.activation = activation
    }

    init(_ parameters: Parameters, activation: Nonlinearity = .identity) {
        self.init(
            parameters.tensor("weight"), bias: parameters.tensor("bias"), activation: activation)
    }

    /// [rows, inputs] -> [rows, outputs].
    func callAsFunction(_ x: Matrix) -> Matrix { weights.apply(x, activation: activation) }

    /// y += x Wᵀ + b.
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        weights.apply(x, addedTo: y, activation: activation)
    }
}
