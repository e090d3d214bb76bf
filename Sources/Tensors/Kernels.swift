internal import CKernels
internal import CThreads

/// The instruction set in use.
package enum Kernels {
    /// The functions of the instruction set in use, which is chosen once.
    static let current: clip_kernels = clip_kernels_current().pointee

    /// The function that computes products of numbers of a format. Nil if the CPU multiplies none.
    static func product(
        of format: ElementFormat
    ) -> (@convention(c) (UnsafePointer<clip_product>) -> Void)? {
        switch format {
        case .float32: current.multiply_float32
        case .bfloat16: current.multiply_bfloat16
        case .int8: current.multiply_int8
        }
    }

    /// See `clip_keep_freed_memory`.
    package static func keepFreedMemory() { clip_keep_freed_memory() }

    /// The name of the instruction set in use: "scalar", "neon", "avx2", "avx512", …
    package static var instructionSet: String { String(cString: current.name) }

    /// The names of the instruction sets that this CPU can run, the fastest first.
    package static var available: [String] {
        var names: [String] = []
        var place = 0
        while let name = clip_kernels_name(place) {
            if clip_kernels_named(name) != nil { names.append(String(cString: name)) }
            place += 1
        }
        return names
    }
}

/// `@unchecked`: a table of C functions, which nobody changes.
extension clip_kernels: @retroactive @unchecked Sendable {}
