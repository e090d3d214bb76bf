internal import CKernels

/// How the numbers of matrices and weights are held. Sums are taken in float32, of bytes in int32.
package enum ElementFormat: Sendable, CaseIterable {
    /// IEEE binary32.
    case float32
    /// The upper half of float32.
    case bfloat16
    /// Bytes with a scale: unsigned with a zero of its own for each row of activations, signed for
    /// each output of weights.
    case int8

    /// Whether this CPU multiplies numbers of this kind, by the instruction set in use.
    package var isSupported: Bool { Kernels.product(of: self) != nil }

    var byteWidth: Int {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        case .int8: 1
        }
    }

    /// The words of four bytes that a row of so many numbers takes, filled up with zeros.
    func words(_ count: Int) -> Int {
        if self == .float32 { return count }
        let multiple = Int(CLIP_WORDS_MULTIPLE)
        return (count * byteWidth + 4 * multiple - 1) / (4 * multiple) * multiple
    }
}
