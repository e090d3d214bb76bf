internal import CKernels
internal import CThreads

/// The kernels of the instruction set in use.
package enum Kernels {
    /// The functions of the instruction set in use, chosen at the first use.
    static let current: clip_kernels = clip_kernels_current().pointee

    /// Returns the function for products of a format; nil if the instruction set has none.
    static func product(
        of format: ElementFormat
    ) -> (@convention(c) (UnsafePointer<clip_product>) -> Void)? {
        switch format {
        case .float32: current.multiply_float32
        case .bfloat16: current.multiply_bfloat16
        case .int8: current.multiply_int8
        }
    }

    /// Lets malloc keep up to 256 MB of freed memory, if the C library has such an option.
    package static func keepFreedMemory() { clip_keep_freed_memory() }

    /// Makes all threads share the memory that glibc's malloc keeps.
    package static func shareFreedMemory() { clip_share_freed_memory() }

    /// The name of the instruction set in use, such as "scalar", "neon", "avx2" or "avx512".
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

/// `@unchecked`: the table of C functions never changes.
extension clip_kernels: @retroactive @unchecked Sendable {}
