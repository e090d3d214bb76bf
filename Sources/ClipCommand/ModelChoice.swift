import CLIPHub

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The model that a command runs, and what named it.
struct ModelChoice {
    let name: String
    let origin: Origin

    enum Origin {
        /// `--model`.
        case option
        /// `CLIP_MODEL`.
        case environment
        /// `clip pull NAME --default`.
        case storedDefault
        /// Nothing names a model, and the recommended one is installed.
        case recommended
        /// Nothing names a model, and the recommended one is not installed: the built-in one answers.
        case demonstration
    }

    /// Runs what fails if the model cannot be used, and adds to its error where the name comes from,
    /// unless the user typed it.
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

/// The lifetime of what a command computes.
enum ModelUse {
    /// Printed and read at once: the demonstration model may answer.
    case answer
    /// Kept, such as an index: only a model that the user chose or installed will do.
    case record(String)
}

/// The model that runs if neither `--model` nor `CLIP_MODEL` names one.
enum DefaultModel {
    /// The default of the default.
    static let recommended = "ViT-B/32"

    /// The file that holds the name that `clip pull NAME --default` stored.
    static var file: String { ModelHub().home + "/default-model" }

    /// The stored name; nil if there is none.
    static func stored() throws -> String? {
        guard FileManager.default.fileExists(atPath: file) else { return nil }
        let line = try readLines(file).first ?? ""
        let name = String(line.filter { !$0.isWhitespace })
        return name.isEmpty ? nil : name
    }

    /// Stores a name, atomically.
    static func store(_ name: String) throws {
        do {
            try FileManager.default.createDirectory(
                atPath: ModelHub().home, withIntermediateDirectories: true)
        } catch {
            throw Failure(
                "cannot make the folder \(ModelHub().home), which keeps the default model")
        }
        try write(Array("\(name)\n".utf8), to: file)
    }

    /// The stored default, else the recommended model, else the built-in one.
    ///
    /// - Throws: `Failure` if the stored default is not installed any more.
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
                the default model \(name), which \(file) names, is not installed: run \
                clip pull \(name), or clip pull \(recommended) --default for another default, or \
                give --model
                """)
        }
        return ModelChoice(name: name, origin: .storedDefault)
    }

    /// The line that says that the demonstration model answers.
    static var demonstrationNote: String {
        """
        clip: using tiny, a demonstration model for pictograms, as \(recommended) is not installed; \
        clip pull \(recommended) gets the real one
        """
    }

    /// The error of a command that would keep what the demonstration model computes.
    static func refusal(toKeep what: String) -> Failure {
        let kind = what == "the index" ? "an index" : "a file of vectors"
        return Failure(
            """
            no model for \(what): \(recommended) is not installed, and \(kind) is made with the \
            demonstration model only if you give its name; run clip pull \(recommended), or give \
            --model tiny
            """, status: 2)
    }
}
