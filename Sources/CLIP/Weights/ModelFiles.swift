internal import Files
internal import Tensors

/// The paths of a model's files: the weights, configurations and checksum.
struct ModelFiles {
    let weights: String
    /// The files that may be the configuration, the most likely first.
    let configurations: [String]
    /// The `preprocessor_config.json` of transformers, if there is one.
    var preprocessor: String?
    /// The checksum file of the weights, which is the output of `sha256sum`, if there is one.
    var checksum: String?

    /// The file names of weights in a folder, by priority: safetensors before PyTorch files,
    /// open_clip's before transformers'.
    private static let names = [
        "open_clip_model.safetensors", "model.safetensors", "model.safetensors.index.json",
        "open_clip_pytorch_model.bin", "pytorch_model.bin", "pytorch_model.bin.index.json",
    ]

    /// The file names of the weights of OpenAI's models.
    private static let officialNames = OfficialModel.allCases.flatMap {
        ["\($0.fileStem).safetensors", "\($0.fileStem).pt"]
    }

    /// Returns the file name of the weights in a folder; nil if there are none, or if there are
    /// weights of several of OpenAI's models.
    private static func weights(in folder: String) -> String? {
        func isThere(_ name: String) -> Bool { fileExists(folder + "/" + name) }
        if let found = names.first(where: isThere) { return found }
        let found = officialNames.filter(isThere)
        return Set(found.map(stem)).count == 1 ? found[0] : nil
    }

    /// Finds a model's files, given a file of weights or a folder that contains one.
    init(path: String) throws(CLIPError) {
        if isDirectory(path) {
            guard let found = Self.weights(in: path) else {
                throw .unreadableFile(
                    path: path,
                    reason: """
                        expected a folder with one of \(Self.names.joined(separator: ", ")), or \
                        with the weights of a single OpenAI model, such as ViT-B-32.safetensors
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

    /// Reads a checksum file and returns the 64 hexadecimal digits with which it begins.
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
                    expected the output of sha256sum for the weights beside it, which begins with \
                    64 hexadecimal digits
                    """)
        }
        return digits
    }

    /// Returns the last component of a path without its extension.
    static func stem(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.lastIndex(of: ".").map { String(name[..<$0]) } ?? String(name)
    }
}
