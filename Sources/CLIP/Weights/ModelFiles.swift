internal import Tensors

/// The files of a model: its weights and what lies beside them.
struct ModelFiles {
    let weights: String
    /// What may be its configuration, the likeliest first.
    let configurations: [String]
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
        let likeliestFirst =
            Self.pairs.filter { $0.0 == name } + Self.pairs.filter { $0.0 != name }
        let candidates = [Self.stem(of: weights) + ".json"] + likeliestFirst.map(\.1)
        configurations = candidates.map { folder + $0 }.filter(fileExists)
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
