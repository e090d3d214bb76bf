internal import Tensors

/// The implementation of the towers' matrix products in fp32.
///
/// ```swift
/// let model = try CLIPModel(path: "ViT-B-32").at(engine: .blas)
/// ```
///
/// Products in bf16 and int8 are always computed by `native`.
public enum Engine: String, Sendable, CaseIterable, Codable {
    /// The kernels of this library, which pack the weights once.
    case native
    /// A BLAS: OpenBLAS, or Accelerate on Apple systems.
    ///
    /// It is loaded at its first use. As with `native`, the bits of an embedding depend neither on
    /// the batch nor on the number of threads.
    case blas
    /// A BLAS that may use kernels whose rounding depends on the batch.
    ///
    /// The last bits of an embedding may then depend on the other inputs. With OpenBLAS, on CPUs
    /// with AVX2 but without AVX-512, it is about a fifth faster than `blas`.
    case fastBLAS = "blas-fast"

    /// The default engine for this CPU.
    ///
    /// It is `native` on x86-64 with AVX2 or later and on x86-64 without AVX, or if the library was
    /// built without a BLAS; it is `blas` elsewhere. The environment variable `CLIP_ENGINE`
    /// overrides it. If the BLAS is not installed, a model uses `native` instead.
    public static var preferred: Engine {
        if let name = ProductEngine.nameInEnvironment, let named = Engine(rawValue: name) {
            return named
        }
        return ProductEngine.preferred == .blas ? .blas : .native
    }

    /// True if the engine can be used on this machine.
    ///
    /// For a BLAS, reading this loads the library.
    public var isAvailable: Bool { products.isAvailable }

    /// True if the library was built with the trait `BLAS`.
    public static var isBLASBuilt: Bool { ProductEngine.isBLASBuilt }

    /// False if the limit of the address space (`ulimit -v`) is too low to load a BLAS.
    package static var hasAddressesForBLAS: Bool { ProductEngine.hasAddressesForBLAS }

    /// The name, version and kernels of a BLAS.
    ///
    /// ```swift
    /// if let blas = Engine.blasLibrary { print(blas.version, blas.core) }
    /// // OpenBLAS 0.3.21 SkylakeX
    /// ```
    public struct BLASLibrary: Sendable, Hashable, Codable {
        /// The name and version, such as "OpenBLAS 0.3.21".
        public let version: String
        /// The kernels that the library uses on this CPU, such as "SkylakeX".
        public let core: String
    }

    /// The BLAS that `blas` uses on this machine; nil if there is none.
    ///
    /// Reading it loads the library.
    public static var blasLibrary: BLASLibrary? {
        ProductEngine.library.map { found in
            let words = found.version.split(separator: " ").prefix(2)
            return BLASLibrary(version: words.joined(separator: " "), core: found.core)
        }
    }

    var products: ProductEngine {
        switch self {
        case .native: .native
        case .blas: .blas
        case .fastBLAS: .fastBLAS
        }
    }
}
