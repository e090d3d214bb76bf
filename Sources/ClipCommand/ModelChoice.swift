import CLIPHub

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The name of the model that a command runs, and where it comes from.
struct ModelChoice {
    let name: String
    let origin: Origin

    enum Origin {
        /// The option `--model`.
        case option
        /// The environment variable `CLIP_MODEL`.
        case environment
        /// The default set by `clip pull NAME --default`.
        case storedDefault
        /// The recommended model, which is installed; no option, variable or stored default names
        /// a model.
        case recommended
        /// The built-in model, because no model is named and the recommended one is not installed.
        case demonstration
    }

    /// Runs a closure that uses the model; if the name comes from `CLIP_MODEL`, an error of the
    /// closure says so.
    func explaining<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch  where origin == .environment {
            throw Failure(
                "\(Hints.line(error)); the name comes from CLIP_MODEL",
                status: (error as? Failure)?.status ?? 1)
        }
    }
}

/// The use of a command's result, which decides whether the demonstration model is acceptable.
enum ModelUse {
    /// A result that is only printed: the demonstration model is acceptable.
    case answer
    /// A result that is stored, such as an index: it needs a model that the user named, or the
    /// recommended one. The value names the result in messages.
    case record(String)
}

/// The model that is used if neither `--model` nor `CLIP_MODEL` names one.
enum DefaultModel {
    /// The model that is used if it is installed and no default is stored.
    static let recommended = "ViT-B/32"

    /// The path of the file with the name stored by `clip pull NAME --default`.
    static var file: String { ModelHub().home + "/default-model" }

    /// Returns the name of the stored default model; nil if there is none.
    static func stored() throws -> String? {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        let line = try readLines(file).first ?? ""
        let name = String(line.filter { !$0.isWhitespace })
        return name.isEmpty ? nil : name
    }

    /// Stores the name of the default model, atomically.
    static func store(_ name: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: ModelHub().home, withIntermediateDirectories: true)
        } catch {
            throw Failure("cannot create the folder \(ModelHub().home) to store the default model")
        }
        try write(Array("\(name)\n".utf8), to: file)
    }

    /// Returns the stored default, else the recommended model, else the built-in one.
    ///
    /// - Throws: `Failure` if the stored default is no longer installed.
    static func choose() throws -> ModelChoice {
        let hub = ModelHub()
        guard let name = try stored() else {
            return try hub.find(recommended) == nil
                ? ModelChoice(name: BundledModel.name, origin: .demonstration)
                : ModelChoice(name: recommended, origin: .recommended)
        }
        let isInstalled = name == BundledModel.name || (try? hub.find(name)) != nil
        guard isInstalled else {
            throw Failure(
                """
                the default model \(name) (set in \(file)) is not installed: run clip pull \
                \(name), choose another default with clip pull \(recommended) --default, or give \
                --model
                """)
        }
        return ModelChoice(name: name, origin: .storedDefault)
    }

    /// The message that the demonstration model is used, and why.
    static var demonstrationNote: String {
        """
        clip: using tiny, a demonstration model for pictograms, because \(recommended) is not \
        installed; for photographs, run clip pull \(recommended)
        """
    }

    /// Returns the error of a command that would store results of the demonstration model.
    static func refusal(toKeep what: String) -> Failure {
        return Failure(
            """
            no model chosen for \(what), and \(recommended) is not installed: run clip pull \
            \(recommended), or give --model tiny to use the demonstration model
            """, status: 2)
    }
}
