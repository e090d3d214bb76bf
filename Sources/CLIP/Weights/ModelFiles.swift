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

/// The nine models that OpenAI published, all trained with QuickGELU.
public enum OfficialModel: String, CaseIterable, Sendable {
    case rn50 = "RN50"
    case rn101 = "RN101"
    case rn50x4 = "RN50x4"
    case rn50x16 = "RN50x16"
    case rn50x64 = "RN50x64"
    case vitB32 = "ViT-B/32"
    case vitB16 = "ViT-B/16"
    case vitL14 = "ViT-L/14"
    case vitL14at336 = "ViT-L/14@336px"

    /// The name of OpenAI's file, without its extension: `ViT-L-14-336px`.
    public var fileStem: String {
        String(rawValue.map { $0 == "/" || $0 == "@" ? "-" : $0 })
    }

    /// Whether a configuration has this model's sizes.
    func matches(_ configuration: CLIPConfiguration) -> Bool {
        let vision: String
        switch configuration.vision {
        case .visionTransformer(let v): vision = "\(v.width)/\(v.patchSize)"
        case .modifiedResNet(let v): vision = "\(v.layers)"
        }
        return sizes
            == (
                configuration.embeddingDimension, configuration.resolution,
                configuration.text.width, vision
            )
    }

    /// Embedding dimension, resolution, width of the text tower, and what tells the image tower.
    private var sizes: (Int, Int, Int, String) {
        switch self {
        case .rn50: (1024, 224, 512, "[3, 4, 6, 3]")
        case .rn101: (512, 224, 512, "[3, 4, 23, 3]")
        case .rn50x4: (640, 288, 640, "[4, 6, 10, 6]")
        case .rn50x16: (768, 384, 768, "[6, 8, 18, 8]")
        case .rn50x64: (1024, 448, 1024, "[3, 15, 36, 10]")
        case .vitB32: (512, 224, 512, "768/32")
        case .vitB16: (512, 224, 512, "768/16")
        case .vitL14: (768, 224, 768, "1024/14")
        case .vitL14at336: (768, 336, 768, "1024/14")
        }
    }
}
