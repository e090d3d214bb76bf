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
        apply(x, into: y, activation: activation, rowsTogether: rowsTogether)
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

    func multiply(
        _ x: Rows, into y: Matrix, at place: Place = Place(), adding: Bool = false,
        _ activation: Nonlinearity, rowsTogether: Int = 1
    ) {
        let count = x.lines * x.count
        precondition(
            x.words * x.segments == weights.format.words(inputs)
                && place.column + outputs <= y.columns
                && (y.columns == outputs || y.format == .float32)
                && place.row + (count - 1) * place.step < y.rows
                && x.matrix.format == weights.format,
            "\(x.count) x \(x.words) by \(outputs) x \(inputs) into \(y.rows) x \(y.columns)")
        if x.isPlain && usesBLAS(x.matrix.workspace, rowsTogether: rowsTogether) {
            return multiplyByBLAS(x, into: y, at: place, adding: adding, activation)
        }
        var whole = clip_product()
        whole.x = UnsafeRawPointer(x.start)
        whole.rows = x.count
        whole.row_stride = x.stride
        whole.lines = x.lines
        whole.line_stride = x.lineStride
        whole.words = x.words
        whole.segments = x.segments
        whole.segment_stride = x.segmentStride
        whole.y = y.bytes + place.row * y.stride + place.column * y.format.byteWidth
        whole.y_row_stride = place.step * y.stride
        whole.y_line_stride = x.count * whole.y_row_stride
        whole.y_is_bfloat16 = y.format == .bfloat16 ? 1 : 0
        whole.adding = adding ? 1 : 0
        whole.activation = activation.code
        whole.row_scales = UnsafePointer(x.matrix.scales)
        whole.row_zeros = UnsafePointer(x.matrix.zeros)
        nonisolated(unsafe) let product = whole  // its parts write disjoint outputs

        let workspace = x.matrix.workspace
        switch weights.content(for: workspace) {
        case .packed(let panels):
            if x.lines == 1 && x.count > outputs {
                // The rows are more to read than the weights: no thread reads another's.
                workspace.team.split(x.count) { _, rows in
                    multiply(
                        product.of(rows), part: 0..<weights.panelCount, lines: 0..<1, x, y,
                        panels, panelsFrom: 0)
                }
            } else {
                inParts(x, workspace) { part, lines in
                    multiply(product, part: part, lines: lines, x, y, panels, panelsFrom: 0)
                }
            }
        case .source(let weight):
            let format = weights.format
            inParts(x, workspace) { part, lines in
                let panels = Panels(count: 1, inputs: inputs, format: format)
                let rows = Panels.rows(inputs, format)
                for panel in part {
                    panels.pack(weight, panel, at: 0, by: rows)
                    multiply(
                        product, part: panel..<(panel + 1), lines: lines, x, y, panels,
                        panelsFrom: panel)
                }
            }
        }
        if y.format == .bfloat16 {
            for i in 0..<count { y.clearPadding(place.row + i * place.step) }
        }
    }

    /// Each thread takes some of the panels, or of the lines where there are more of those.
    private func inParts(
        _ x: Rows, _ workspace: Workspace,
        _ body: @Sendable (_ panels: Range<Int>, _ lines: Range<Int>) -> Void
    ) {
        if x.lines > weights.panelCount {
            workspace.team.split(x.lines) { body(0..<weights.panelCount, $1) }
        } else {
            workspace.team.split(weights.panelCount) { body($1, 0..<x.lines) }
        }
    }

    /// The outputs of some panels for some lines, on this thread.
    private func multiply(
        _ whole: clip_product, part: Range<Int>, lines: Range<Int>, _ x: Rows, _ y: Matrix,
        _ panels: Panels, panelsFrom first: Int
    ) {
        let output = part.lowerBound * Panels.width
        var product = whole
        product.x = whole.x + lines.lowerBound * x.lineStride
        product.lines = lines.count
        product.panels = UnsafeRawPointer(panels.start(part.lowerBound - first))
        product.outputs = min(part.upperBound * Panels.width, outputs) - output
        product.output_scales = panels.scales(part.lowerBound - first)
        product.output_sums = panels.sums(part.lowerBound - first)
        product.bias = bias.map { $0.elements + output }
        product.y =
            whole.y + lines.lowerBound * whole.y_line_stride
            + output * (y.format == .bfloat16 ? 2 : 4)
        Kernels.multiply(&product, weights.format)
    }
}

extension Kernels {
    /// Products of numbers of a kind that the CPU multiplies.
    static func multiply(_ product: inout clip_product, _ format: ElementFormat) {
        switch format {
        case .float32: current.multiply_float32(&product)
        case .bfloat16: current.multiply_bfloat16?(&product)
        case .int8: current.multiply_int8?(&product)
        }
    }
}

extension clip_product {
    /// Some rows of every line.
    fileprivate func of(_ rows: Range<Int>) -> clip_product {
        var part = self
        part.x += rows.lowerBound * row_stride
        part.y += rows.lowerBound * y_row_stride
        part.rows = rows.count
        part.row_scales = row_scales.map { $0 + rows.lowerBound }
        part.row_zeros = row_zeros.map { $0 + rows.lowerBound }
        return part
    }
}
