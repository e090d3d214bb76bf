internal import Tensors

/// The arithmetic of the towers' matrix products.
///
/// Whatever it is, layer norms, softmax, residuals and sums are float32 (sums of bytes int32), and so are
/// the embeddings.
public enum Precision: String, Sendable, CaseIterable, Codable {
    /// Weights and activations in float32: the reference's.
    case fp32
    /// Both rounded to bfloat16 for every product, but for a ResNet's attention pool, which is float32.
    case bf16
    /// Both rounded to bytes: weights with a scale for each output, activations with a scale and a zero
    /// for each position, taken when they are there. What sees the pixels is bfloat16 where the CPU has
    /// it, else float32, and a ResNet's attention pool is float32: in bytes they were measured to change
    /// most. The attention's scores and the projection are float32.
    case int8

    /// True if this CPU has instructions for it: bf16 needs AVX-512 BF16 or AMX; int8 needs AVX2,
    /// and is more exact with VNNI or AMX, where activations have eight bits rather than seven.
    public var isSupported: Bool { format.isSupported }

    var format: ElementFormat {
        switch self {
        case .fp32: .float32
        case .bf16: .bfloat16
        case .int8: .int8
        }
    }

    /// Of the convolutions that see the pixels.
    var firstFormat: ElementFormat {
        self == .int8 ? (ElementFormat.bfloat16.isSupported ? .bfloat16 : .float32) : format
    }
}
