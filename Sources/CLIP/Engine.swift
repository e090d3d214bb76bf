internal import Tensors

/// The code that computes the towers' matrix products in fp32.
///
///     let model = try CLIPModel(path: "ViT-B-32").at(engine: .blas)
///
/// The products of bf16 and int8 are always `native`.
public enum Engine: String, Sendable, CaseIterable, Codable {
    /// The kernels of this library, on weights that are packed once.
    case native
    /// A BLAS: OpenBLAS, or Accelerate on Apple systems. It is loaded when it is first used. The
    /// bits of an embedding depend neither on the batch nor on the number of threads, as with
    /// `native`.
    case blas
    /// A BLAS with whichever kernels it chooses for this CPU. With OpenBLAS on CPUs with AVX2 but without
    /// AVX-512 it is about a fifth faster than `blas`, and the last bits may depend on the batch.
    case fastBLAS = "blas-fast"

    /// The engine of a model that is told nothing else, by the instruction set in use: `native` on x86-64 with
    /// AVX2 or later or without AVX, `blas` elsewhere. The environment variable CLIP_ENGINE overrides it. Where
    /// the BLAS is not installed, the model uses `native` instead.
    public static var preferred: Engine {
        if let name = ProductEngine.nameInEnvironment, let named = Engine(rawValue: name) {
            return named
        }
        return ProductEngine.preferred == .blas ? .blas : .native
    }

    /// True if the engine can be used on this machine. Asking for a BLAS loads it.
    public var isAvailable: Bool { products.isAvailable }

    /// True if the library was built with the trait `BLAS`.
    public static var isBLASBuilt: Bool { ProductEngine.isBLASBuilt }

    /// False if this process may use so few addresses (`ulimit -v`) that a BLAS is not loaded.
    package static var hasAddressesForBLAS: Bool { ProductEngine.hasAddressesForBLAS }

    /// The BLAS that `blas` uses.
    public struct BLASLibrary: Sendable, Hashable, Codable {
        /// The name and version, such as "OpenBLAS 0.3.21".
        public let version: String
        /// The kernels that it uses on this CPU, such as "SkylakeX".
        public let core: String
    }

    /// The BLAS of this machine; nil if there is none. Asking loads it.
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
