/// A weight matrix [outputs, inputs]: float32 in memory or mapped, or numbers of any format in a
/// mapped file.
///
/// Numbers in a file are converted where they are used, a few rows at a time, so that weights that
/// are used once need no memory besides the file.
package struct WeightMatrix: Sendable {
    private enum Source: Sendable {
        case tensor(Tensor)
        /// Tensors of equal width, one below the other.
        case stored([StoredTensor])
    }

    package let outputs: Int
    package let inputs: Int
    private let source: Source
    /// The row of `source` that is the first of this matrix.
    private let first: Int

    /// Makes a matrix of a tensor [outputs, inputs].
    package init(_ tensor: Tensor) {
        precondition(
            tensor.shape.count == 2, "expected a matrix, found the shape \(tensor.shape)")
        self.init(
            source: .tensor(tensor), outputs: tensor.shape[0], inputs: tensor.shape[1], first: 0)
    }

    /// Makes a matrix of tensors in a file, [outputs, inputs] each, one below the other.
    package init(stacking parts: [StoredTensor]) {
        let inputs = parts.first?.shape.last ?? 0
        precondition(
            parts.allSatisfy { $0.shape.count == 2 && $0.shape[1] == inputs },
            "expected matrices of equal width, found the shapes \(parts.map(\.shape))")
        let outputs = parts.reduce(0) { $0 + $1.shape[0] }
        // Mapped float32 numbers need no conversion, and those of odd strides are rare.
        let needsNoCopy = parts.count == 1 && parts[0].type == .float32
        if needsNoCopy || !parts.allSatisfy(\.isRowMajor) {
            let tensors = parts.map { $0.load() }
            self.init(tensors.count == 1 ? tensors[0] : .stacked(tensors))
        } else {
            self.init(source: .stored(parts), outputs: outputs, inputs: inputs, first: 0)
        }
    }

    private init(source: Source, outputs: Int, inputs: Int, first: Int) {
        (self.source, self.outputs, self.inputs, self.first) = (source, outputs, inputs, first)
    }

    /// Returns a range of the rows, without a copy.
    package func rows(_ range: Range<Int>) -> WeightMatrix {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= outputs,
            "expected rows within 0..<\(outputs), found \(range)")
        return WeightMatrix(
            source: source, outputs: range.count, inputs: inputs, first: first + range.lowerBound)
    }

    /// True if rows have to be converted or copied before they are used.
    var isStored: Bool {
        if case .stored = source { return true }
        return false
    }

    /// The matrix as a float32 tensor: a view of `source` if it is one, else a copy.
    var tensor: Tensor {
        switch source {
        case .tensor(let tensor): return tensor.rows(first..<(first + outputs))
        case .stored:
            return Tensor(shape: [outputs, inputs]) { target in
                convert(0..<outputs, to: target)
            }
        }
    }

    /// Calls `body` with the address of the float32 numbers of consecutive rows.
    ///
    /// `scratch` has place for the rows if `isStored`.
    func withRows(
        _ range: Range<Int>, scratch: UnsafeMutablePointer<Float>,
        _ body: (UnsafePointer<Float>) -> Void
    ) {
        switch source {
        case .tensor(let tensor):
            withExtendedLifetime(tensor) {
                body(tensor.elements + (first + range.lowerBound) * inputs)
            }
        case .stored:
            convert(range, to: scratch)
            body(UnsafePointer(scratch))
        }
    }

    /// The address of consecutive rows that lie in a file as bfloat16, one after the other; nil for
    /// others.
    ///
    /// The address is valid as long as the matrix exists.
    func bfloat16Rows(_ range: Range<Int>) -> UnsafePointer<UInt16>? {
        guard case .stored(let parts) = source else { return nil }
        let wanted = (first + range.lowerBound)..<(first + range.upperBound)
        var start = 0
        for part in parts {
            let own = start..<(start + part.shape[0])
            if own.contains(wanted.lowerBound), wanted.upperBound <= own.upperBound {
                return part.bfloat16(fromRow: wanted.lowerBound - start)
            }
            start = own.upperBound
        }
        return nil
    }

    /// Releases the memory of numbers in a mapped file; later use reads them from the disk again.
    func forgetPages() {
        switch source {
        case .tensor(let tensor): tensor.rows(first..<(first + outputs)).forgetPages()
        case .stored(let parts):
            var start = 0
            for part in parts {
                let own = (first..<(first + outputs)).clamped(to: start..<(start + part.shape[0]))
                if !own.isEmpty {
                    part.forgetPages(ofRows: (own.lowerBound - start)..<(own.upperBound - start))
                }
                start += part.shape[0]
            }
        }
    }

    /// Converts consecutive rows of stored tensors to float32.
    private func convert(_ range: Range<Int>, to target: UnsafeMutablePointer<Float>) {
        guard case .stored(let parts) = source else { return }
        var (target, start) = (target, 0)
        let wanted = (first + range.lowerBound)..<(first + range.upperBound)
        for part in parts {
            let own = wanted.clamped(to: start..<(start + part.shape[0]))
            if !own.isEmpty {
                part.convert(rows: (own.lowerBound - start)..<(own.upperBound - start), to: target)
                target += own.count * inputs
            }
            start += part.shape[0]
        }
    }
}
