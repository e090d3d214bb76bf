internal import Tensors

/// A convolution without bias, with the following batch norm folded into it, and an activation.
///
/// With s = weight / √(running_var + ε), batch norm is y = s · conv(x) + (bias - s · running_mean).
///
/// Source: `torch.nn.Conv2d` and `torch.nn.BatchNorm2d` in evaluation mode.
struct Conv2D: Sendable {
    private let weights: ProductWeights  // [out, kernel * kernel * in]
    private let kernel: Int
    private let stride: Int
    private let activation: Nonlinearity

    /// Folds the batch norm named `norm` into the convolution named `convolution`.
    init(
        _ parameters: Parameters, _ convolution: String, _ norm: String, stride: Int = 1,
        activation: Nonlinearity, format: ElementFormat
    ) {
        let epsilon: Float = 1e-5
        let weight = parameters.tensor("\(convolution).weight")
        let norm = parameters.scoped(norm)
        let variance = norm.tensor("running_var").values
        let factors = zip(norm.tensor("weight").values, variance).map {
            $0 / ($1 + epsilon).squareRoot()
        }
        let offsets = zip(
            norm.tensor("bias").values, zip(factors, norm.tensor("running_mean").values)
        ).map { bias, product in bias - product.0 * product.1 }
        weights = ProductWeights(
            weight: weight.convolutionRows(scaledBy: factors),
            bias: Tensor(offsets, shape: [offsets.count]), format: format)
        kernel = weight.shape[2]
        self.stride = stride
        self.activation = activation
    }

    /// Convolves a map [batch, h, w, in] -> [batch, h / stride, w / stride, out].
    func callAsFunction(_ x: FeatureMap) -> FeatureMap {
        x.convolved(
            weights, kernel: kernel, stride: stride, padding: kernel / 2, activation: activation)
    }

    /// Computes y = activation(y + x Wᵀ + b) in place, for a 1 x 1 kernel.
    func callAsFunction(_ x: FeatureMap, addedTo y: FeatureMap) -> FeatureMap {
        weights.apply(
            x.matrix, addedTo: y.matrix, activation: activation, rowsTogether: x.height * x.width)
        return y
    }
}
