internal import CKernels

extension ProductWeights {
    /// Computes a product with the kernels of the instruction set in use.
    ///
    /// The work is split between the threads by panels of weights, by lines or by rows of x. The
    /// bits of the result do not depend on the split.
    func multiplyNatively(
        _ x: Rows, into y: Matrix, at place: Place, adding: Bool, _ activation: Nonlinearity
    ) {
        var product = clip_product(
            x: x.start, rows: x.count, stride: x.stride, words: x.words,
            y: y.bytes + place.row * y.stride + place.column * y.format.byteWidth,
            yStride: place.step * y.stride)
        product.lines = x.lines
        product.line_stride = x.lineStride
        product.segments = x.segments
        product.segment_stride = x.segmentStride
        product.y_line_stride = x.count * product.y_row_stride
        product.y_is_bfloat16 = y.format == .bfloat16 ? 1 : 0
        product.adding = adding ? 1 : 0
        product.activation = activation.code
        product.row_scales = UnsafePointer(x.matrix.scales)
        product.row_zeros = UnsafePointer(x.matrix.zeros)
        nonisolated(unsafe) let whole = product  // threads write disjoint outputs
        // The product holds pointers into both.
        defer { withExtendedLifetime((x.matrix, y)) {} }

        let workspace = x.matrix.workspace
        let panels = 0..<weights.panelCount
        let content = weights.content(for: workspace)
        let memory = scratchMemory(for: content, workspace)
        if case .packed = content, x.lines == 1 && x.count > outputs {
            // x is larger than the weights, so each thread reads rows of its own.
            workspace.team.split(x.count) { part, rows in
                compute(whole.of(rows: rows), panels, content, memory, part)
            }
        } else if x.lines > panels.count {
            workspace.team.split(x.lines) { part, lines in
                compute(whole.of(lines: lines), panels, content, memory, part)
            }
        } else {
            workspace.team.split(panels.count) { part, some in
                compute(whole, some, content, memory, part)
            }
        }
        if y.format == .bfloat16 {
            for i in 0..<x.lines * x.count { y.clearPadding(place.row + i * place.step) }
        }
    }

    /// Returns a row of scratch memory for each thread, if the weights are not packed yet.
    private func scratchMemory(
        for content: PackedWeights.Content, _ workspace: Workspace
    ) -> Matrix? {
        guard case .source(let weight) = content else { return nil }
        return workspace.compactMatrix(
            rows: workspace.team.count, columns: Panels.Scratch.count(for: weight, format))
    }

    /// Computes the outputs of a range of panels on the calling thread.
    ///
    /// Weights that are not packed yet are packed for this call only, one panel at a time.
    private func compute(
        _ product: clip_product, _ panels: Range<Int>, _ content: PackedWeights.Content,
        _ memory: Matrix?, _ thread: Int
    ) {
        switch content {
        case .packed(let packed):
            var part = self.part(of: product, panels, packed, from: 0)
            weights.kernel(&part)
        case .source(let weight):
            guard let memory else { return }
            let scratch = Panels.Scratch(memory, row: thread, for: weight, format)
            let packed = Panels(in: scratch, inputs: inputs, format: format)
            for panel in panels {
                packed.pack(weight, panel, at: 0, by: scratch)
                var part = self.part(of: product, panel..<(panel + 1), packed, from: panel)
                withExtendedLifetime(packed) { weights.kernel(&part) }
            }
        }
    }

    /// Returns a product restricted to the outputs of a range of panels.
    ///
    /// - Parameters:
    ///   - product: The whole product.
    ///   - panels: The indices of the panels among those of all weights.
    ///   - packed: The packed panels, which include `panels`.
    ///   - first: The index of the first panel of `packed` among those of all weights.
    /// - Returns: The restricted product, with the addresses of its panels.
    private func part(
        of product: clip_product, _ panels: Range<Int>, _ packed: Panels, from first: Int
    ) -> clip_product {
        let output = panels.lowerBound * Panels.width
        var part = product
        part.panels = UnsafeRawPointer(packed.start(panels.lowerBound - first))
        part.outputs = min(panels.upperBound * Panels.width, outputs) - output
        part.output_scales = packed.scales(panels.lowerBound - first)
        part.output_sums = packed.sums(panels.lowerBound - first)
        part.bias = bias.map { $0.elements + output }
        part.y += output * (product.y_is_bfloat16 == 1 ? 2 : 4)
        return part
    }
}

extension clip_product {
    /// Creates a product with a plain matrix x (one line of one segment).
    ///
    /// The caller sets the weights.
    ///
    /// Strides are in bytes.
    init(
        x: UnsafeRawPointer, rows: Int, stride: Int, words: Int, y: UnsafeMutableRawPointer,
        yStride: Int
    ) {
        self.init()
        self.x = x
        self.rows = rows
        row_stride = stride
        lines = 1
        self.words = words
        segments = 1
        self.y = y
        y_row_stride = yStride
        activation = CLIP_IDENTITY
    }

    /// Returns the product restricted to a range of the rows of every line.
    fileprivate func of(rows: Range<Int>) -> clip_product {
        var part = self
        part.x += rows.lowerBound * row_stride
        part.y += rows.lowerBound * y_row_stride
        part.rows = rows.count
        part.row_scales = row_scales.map { $0 + rows.lowerBound }
        part.row_zeros = row_zeros.map { $0 + rows.lowerBound }
        return part
    }

    /// Returns the product restricted to a range of lines.
    fileprivate func of(lines: Range<Int>) -> clip_product {
        var part = self
        part.x += lines.lowerBound * line_stride
        part.y += lines.lowerBound * y_line_stride
        part.lines = lines.count
        return part
    }
}
