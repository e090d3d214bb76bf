internal import Tensors

/// Two linear layers with an activation between, into the residual stream.
struct MLP: Sendable {
    private let cFc: Linear
    private let cProj: Linear
    private let hiddenFormat: ElementFormat

    init(_ parameters: Parameters, activation: Activation, format: ElementFormat) {
        cFc = Linear(
            parameters.scoped("c_fc"), activation: activation == .quickGELU ? .quickGELU : .gelu,
            format: format)
        cProj = Linear(parameters.scoped("c_proj"), format: format)
        // A row of bytes has to be whole before its scale is known.
        hiddenFormat = format == .bfloat16 ? .bfloat16 : .float32
    }

    /// y += MLP(x).
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        let hidden = cFc(x, format: hiddenFormat)  // [rows, 4 * width] in most models
        cProj(hidden, addedTo: y)  // [rows, width]
    }
}
