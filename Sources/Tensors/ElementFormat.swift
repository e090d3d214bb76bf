internal import CKernels

/// The number format of matrices and weights.
///
/// Products are summed in float32; those of int8 in int32.
package enum ElementFormat: Sendable, CaseIterable {
    /// 32 bits, IEEE 754 binary32.
    case float32
    /// 16 bits: the upper half of float32.
    case bfloat16
    /// 8 bits: unsigned for activations, with a scale and a zero point for each row; signed for
    /// weights, with a scale for each output.
    case int8

    /// True if the kernels in use can multiply matrices of this format.
    package var isSupported: Bool { Kernels.product(of: self) != nil }

    var byteWidth: Int {
        switch self {
        case .float32: 4
        case .bfloat16: 2
        case .int8: 1
        }
    }

    /// Returns the number of 4-byte words of a row of `count` numbers, padding included.
    func words(_ count: Int) -> Int {
        if self == .float32 { return count }
        let multiple = Int(CLIP_WORDS_MULTIPLE)
        return (count * byteWidth + 4 * multiple - 1) / (4 * multiple) * multiple
    }
}
