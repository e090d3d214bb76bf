internal import Tensors

/// The number format of the towers' matrix products.
///
/// ```swift
/// let fast = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
/// ```
///
/// In every precision, layer norms, softmax, residuals and embeddings are computed in float32.
/// Products accumulate in float32, those of int8 in int32.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// Weights and activations in float32, as in the reference.
    case fp32
    /// Weights and activations rounded to bfloat16.
    ///
    /// The products within attention (the scores, and the weighted values), the final projections
    /// and a ResNet's attention pool are float32.
    case bf16
    /// Weights and activations quantised to 8 bits.
    ///
    /// Weights have a scale for each output. Activations are quantised dynamically, with a scale
    /// and a zero point for each position. Layers whose quantisation was measured to cost the most
    /// accuracy are not quantised: a ViT's patch embedding and a ResNet's stem are bfloat16 if the
    /// CPU supports it, else float32. The products within attention, the final projections and a
    /// ResNet's attention pool are float32.
    case int8

    /// True if this CPU has instructions for the precision, and `CLIP_ISA` does not exclude them.
    ///
    /// bf16 needs AVX-512 BF16 or AMX. int8 needs AVX2; with VNNI or AMX it is more exact, because
    /// activations have eight bits instead of seven.
    public var isSupported: Bool { format.isSupported }

    var format: ElementFormat {
        switch self {
        case .fp32: .float32
        case .bf16: .bfloat16
        case .int8: .int8
        }
    }

    /// The number format of a ViT's patch embedding and a ResNet's stem.
    var firstFormat: ElementFormat {
        self == .int8 ? (ElementFormat.bfloat16.isSupported ? .bfloat16 : .float32) : format
    }
}
