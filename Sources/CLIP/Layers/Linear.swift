internal import Tensors

/// A linear layer with an activation function, y = activation(x Wᵀ + b).
///
/// Source: `torch.nn.Linear`.
struct Linear: Sendable {
    private let weights: ProductWeights
    private let activation: Nonlinearity

    /// Makes a layer from a weight [outputs, inputs] and a bias [outputs].
    ///
    /// `format` is the number format of both factors of the product.
    init(
        _ weight: Tensor, bias: Tensor? = nil, activation: Nonlinearity = .identity,
        format: ElementFormat = .float32
    ) {
        self.init(WeightMatrix(weight), bias: bias, activation: activation, format: format)
    }

    init(
        _ weight: WeightMatrix, bias: Tensor?, activation: Nonlinearity = .identity,
        format: ElementFormat
    ) {
        weights = ProductWeights(weight: weight, bias: bias, format: format)
        self.activation = activation
    }

    init(
        _ parameters: Parameters, activation: Nonlinearity = .identity, format: ElementFormat
    ) {
        self.init(
            parameters.matrix("weight"), bias: parameters.tensor("bias"), activation: activation,
            format: format)
    }

    /// Applies the layer, [rows, inputs] -> [rows, outputs].
    ///
    /// `format` is the number format of the result, float32 or bfloat16.
    func callAsFunction(_ x: Matrix, format: ElementFormat = .float32) -> Matrix {
        weights.apply(x, activation: activation, format: format)
    }

    /// Computes y = activation(y + x Wᵀ + b) in place.
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        weights.apply(x, addedTo: y, activation: activation)
    }
}
