internal import Files
internal import Tensors

/// The files of a model: its weights and what lies beside them.
struct ModelFiles {
    let weights: String
    /// What may be its configuration, the likeliest first.
    let configurations: [String]
    /// transformers' `preprocessor_config.json`, if there is one.
    var preprocessor: String?
    /// What `sha256sum` wrote of the weights, if it lies beside them.
    var checksum: String?

    /// The weights that a folder may hold, the likeliest first: open_clip's, then transformers'.
    private static let names = [
        "open_clip_model.safetensors", "model.safetensors", "model.safetensors.index.json",
        "open_clip_pytorch_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json",
    ]

    /// The weights of one of OpenAI's models that a folder may hold.
    private static let officialNames = OfficialModel.allCases.flatMap {
        ["\($0.fileStem).safetensors", "\($0.fileStem).pt"]
    }

    /// The name of the weights in a folder: a usual one, else that of a single model of OpenAI's.
    private static func weights(in folder: String) -> String? {
        func isThere(_ name: String) -> Bool { fileExists(folder + "/" + name) }
        if let found = names.first(where: isThere) { return found }
        let found = officialNames.filter(isThere)
        return Set(found.map(stem)).count == 1 ? found[0] : nil
    }

    /// - Parameter path: a file of weights, or a folder that holds one and its configuration.
    init(path: String) throws(CLIPError) {
        if isDirectory(path) {
            guard let found = Self.weights(in: path) else {
                throw .unreadableFile(
                    path: path,
                    reason: """
                        the folder holds none of \(Self.names.joined(separator: ", ")), and no single \
                        file that is named as one of OpenAI's, such as ViT-B-32.safetensors
                        """)
            }
            weights = path + "/" + found
        } else {
            weights = path
        }
        let name = weights.split(separator: "/").last.map(String.init) ?? weights
        let folder = folder(of: weights)
        let isHuggingFace = name.hasPrefix("model.") || name.hasPrefix("pytorch_model.")
        let known = ["open_clip_config.json", "config.json"]
        let candidates =
            [Self.stem(of: weights) + ".json"] + (isHuggingFace ? known.reversed() : known)
        configurations = candidates.map { folder + $0 }.filter(fileExists)
        if fileExists(folder + "preprocessor_config.json") {
            preprocessor = folder + "preprocessor_config.json"
        }
        checksum = [name, Self.stem(of: weights)].map { folder + $0 + ".sha256" }.first(
            where: fileExists)
    }

    /// The 64 hexadecimal digits with which the file of the checksum begins.
    static func readChecksum(path: String) throws(CLIPError) -> String {
        let bytes: [UInt8]
        do {
            bytes = try readFile(path: path, limit: 1 << 16)
        } catch {
            throw .unreadableFile(path: path, reason: error.reason)
        }
        let digits = String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)
        guard digits.utf8.count == 64, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
            throw .unreadableFile(
                path: path,
                reason: """
                    it is not what sha256sum writes of the weights beside it, 64 hexadecimal digits first
                    """)
        }
        return digits
    }

    /// The last part of a path without its extension.
    static func stem(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? String(name)
    }
}
