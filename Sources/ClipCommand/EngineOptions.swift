import ArgumentParser
import CLIP

/// The code that computes the matrix products.
struct EngineOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Compute matrix products with native, blas (OpenBLAS) or blas-fast, whose last bits may depend \
            on the batch. (default: CLIP_ENGINE, else the faster of native and blas)
            """, valueName: "engine"))
    var engine: Engine?

    /// Refuses a BLAS for a precision that it does not compute.
    func check(_ precision: Precision) throws {
        guard let engine, engine != .native else { return }
        if !Engine.isBLASBuilt {
            throw ValidationError("--engine \(engine.rawValue): this clip was built without BLAS.")
        }
        if precision != .fp32 {
            throw ValidationError(
                "--engine \(engine.rawValue) computes in fp32, not in \(precision.rawValue).")
        }
    }

    /// The engine that CLIP_ENGINE names; nil if it is not set.
    static func inEnvironment() throws -> Engine? {
        guard let name = Environment["CLIP_ENGINE"] else { return nil }
        guard let named = Engine(rawValue: name) else {
            let names = Engine.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure("CLIP_ENGINE must be one of \(names), not \"\(name)\"", status: 2)
        }
        return named
    }

    /// The model with that engine, or with `native` and a note where the BLAS is not installed.
    func applied(to model: CLIPModel, _ common: CommonOptions) throws -> CLIPModel {
        try check(model.precision)  // an index has a precision of its own
        let engine = try engine ?? Self.inEnvironment() ?? .preferred
        guard model.precision == .fp32 else { return model }
        guard engine.isAvailable else {
            if !common.quiet {
                let reason =
                    !Engine.isBLASBuilt
                    ? "this clip was built without BLAS"
                    : Engine.hasAddressesForBLAS
                        ? "OpenBLAS was not found (Debian package libopenblas0)"
                        : "OpenBLAS is not loaded with less than 512 MB of addresses (ulimit -v)"
                note("clip: \(reason); the engine is native")
            }
            return try model.at(engine: .native)
        }
        return try model.at(engine: engine)
    }
}

extension Engine: ExpressibleByArgument {}
