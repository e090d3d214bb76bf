internal import TensorFiles

/// A file format of weights.
public enum WeightFormat: String, Sendable, Codable {
    case safetensors
    /// A zip archive of `torch.save`: `.pt`, `.pth`, `.bin`.
    case pyTorch = "pytorch"
    /// A zip archive of TorchScript, as OpenAI's nine models are.
    case torchScript = "torchscript"

    init(_ format: TensorArchive.Format) {
        switch format {
        case .safetensors: self = .safetensors
        case .pyTorch: self = .pyTorch
        case .torchScript: self = .torchScript
        }
    }
}

/// What a file of weights is.
public struct WeightsDescription: Sendable, Hashable, Codable {
    /// The file itself, where a folder was given; the index, where it is several.
    public let path: String
    /// The format of the file.
    public let format: WeightFormat
    /// How its tensors are named.
    public let layout: WeightLayout
    /// The number formats in it, as safetensors names them: "F32", "F16", "BF16"; more than one if mixed.
    public let types: [String]
    /// How many numbers the model has.
    public let parameterCount: Int
    /// The size of the file, or of all.
    public let byteCount: Int
    /// What said which activation the weights need.
    public let activationSource: ActivationSource

    /// The checksum of a file of weights.
    public struct Checksum: Sendable, Hashable, Codable {
        /// The path of the file.
        public let path: String
        /// The SHA-256 of its bytes, as 64 hexadecimal digits.
        public let sha256: String
    }

    /// Who knows which activation weights need.
    public enum ActivationSource: Sendable, Hashable, Codable {
        /// A configuration beside or within them, or in the registry of models.
        case configuration(path: String)
        /// The name of their file, which is OpenAI's, and their sizes, which are too.
        case name(OfficialModel)
        /// Whoever loaded them.
        case caller
    }
}
