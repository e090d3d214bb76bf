internal import CBLAS
internal import CKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The implementation of float32 matrix products; those of bfloat16 and int8 are always `native`.
package enum ProductEngine: Sendable {
    /// The kernels of this package, with packed weights.
    case native
    /// A BLAS, called such that the bits of results do not depend on the batch and the threads.
    case blas
    /// A BLAS that may use kernels whose rounding depends on the batch.
    case fastBLAS

    /// True if the engine can be used.
    ///
    /// The first call for a BLAS loads the library.
    package var isAvailable: Bool {
        switch self {
        case .native: true
        case .blas: clip_blas_load(0) == 1
        case .fastBLAS: clip_blas_load(1) == 1
        }
    }

    /// True if the package was built with the trait `BLAS`.
    package static var isBLASBuilt: Bool { clip_blas_is_built() == 1 }

    /// False if the address space of this process is limited to less than 512 MB, which a BLAS
    /// needs.
    package static var hasAddressesForBLAS: Bool { clip_blas_has_room() == 1 }

    /// The faster of the two reproducible engines on the instruction set in use.
    ///
    /// `native` is faster where this package has kernels for the instruction set. Elsewhere its
    /// products are portable C, and OpenBLAS was measured to be faster on CPUs with more than SSE.
    package static var preferred: ProductEngine {
        guard isBLASBuilt else { return .native }
        return clip_products_are_portable() == 1 && clip_cpu_is_basic() == 0 ? .blas : .native
    }

    /// The value of the environment variable CLIP_ENGINE; nil if it is not set.
    package static var nameInEnvironment: String? {
        getenv("CLIP_ENGINE").map { String(cString: $0) }
    }

    /// The name and version of the BLAS, and the kernels that it uses; nil if there is none.
    ///
    /// Reading it loads the library.
    package static var library: (version: String, core: String)? {
        guard ProductEngine.blas.isAvailable else { return nil }
        return (String(cString: clip_blas_version()), String(cString: clip_blas_core()))
    }

    /// The number of rows that a BLAS may read after the last one of a matrix.
    static let rowsReadBeyond = Int(CLIP_BLAS_ROWS) - 1

    /// Rounds a number of rows up to a multiple of `CLIP_BLAS_ROWS`.
    static func filledUp(_ rows: Int) -> Int {
        (rows + rowsReadBeyond) / Int(CLIP_BLAS_ROWS) * Int(CLIP_BLAS_ROWS)
    }
}
