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
        case source(Tensor)
        case packed(Panels)
    }

    init(_ weight: Tensor, format: ElementFormat) {
        guard let kernel = Kernels.product(of: format) else {
            preconditionFailure("unsupported on this CPU: matrix products of \(format)")
        }
        self.kernel = kernel
        outputs = weight.shape[0]
        inputs = weight.shape[1]
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
                panels.pack(weight, panel, at: panel, by: nil)
            }
        }
        state = Mutex((.packed(panels), isUsed: true))
    }

    /// Returns the weights for a product; the second call packs them.
    func content(for workspace: Workspace) -> Content {
        state.withLock { state in
            if case .source(let weight) = state.content, state.isUsed {
                let panels = Panels(count: panelCount, inputs: inputs, format: format)
                workspace.team.split(panelCount) { _, range in
                    let rows = Panels.rows(inputs, format)
                    for panel in range { panels.pack(weight, panel, at: panel, by: rows) }
                }
                weight.forgetPages()
                state.content = .packed(panels)
            }
            state.isUsed = true
            return state.content
        }
    }

    var panelCount: Int { Panels.count(of: outputs) }

    /// The original matrix, [outputs, inputs]; nil once it has been packed.
    var source: Tensor? {
        state.withLock { state in
            guard case .source(let weight) = state.content else { return nil }
            return weight
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
    private let block: FloatBlock
    /// The scales of all outputs, then the sums of their bytes, of int8 weights; otherwise nil.
    private let scaleBlock: FloatBlock?
    private let count: Int

    init(count: Int, inputs: Int, format: ElementFormat) {
        self.count = count
        words = format.words(inputs)
        block = FloatBlock(capacity: count * words * Self.width)
        scaleBlock = format == .int8 ? FloatBlock(capacity: 2 * count * Self.width) : nil
    }

    func start(_ panel: Int) -> UnsafePointer<Float> {
        UnsafePointer(block.elements + panel * words * Self.width)
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

    /// Returns scratch memory for the converted rows of one panel; nil for float32.
    static func rows(_ inputs: Int, _ format: ElementFormat) -> FloatBlock? {
        guard format != .float32 else { return nil }
        let count = width * format.words(inputs)
        let block = FloatBlock(capacity: count)
        block.elements.update(repeating: 0, count: count)  // padding is zero
        return block
    }

    /// Packs up to 32 outputs of a weight matrix as a panel.
    ///
    /// - Parameters:
    ///   - weight: [outputs, inputs].
    ///   - source: The index of the panel in `weight`, whose first output is 32 times that.
    ///   - target: The index of the panel in this object.
    ///   - rows: The scratch memory that `rows(_:_:)` returned.
    func pack(_ weight: Tensor, _ source: Int, at target: Int, by rows: FloatBlock?) {
        let inputs = weight.shape[1]
        let first = source * Self.width
        let outputs = min(Self.width, weight.shape[0] - first)
        let kernels = Kernels.current
        let panel = UnsafeMutableRawPointer(block.elements + target * words * Self.width)
            .assumingMemoryBound(to: UInt32.self)
        var words = UnsafeRawPointer(weight.elements + first * inputs)
        if let rows {
            words = UnsafeRawPointer(rows.elements)
            for output in 0..<outputs {
                let x = weight.elements + (first + output) * inputs
                let row = UnsafeMutableRawPointer(rows.elements + output * self.words)
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
            words.assumingMemoryBound(to: UInt32.self), self.words, outputs, self.words, panel)
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
        var target = block.elements + panel * words * Self.width
        for input in 0..<weight.shape[0] {
            target.update(from: weight.elements + input * outputs + first, count: count)
            (target + count).update(repeating: 0, count: Self.width - count)
            target += Self.width
        }
    }
}
