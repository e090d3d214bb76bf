internal import CKernels
internal import Synchronization

/// A weight matrix [outputs, inputs], packed into panels for the kernels at its second use.
///
/// Packing takes about as long as a product with fifty rows, and as much memory as the weights. So
/// the first product packs one panel at a time and drops it; the second one packs all panels and
/// keeps them. A process that encodes once needs no memory besides the mapped file.
final class PackedWeights: Sendable {
    let outputs: Int
    let inputs: Int
    let format: ElementFormat
    /// The kernel that computes products with weights of this format.
    let kernel: @convention(c) (UnsafePointer<clip_product>) -> Void
    private let state: Mutex<(content: Content, isUsed: Bool)>

    /// The weights in their current form: the original matrix, or packed into panels.
    enum Content: Sendable {
        case source(WeightMatrix)
        case packed(Panels)
    }

    init(_ weight: WeightMatrix, format: ElementFormat) {
        guard let kernel = Kernels.product(of: format) else {
            preconditionFailure("unsupported on this CPU: matrix products of \(format)")
        }
        self.kernel = kernel
        (outputs, inputs) = (weight.outputs, weight.inputs)
        self.format = format
        state = Mutex((.source(weight), isUsed: false))
    }

    /// Creates float32 weights that are packed at once, for the native engine only.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs]; [inputs, outputs] if it is transposed.
    ///   - isTransposed: True if W is the transpose of `weight`.
    init(packing weight: Tensor, isTransposed: Bool) {
        guard let kernel = Kernels.product(of: .float32) else {
            preconditionFailure("unsupported on this CPU: matrix products of float32")
        }
        (self.kernel, format) = (kernel, .float32)
        outputs = weight.shape[isTransposed ? 1 : 0]
        inputs = weight.shape[isTransposed ? 0 : 1]
        let panels = Panels(count: Panels.count(of: outputs), inputs: inputs, format: .float32)
        for panel in 0..<Panels.count(of: outputs) {
            if isTransposed {
                panels.packTranspose(of: weight, panel)
            } else {
                panels.pack(weight, panel)
            }
        }
        state = Mutex((.packed(panels), isUsed: true))
    }

    /// Returns the weights for a product; the second call packs them.
    func content(for workspace: Workspace) -> Content {
        state.withLock { state in
            if case .source(let weight) = state.content, state.isUsed {
                let panels = Panels(count: panelCount, inputs: inputs, format: format)
                let memory = workspace.compactMatrix(
                    rows: workspace.team.count, columns: Panels.Scratch.count(for: weight, format))
                workspace.team.split(panelCount) { part, range in
                    let scratch = Panels.Scratch(memory, row: part, for: weight, format)
                    for panel in range { panels.pack(weight, panel, at: panel, by: scratch) }
                }
                weight.forgetPages()
                state.content = .packed(panels)
            }
            state.isUsed = true
            return state.content
        }
    }

    var panelCount: Int { Panels.count(of: outputs) }

    /// The original matrix as float32, [outputs, inputs]; nil once it has been packed.
    ///
    /// If the file has another format, the first use converts the matrix and keeps the result.
    var source: Tensor? {
        state.withLock { state in
            guard case .source(let weight) = state.content else { return nil }
            let tensor = weight.tensor
            if weight.isStored { state.content = .source(WeightMatrix(tensor)) }
            return tensor
        }
    }
}

/// Weights in panels of 32 outputs, as `CProducts.h` describes them.
///
/// `@unchecked Sendable`: threads pack different panels, and all panels are packed before any is
/// read.
final class Panels: @unchecked Sendable {
    static let width = Int(CLIP_PANEL_OUTPUTS)

    /// Returns the number of panels that a number of outputs fills, the last one perhaps in part.
    static func count(of outputs: Int) -> Int { (outputs + width - 1) / width }

    let words: Int
    private let format: ElementFormat
    private let elements: UnsafeMutablePointer<Float>
    private let owner: AnyObject
    /// The scales of all outputs, then the sums of their bytes, of int8 weights; otherwise nil.
    private let scaleBlock: FloatBlock?
    private let count: Int

    init(count: Int, inputs: Int, format: ElementFormat) {
        (self.count, self.format, words) = (count, format, format.words(inputs))
        let block = FloatBlock(capacity: count * words * Self.width)
        (elements, owner) = (block.elements, block)
        scaleBlock = format == .int8 ? FloatBlock(capacity: 2 * count * Self.width) : nil
    }

    /// Makes a single panel in scratch memory.
    init(in scratch: Scratch, inputs: Int, format: ElementFormat) {
        (count, self.format, words) = (1, format, format.words(inputs))
        (elements, owner) = (scratch.panel, scratch.owner)
        scaleBlock = format == .int8 ? FloatBlock(capacity: 2 * Self.width) : nil
    }

    func start(_ panel: Int) -> UnsafePointer<Float> {
        UnsafePointer(elements + panel * words * Self.width)
    }

    func scales(_ panel: Int) -> UnsafePointer<Float>? {
        scaleBlock.map { UnsafePointer($0.elements + panel * Self.width) }
    }

    func sums(_ panel: Int) -> UnsafePointer<Int32>? {
        scaleBlock.map {
            UnsafeRawPointer($0.elements + (count + panel) * Self.width)
                .assumingMemoryBound(to: Int32.self)
        }
    }

    /// The scratch memory of a thread that packs panels, in a row of a matrix.
    struct Scratch {
        /// The place of a panel.
        fileprivate let panel: UnsafeMutablePointer<Float>
        /// The rows of one panel in float32, if they are not float32 in memory.
        fileprivate let floats: UnsafeMutablePointer<Float>
        /// The rows of one panel in the format of the panels, unless it is float32.
        fileprivate let words: UnsafeMutablePointer<Float>
        fileprivate let owner: Matrix

        /// The number of floats that packing a weight in a format needs, a multiple of 16.
        static func count(for weight: WeightMatrix, _ format: ElementFormat) -> Int {
            let words = format == .float32 ? 0 : format.words(weight.inputs)
            let floats = weight.isStored ? weight.inputs : 0
            return Panels.width * (format.words(weight.inputs) + words + floats)
        }

        /// Makes scratch memory of a row of `count(for:_:)` floats.
        init(_ matrix: Matrix, row: Int, for weight: WeightMatrix, _ format: ElementFormat) {
            let count = Panels.width * format.words(weight.inputs)
            owner = matrix
            panel = matrix.row(row)
            words = panel + count
            floats = words + (format == .float32 ? 0 : count)
            // The padding of rows is zero.
            if format != .float32,
                4 * format.words(weight.inputs) != weight.inputs * format.byteWidth
            {
                words.update(repeating: 0, count: count)
            }
        }
    }

    /// Packs up to 32 outputs of a weight matrix as a panel.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs].
    ///   - source: The index of the panel in `weight`, whose first output is 32 times that.
    ///   - target: The index of the panel in this object.
    ///   - scratch: The scratch memory for this weight and the format of the panels.
    func pack(_ weight: WeightMatrix, _ source: Int, at target: Int, by scratch: Scratch) {
        let first = source * Self.width
        let outputs = min(Self.width, weight.outputs - first)
        let range = first..<(first + outputs)
        if let numbers = weight.bfloat16Rows(range),
            pack(numbers, inputs: weight.inputs, outputs, at: target)
        {
            return
        }
        weight.withRows(range, scratch: scratch.floats) { numbers in
            pack(numbers, inputs: weight.inputs, outputs, at: target, by: scratch.words)
        }
    }

    /// Packs rows of bfloat16 numbers as a panel without scratch memory; false if that is not
    /// possible.
    private func pack(
        _ numbers: UnsafePointer<UInt16>, inputs: Int, _ outputs: Int, at target: Int
    ) -> Bool {
        let kernels = Kernels.current
        switch format {
        case .float32:
            kernels.pack_bfloat16(numbers, inputs, outputs, inputs, panel(target))
            return true
        case .bfloat16:
            let start = UnsafeRawPointer(numbers)
            guard 2 * words == inputs, Int(bitPattern: start) % 4 == 0 else { return false }
            kernels.pack(
                start.assumingMemoryBound(to: UInt32.self), words, outputs, words, panel(target))
            return true
        case .int8: return false
        }
    }

    /// Packs rows of float32 numbers as a panel.
    private func pack(
        _ numbers: UnsafePointer<Float>, inputs: Int, _ outputs: Int, at target: Int,
        by rows: UnsafeMutablePointer<Float>
    ) {
        let kernels = Kernels.current
        var words = UnsafeRawPointer(numbers)
        if format != .float32 {
            words = UnsafeRawPointer(rows)
            for output in 0..<outputs {
                let x = numbers + output * inputs
                let row = UnsafeMutableRawPointer(rows + output * self.words)
                guard let scaleBlock else {
                    kernels.float32_to_bfloat16?(
                        x, inputs, row.assumingMemoryBound(to: UInt16.self))
                    continue
                }
                let scale = scaleBlock.elements + target * Self.width + output
                let sum = UnsafeMutableRawPointer(scale + count * Self.width)
                kernels.quantize_symmetrically?(
                    x, inputs, row.assumingMemoryBound(to: Int8.self), scale,
                    sum.assumingMemoryBound(to: Int32.self))
            }
        }
        kernels.pack(
            words.assumingMemoryBound(to: UInt32.self), self.words, outputs, self.words,
            panel(target))
    }

    private func panel(_ index: Int) -> UnsafeMutablePointer<UInt32> {
        UnsafeMutableRawPointer(elements + index * words * Self.width)
            .assumingMemoryBound(to: UInt32.self)
    }

    /// Packs up to 32 outputs of a float32 matrix [outputs, inputs] into the panel of the same
    /// index.
    func pack(_ weight: Tensor, _ panel: Int) {
        let first = panel * Self.width
        let numbers = UnsafeRawPointer(weight.elements + first * words)
        withExtendedLifetime(weight) {
            Kernels.current.pack(
                numbers.assumingMemoryBound(to: UInt32.self), words,
                min(Self.width, weight.shape[0] - first), words, self.panel(panel))
        }
    }

    /// Packs up to 32 float32 outputs of the transpose of a matrix.
    ///
    /// - Parameters:
    ///   - weight: [inputs, outputs].
    ///   - panel: The index of the panel, whose first output is 32 times that.
    func packTranspose(of weight: Tensor, _ panel: Int) {
        let outputs = weight.shape[1]
        let first = panel * Self.width
        let count = min(Self.width, outputs - first)
        var target = elements + panel * words * Self.width
        for input in 0..<weight.shape[0] {
            target.update(from: weight.elements + input * outputs + first, count: count)
            (target + count).update(repeating: 0, count: Self.width - count)
            target += Self.width
        }
    }
}
