internal import CBLAS
internal import CKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// The code that computes matrix products of float32; products of bfloat16 and bytes are always `native`.
package enum ProductEngine: Sendable {
    /// The kernels of this package, on weights that are packed once.
    case native
    /// A BLAS, used so that the bits of a result do not depend on the batch or the number of threads.
    case blas
    /// A BLAS with whichever kernels it chooses: the last bits may depend on the batch.
    case fastBLAS

    /// True if the engine can be used. The first call for a BLAS loads it.
    package var isAvailable: Bool {
        switch self {
        case .native: true
        case .blas: clip_blas_load(0) == 1
        case .fastBLAS: clip_blas_load(1) == 1
        }
    }

    /// True if the package was built with the trait `BLAS`.
    package static var isBLASBuilt: Bool { clip_blas_is_built() == 1 }

    /// False if this process may use too few addresses for the BLAS to be loaded.
    package static var hasAddressesForBLAS: Bool { clip_blas_has_room() == 1 }

    /// The faster of the two reproducible engines on the instruction set in use.
    ///
    /// The products of this package are faster where it has kernels of its own; elsewhere they are portable
    /// C, which OpenBLAS was measured to outrun wherever it has more than SSE.
    package static var preferred: ProductEngine {
        guard isBLASBuilt else { return .native }
        return clip_products_are_portable() == 1 && clip_cpu_is_basic() == 0 ? .blas : .native
    }

    /// The value of the environment variable CLIP_ENGINE.
    package static var nameInEnvironment: String? {
        getenv("CLIP_ENGINE").map { String(cString: $0) }
    }

    /// The name and version of the BLAS, and the kernels that it uses here. Nil if there is none; loads it.
    package static var library: (version: String, core: String)? {
        guard ProductEngine.blas.isAvailable else { return nil }
        return (String(cString: clip_blas_version()), String(cString: clip_blas_core()))
    }

    /// The rows that a BLAS may read after the last one of a matrix; their contents do not matter.
    static let rowsReadBeyond = Int(CLIP_BLAS_ROWS) - 1

    /// A count of rows filled up to what a BLAS multiplies at once.
    static func filledUp(_ rows: Int) -> Int {
        (rows + rowsReadBeyond) / Int(CLIP_BLAS_ROWS) * Int(CLIP_BLAS_ROWS)
    }
}
