internal import CKernels

/// What follows a matrix product.
package enum Nonlinearity: Sendable {
    case identity, relu, quickGELU, gelu

    var code: clip_activation {
        switch self {
        case .identity: CLIP_IDENTITY
        case .relu: CLIP_RELU
        case .quickGELU: CLIP_QUICK_GELU
        case .gelu: CLIP_GELU
        }
    }
}

/// The weights of y = activation(x Wᵀ + b): the one front of every matrix product with weights.
///
/// W is [outputs, inputs], b is [outputs]. An element of y has the same bits whatever other rows x has,
/// and on however many threads: each is one sum, taken in the order of the inputs.
package struct ProductWeights: Sendable {
    let weights: PackedWeights
    let bias: Tensor?

    package var outputs: Int { weights.outputs }
    package var inputs: Int { weights.inputs }
    package var format: ElementFormat { weights.format }

    /// - Parameter format: how the weights, and x for their product, are held.
    package init(weight: Tensor, bias: Tensor? = nil, format: ElementFormat = .float32) {
        precondition(
            weight.shape.count == 2 && bias.map { $0.shape == [weight.shape[0]] } ?? true,
            "weight \(weight.shape), bias \(bias.map(\.shape) ?? [])")
        weights = PackedWeights(weight, format: format)
        self.bias = bias
    }

    /// activation(x Wᵀ + b): [rows, inputs] -> [rows, outputs].
    ///
    /// - Parameters:
    ///   - format: that of the result: float32 or bfloat16.
    ///   - rowsTogether: see `usesBLAS`.
    package func apply(
        _ x: Matrix, activation: Nonlinearity = .identity, format: ElementFormat = .float32,
        rowsTogether: Int = 1
    ) -> Matrix {
        let y = x.workspace.matrix(rows: x.rows, columns: outputs, format: format)
        multiply(
            Rows(x.converted(to: weights.format)), into: y, activation, rowsTogether: rowsTogether)
        return y
    }

    /// The same, into rows `first`... of a matrix that is there already.
    package func apply(
        _ x: Matrix, into y: Matrix, fromRow first: Int = 0, activation: Nonlinearity = .identity,
        rowsTogether: Int = 1
    ) {
        multiply(
            Rows(x.converted(to: weights.format)), into: y, at: Place(row: first), activation,
            rowsTogether: rowsTogether)
    }

    /// y = activation(y + x Wᵀ + b).
    package func apply(
        _ x: Matrix, addedTo y: Matrix, activation: Nonlinearity = .identity, rowsTogether: Int = 1
    ) {
        precondition(x.rows == y.rows, "\(x.rows) rows added to \(y.rows)")
        multiply(
            Rows(x.converted(to: weights.format)), into: y, adding: true, activation,
            rowsTogether: rowsTogether)
    }

    /// Rows of words that lie at regular distances: `lines` times `count`, each of `segments` parts.
    ///
    /// `@unchecked Sendable`: `start` lies in `matrix`, and products only read it.
    struct Rows: @unchecked Sendable {
        let matrix: Matrix
        var start: UnsafeMutableRawPointer
        var count: Int
        var lines = 1
        var lineStride = 0
        var stride: Int
        var words: Int
        var segments = 1
        var segmentStride = 0

        init(_ x: Matrix) {
            matrix = x
            start = x.bytes
            count = x.rows
            stride = x.stride
            words = x.format.words(x.columns)
        }

        /// Whether they are rows of the matrix, or of some of its columns, one after the other.
        var isPlain: Bool {
            lines == 1 && segments == 1 && stride == matrix.stride
                && matrix.rowsBeyond >= ProductEngine.rowsReadBeyond
        }
    }

    /// Where outputs go: every `step`th row from `row` on, from `column` on.
    struct Place {
        var row = 0
        var step = 1
        var column = 0
    }

    /// y = activation(x Wᵀ + b), or activation(y + x Wᵀ + b), by the engine of the workspace.
    func multiply(
        _ x: Rows, into y: Matrix, at place: Place = Place(), adding: Bool = false,
        _ activation: Nonlinearity, rowsTogether: Int = 1
    ) {
        precondition(
            x.words * x.segments == weights.format.words(inputs)
                && place.column + outputs <= y.columns
                && (y.columns == outputs || y.format == .float32)
                && place.row + (x.lines * x.count - 1) * place.step < y.rows
                && x.matrix.format == weights.format,
            "\(x.count) x \(x.words) by \(outputs) x \(inputs) into \(y.rows) x \(y.columns)")
        if x.isPlain && usesBLAS(x.matrix.workspace, rowsTogether: rowsTogether) {
            multiplyByBLAS(x, into: y, at: place, adding: adding, activation)
        } else {
            multiplyNatively(x, into: y, at: place, adding: adding, activation)
        }
    }
}
