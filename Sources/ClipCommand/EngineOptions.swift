import ArgumentParser
import CLIP

/// The option that selects the engine for matrix products.
struct EngineOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Multiply matrices with clip's own kernels (native), BLAS (blas), or BLAS in a mode \
            whose last bits depend on the batch (blas-fast). (default: CLIP_ENGINE, else the \
            faster of native and blas)
            """, valueName: "engine"))
    var engine: Engine?

    /// Rejects a BLAS engine that is not built in or does not support the precision.
    ///
    /// - Throws: `ValidationError` for such an engine.
    func check(_ precision: Precision) throws {
        guard let engine, engine != .native else { return }
        if !Engine.isBLASBuilt {
            throw ValidationError(
                "--engine \(engine.rawValue) is unavailable: this clip was built without BLAS.")
        }
        if precision != .fp32 {
            throw ValidationError(
                "--engine \(engine.rawValue) supports fp32, not \(precision.rawValue).")
        }
    }

    /// Returns the engine that `CLIP_ENGINE` names; nil if the variable is unset or empty.
    ///
    /// - Throws: `Failure` with status 2 if there is no engine of that name.
    static func inEnvironment() throws -> Engine? {
        guard let name = Environment["CLIP_ENGINE"] else { return nil }
        guard let named = Engine(rawValue: name) else {
            let names = Engine.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure("CLIP_ENGINE must be one of \(names), not \"\(name)\"", status: 2)
        }
        return named
    }

    /// Returns the model with the chosen engine; if BLAS is chosen but unavailable, prints a note
    /// and uses `native`.
    ///
    /// Only fp32 has a choice of engines; a model of another precision is returned unchanged.
    func applied(to model: CLIPModel, _ common: CommonOptions) throws -> CLIPModel {
        try check(model.precision)  // may be the precision of an index
        let engine = try engine ?? Self.inEnvironment() ?? .preferred
        guard model.precision == .fp32 else { return model }
        guard engine.isAvailable else {
            if !common.quiet {
                let reason =
                    !Engine.isBLASBuilt
                    ? "this clip was built without BLAS"
                    : Engine.hasAddressesForBLAS
                        ? "OpenBLAS was not found (Debian package libopenblas0)"
                        : "OpenBLAS needs 512 MB of address space (ulimit -v)"
                note("clip: \(reason); using the native engine")
            }
            return try model.at(engine: .native)
        }
        return try model.at(engine: engine)
    }
}

extension Engine: ExpressibleByArgument {}
