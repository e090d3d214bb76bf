internal import Tensors

/// Two linear layers with an activation between them.
struct MLP: Sendable {
    private let cFc: Linear
    private let cProj: Linear
    private let hiddenFormat: ElementFormat

    init(_ parameters: Parameters, activation: Activation, format: ElementFormat) {
        let nonlinearity: Nonlinearity =
            switch activation {
            case .quickGELU: .quickGELU
            case .gelu: .gelu
            case .tanhGELU: .tanhGELU
            }
        cFc = Linear(parameters.scoped("c_fc"), activation: nonlinearity, format: format)
        cProj = Linear(parameters.scoped("c_proj"), format: format)
        // Dynamic quantisation to int8 needs the whole row, so hidden rows are kept in float32.
        hiddenFormat = format == .bfloat16 ? .bfloat16 : .float32
    }

    /// Computes y += MLP(x) in place, [rows, width].
    func callAsFunction(_ x: Matrix, addedTo y: Matrix) {
        let hidden = cFc(x, format: hiddenFormat)  // [rows, 4 * width] in most models
        cProj(hidden, addedTo: y)  // [rows, width]
    }
}
