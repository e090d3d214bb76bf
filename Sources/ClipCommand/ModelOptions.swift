import ArgumentParser
import CLIP

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Which model runs, and how.
struct ModelOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            A file of weights, a folder with one, a name of OpenAI's (ViT-B/32, RN50, …), or tiny, \
            the small model that is built in; the default is CLIP_MODEL in the environment.
            """, valueName: "name|path"))
    var model: String?

    @Option(help: "quickgelu or gelu, where nothing beside the weights says which.")
    var activation: Activation?

    @Option(help: "The arithmetic: fp32.")
    var precision: Precision = .fp32

    @Option(
        help: ArgumentHelp(
            "How many cores to use; CLIP_THREADS in the environment is the default, then all.",
            valueName: "n"))
    var threads: Int?

    enum Precision: String, ExpressibleByArgument, CaseIterable {
        case fp32
    }

    func validate() throws {
        if let model, let activation, activation != .quickGELU,
            OfficialModel(rawValue: model) != nil
        {
            throw ValidationError(
                "\(model) was trained with quickgelu, not \(activation.rawValue).")
        }
        if let threads, threads < 1 {
            throw ValidationError("--threads must be at least 1, not \(threads).")
        }
    }

    /// The name under which outputs speak of the model.
    func name() throws -> String {
        guard let name = model ?? Environment["CLIP_MODEL"] else {
            throw Failure(
                """
                no model: give --model a file of weights, a folder with one, a name of OpenAI's, or \
                tiny, the small one that is built in; or set CLIP_MODEL
                """, status: 2)
        }
        return name
    }

    func load(_ common: CommonOptions) throws -> CLIPModel {
        var threads = threads
        if threads == nil, let text = Environment["CLIP_THREADS"] {
            guard let number = Int(text), number > 0 else {
                throw Failure(
                    "CLIP_THREADS must be a number of threads, not \"\(text)\"", status: 2)
            }
            threads = number
        }
        let name = try name()
        let model = try Self.open(
            name, activation: activation ?? Self.knownActivation(of: name), threads: threads)
        if case .name(let official) = model.weights.activationSource, !common.quiet {
            note(
                "clip: activation \(model.configuration.activation.rawValue), since the file is named "
                    + "as OpenAI's \(official.rawValue)")
        }
        return model
    }

    /// The preprocessing of the model that is given, in which the activation has no part.
    func preprocessor() throws -> ImagePreprocessor {
        let name = try name()
        do {
            return try Self.open(name, activation: activation).preprocessor
        } catch CLIPError.unknownActivation {
            return try Self.open(name, activation: .gelu).preprocessor
        }
    }

    /// Whether a model is given at all.
    var isGiven: Bool { model != nil || Environment["CLIP_MODEL"] != nil }

    /// Loads a model by path or name.
    static func open(
        _ name: String, activation: Activation?, threads: Int? = nil
    ) throws -> CLIPModel {
        guard name != BundledModel.name else {
            return try BundledModel.load(activation: activation, threads: threads)
        }
        return try CLIPModel(path: path(of: name), activation: activation, threads: threads)
    }

    /// OpenAI trained all of its own with QuickGELU.
    private static func knownActivation(of name: String) throws -> Activation? {
        FileManager.default.fileExists(atPath: name) || OfficialModel(rawValue: name) == nil
            ? nil : .quickGELU
    }

    /// The file or folder of a model that is given by path or by OpenAI's name.
    private static func path(of name: String) throws -> String {
        let files = FileManager.default
        if files.fileExists(atPath: name) { return name }
        guard let official = OfficialModel(rawValue: name) else {
            let names = OfficialModel.allCases.map(\.rawValue).joined(separator: ", ")
            throw Failure(
                """
                no model \(name): there is no such file or folder, and the names that are known \
                are tiny, \(names)
                """)
        }
        let home = Environment["CLIP_HOME"] ?? (Environment["HOME"] ?? "") + "/.cache/clip"
        let candidates = ["\(official.fileStem).safetensors", official.fileStem]
            .map { "\(home)/\($0)" }
        guard let found = candidates.first(where: { files.fileExists(atPath: $0) }) else {
            throw Failure(
                """
                the weights of \(name) are not there: put them at \(candidates[0]), or set CLIP_HOME; \
                --model tiny is built in
                """)
        }
        return found
    }
}

extension Activation: ExpressibleByArgument {}

/// The variables of the environment; an empty one counts as none.
enum Environment {
    static subscript(name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else {
            return nil
        }
        return value
    }
}
