internal import Tensors

/// The files of a model: its weights and what lies beside them.
struct ModelFiles {
    let weights: String
    /// The configuration, if there is one.
    var configuration: String?
    /// transformers' `preprocessor_config.json`, if there is one.
    var preprocessor: String?

    /// The weights that a folder may hold, each with its configuration.
    private static let pairs = [
        ("open_clip_model.safetensors", "open_clip_config.json"),
        ("model.safetensors", "config.json"),
    ]

    /// - Parameter path: a file of weights, or a folder that holds one and its configuration.
    init(path: String) throws(CLIPError) {
        if isDirectory(path) {
            let found = Self.pairs.first { fileExists(path + "/" + $0.0) }
            guard let found else {
                throw .unreadableFile(
                    path: path,
                    reason: """
                        the folder holds neither open_clip_model.safetensors nor model.safetensors
                        """)
            }
            weights = path + "/" + found.0
        } else {
            weights = path
        }
        let name = weights.split(separator: "/").last.map(String.init) ?? weights
        let folder = String(weights.dropLast(name.count))
        let configurations = Self.pairs.map(\.1)
        let preferred = Self.pairs.first { $0.0 == name }?.1
        let candidates =
            [Self.stem(of: weights) + ".json"] + (preferred.map { [$0] } ?? []) + configurations
        for candidate in candidates where fileExists(folder + candidate) {
            configuration = folder + candidate
            break
        }
        if fileExists(folder + "preprocessor_config.json") {
            preprocessor = folder + "preprocessor_config.json"
        }
    }

    /// The last part of a path without its extension.
    static func stem(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? String(name)
    }
}
