/// The nine models that OpenAI published, all trained with QuickGELU.
///
/// ```swift
/// print(OfficialModel.vitL14at336.fileStem)  // ViT-L-14-336px
/// ```
public enum OfficialModel: String, Sendable, CaseIterable, Codable {
    case rn50 = "RN50"
    case rn101 = "RN101"
    case rn50x4 = "RN50x4"
    case rn50x16 = "RN50x16"
    case rn50x64 = "RN50x64"
    case vitB32 = "ViT-B/32"
    case vitB16 = "ViT-B/16"
    case vitL14 = "ViT-L/14"
    case vitL14at336 = "ViT-L/14@336px"

    /// The name of OpenAI's file without its extension, such as `ViT-L-14-336px`.
    public var fileStem: String {
        String(rawValue.map { $0 == "/" || $0 == "@" ? "-" : $0 })
    }

    /// Returns true if a configuration has this model's sizes.
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

    /// The embedding dimension, the resolution, the width of the text tower, and the sizes of the
    /// image tower: width and patch size of a ViT, layers of a ResNet.
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
