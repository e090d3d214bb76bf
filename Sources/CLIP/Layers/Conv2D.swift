internal import Tensors

/// A batch norm that is folded into the convolution before it.
///
/// With s = weight / √(running_var + ε), batch norm is y = s · conv(x) + (bias - s · running_mean).
///
/// Source: `torch.nn.BatchNorm2d` in evaluation mode.
struct FoldedNorm {
    /// The factor s of each channel.
    let factors: [Float]
    /// The number that is added to each channel.
    let offsets: Tensor

    init(_ parameters: Parameters) {
        let epsilon: Float = 1e-5
        let variance = parameters.tensor("running_var").values
        let factors = zip(parameters.tensor("weight").values, variance).map {
            $0 / ($1 + epsilon).squareRoot()
        }
        self.factors = factors
        let offsets = zip(
            parameters.tensor("bias").values, zip(factors, parameters.tensor("running_mean").values)
        ).map { bias, product in bias - product.0 * product.1 }
        self.offsets = Tensor(offsets, shape: [offsets.count])
    }
}

/// A convolution, with the batch norm that follows folded into it, and an activation.
///
/// Source: `torch.nn.Conv2d`.
struct Conv2D: Sendable {
    private let weights: ProductWeights  // [out, kernel * kernel * in]
    private let kernel: Int
    private let stride: Int
    private let activation: Nonlinearity

    private let padding: Int

    /// Folds the batch norm named `norm` into the convolution named `convolution`.
    ///
    /// `padding` is the number of zeros on every side of the map; half of the kernel if nil.
    init(
        _ parameters: Parameters, _ convolution: String, _ norm: String, stride: Int = 1,
        padding: Int? = nil, activation: Nonlinearity, format: ElementFormat
    ) {
        let weight = parameters.tensor("\(convolution).weight")
        let norm = FoldedNorm(parameters.scoped(norm))
        weights = ProductWeights(
            weight: weight.convolutionRows(scaledBy: norm.factors), bias: norm.offsets,
            format: format)
        kernel = weight.shape[2]
        self.stride = stride
        self.padding = padding ?? kernel / 2
        self.activation = activation
    }

    /// Makes a convolution with a bias, without batch norm and activation.
    init(_ weight: Tensor, bias: Tensor, stride: Int, padding: Int, format: ElementFormat) {
        weights = ProductWeights(
            weight: weight.convolutionRows(
                scaledBy: [Float](repeating: 1, count: weight.shape[0])), bias: bias, format: format
        )
        kernel = weight.shape[2]
        self.stride = stride
        self.padding = padding
        activation = .identity
    }

    /// Convolves a map [batch, h, w, in] -> [batch, h / stride, w / stride, out].
    func callAsFunction(_ x: FeatureMap) -> FeatureMap {
        x.convolved(
            weights, kernel: kernel, stride: stride, padding: padding, activation: activation)
    }

    /// Computes y = activation(y + x Wᵀ + b) in place, for a 1 x 1 kernel.
    func callAsFunction(_ x: FeatureMap, addedTo y: FeatureMap) -> FeatureMap {
        weights.apply(
            x.matrix, addedTo: y.matrix, activation: activation, rowsTogether: x.height * x.width)
        return y
    }
}
