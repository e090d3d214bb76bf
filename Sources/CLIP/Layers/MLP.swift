internal import Tensors

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
