internal import CKernels

/// The instruction set in use.
package enum Kernels {
    static var current: clip_kernels { clip_kernels_current().pointee }

    /// See `clip_keep_freed_memory`.
    package static func keepFreedMemory() { clip_keep_freed_memory() }

    /// "scalar", "avx2", "avx512" or "neon".
    package static var instructionSet: String { String(cString: current.name) }
}
