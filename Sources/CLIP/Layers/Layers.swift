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

/// (x - mean) / √(variance + ε) · weight + bias, over the last dimension.
///
/// Source: `torch.nn.LayerNorm`.
struct LayerNorm: Sendable {
    private let weight: Tensor  // [width]
    private let bias: Tensor  // [width]
    private let epsilon: Float

    init(_ parameters: Parameters, epsilon: Float) {
        weight = parameters.tensor("weight")
        bias = parameters.tensor("bias")
        self.epsilon = epsilon
    }

    /// [rows, width] -> [rows, width].
    func callAsFunction(_ x: Matrix) -> Matrix {
        x.layerNormalized(weight: weight, bias: bias, epsilon: epsilon)
    }
}

/// Two linear layers with an activation between, into the residual stream.
struct MLP: Sendable {
    private let cFc: Linear
    private let cProj: Linear

    init(_ parameters: Parameters, activation: Activation) {
        cFc = Linear(
            parameters.scoped("c_fc"), activation: activation == .quickGELU ? .quickGELU : .gelu)
        cProj = Linear(parameters.scoped("c_proj"))
    }

    /// y += MLP(x).
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        let hidden = cFc(x)  // [rows, 4 * width] in most models
        cProj(hidden, addedTo: y)  // [rows, width]
    }
}
