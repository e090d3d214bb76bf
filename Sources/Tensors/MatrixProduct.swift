internal import CKernels

/// The activation function applied to a matrix product.
package enum Nonlinearity: Sendable {
    case identity, relu, quickGELU, gelu, tanhGELU

    var code: clip_activation {
        switch self {
        case .identity: CLIP_IDENTITY
        case .relu: CLIP_RELU
        case .quickGELU: CLIP_QUICK_GELU
        case .gelu: CLIP_GELU
        case .tanhGELU: CLIP_TANH_GELU
        }
    }
}

/// The weights W and b of a linear layer, y = activation(x Wᵀ + b), and its products.
///
/// W is [outputs, inputs], b is [outputs]. The bits of an element of y depend neither on the other
/// rows of x nor on the number of threads, unless the engine is `fastBLAS`.
package struct ProductWeights: Sendable {
    let weights: PackedWeights
    let bias: Tensor?

    package var outputs: Int { weights.outputs }
    package var inputs: Int { weights.inputs }
    package var format: ElementFormat { weights.format }

    /// Creates the weights of a product.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs].
    ///   - bias: [outputs]; zeros if nil.
    ///   - format: The number format of the weights, to which x is converted.
    package init(weight: Tensor, bias: Tensor? = nil, format: ElementFormat = .float32) {
        self.init(weight: WeightMatrix(weight), bias: bias, format: format)
    }

    /// Creates the weights of a product from numbers in memory or in a mapped file.
    package init(weight: WeightMatrix, bias: Tensor? = nil, format: ElementFormat = .float32) {
        precondition(
            bias.map { $0.shape == [weight.outputs] } ?? true,
            """
            expected a bias of \(weight.outputs) numbers, found the shape \(bias?.shape ?? [])
            """)
        weights = PackedWeights(weight, format: format)
        self.bias = bias
    }

    /// Creates float32 weights without a bias that are packed at once.
    ///
    /// They are for the engine `native` only.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs]; [inputs, outputs] if it is transposed.
    ///   - isTransposed: True if W is the transpose of `weight`.
    package init(packing weight: Tensor, isTransposed: Bool = false) {
        precondition(
            weight.shape.count == 2, "expected a matrix, found the shape \(weight.shape)")
        weights = PackedWeights(packing: weight, isTransposed: isTransposed)
        bias = nil
    }

    /// Returns activation(x Wᵀ + b).
    ///
    /// - Parameters:
    ///   - x: [rows, inputs].
    ///   - activation: The function applied to every output.
    ///   - format: The format of the result: float32 or bfloat16.
    ///   - rowsTogether: The least number of rows of x in a product, such as the tokens of an
    ///     image; 1 if that is unknown.
    /// - Returns: [rows, outputs].
    package func apply(
        _ x: Matrix, activation: Nonlinearity = .identity, format: ElementFormat = .float32,
        rowsTogether: Int = 1
    ) -> Matrix {
        let y = x.workspace.matrix(rows: x.rows, columns: outputs, format: format)
        multiply(
            Rows(x.converted(to: weights.format)), into: y, activation, rowsTogether: rowsTogether)
        return y
    }

    /// Sets the rows of y from `first` on to activation(x Wᵀ + b).
    package func apply(
        _ x: Matrix, into y: Matrix, fromRow first: Int = 0, activation: Nonlinearity = .identity,
        rowsTogether: Int = 1
    ) {
        multiply(
            Rows(x.converted(to: weights.format)), into: y, at: Place(row: first), activation,
            rowsTogether: rowsTogether)
    }

    /// Sets y to activation(y + x Wᵀ + b).
    package func apply(
        _ x: Matrix, addedTo y: Matrix, activation: Nonlinearity = .identity, rowsTogether: Int = 1
    ) {
        precondition(x.rows == y.rows, "expected \(y.rows) rows of x, as of y, found \(x.rows)")
        multiply(
            Rows(x.converted(to: weights.format)), into: y, adding: true, activation,
            rowsTogether: rowsTogether)
    }

    /// The layout in memory of the rows of x: `lines` lines of `count` rows of `segments` segments.
    ///
    /// Lines, rows and segments are `lineStride`, `stride` and `segmentStride` bytes apart. A
    /// segment has `words` 4-byte words. A plain matrix is one line of one segment. In a
    /// convolution, a line has the outputs of one image row, and a segment the pixels under one row
    /// of the kernel.
    ///
    /// `@unchecked Sendable`: `start` points into `matrix`, which products only read.
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

        /// True if the rows are consecutive rows of the matrix, or of a range of its columns, and a
        /// BLAS may read beyond the last one, because the matrix has spare memory there.
        var isPlain: Bool {
            lines == 1 && segments == 1 && stride == matrix.stride
                && matrix.rowsBeyond >= ProductEngine.rowsReadBeyond
        }
    }

    /// The outputs' position in y: every `step`th row from `row` on, columns from `column` on.
    struct Place {
        var row = 0
        var step = 1
        var column = 0
    }

    /// Computes activation(x Wᵀ + b), or activation(y + x Wᵀ + b) if `adding`, with the engine of
    /// the workspace.
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
            """
            expected rows of x of \(weights.format.words(inputs)) words in \(weights.format), and \
            y with place for \(outputs) outputs of each, found \(x.lines * x.count) rows of \
            \(x.words * x.segments) words in \(x.matrix.format), and y of \(y.rows) x \
            \(y.columns) numbers in \(y.format)
            """)
        if x.isPlain && usesBLAS(x.matrix.workspace, rowsTogether: rowsTogether) {
            multiplyByBLAS(x, into: y, at: place, adding: adding, activation)
        } else {
            multiplyNatively(x, into: y, at: place, adding: adding, activation)
        }
    }
}
