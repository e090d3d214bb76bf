internal import TensorFiles

/// A file format of weights, as in ``WeightsDescription``.
public enum WeightFormat: String, Sendable, Codable {
    case safetensors
    /// A zip archive that `torch.save` writes: `.pt`, `.pth` or `.bin`.
    case pyTorch = "pytorch"
    /// A zip archive of TorchScript, the format of OpenAI's nine models.
    case torchScript = "torchscript"

    init(_ format: TensorArchive.Format) {
        switch format {
        case .safetensors: self = .safetensors
        case .pyTorch: self = .pyTorch
        case .torchScript: self = .torchScript
        }
    }
}

/// A description of a model's weights: file, format and size.
///
/// ```swift
/// let weights = model.weights
/// print(weights.path, weights.format, weights.types, weights.parameterCount)
/// ```
public struct WeightsDescription: Sendable, Hashable, Codable {
    /// The path of the file of weights, or of the index if there are several files.
    public let path: String
    /// The format of the file, or of the files that the index names.
    public let format: WeightFormat
    /// The naming of the tensors.
    public let layout: WeightLayout
    /// The number formats of the tensors as safetensors names them: "F32", "F16", "BF16".
    public let types: [String]
    /// The number of parameters of the model.
    public let parameterCount: Int
    /// The size of all files of weights, in bytes.
    public let byteCount: Int
    /// The source that determined the activation function.
    public let activationSource: ActivationSource

    /// The checksum of a file of weights.
    public struct Checksum: Sendable, Hashable, Codable {
        /// The path of the file.
        public let path: String
        /// The SHA-256 of the file's bytes, as 64 hexadecimal digits.
        public let sha256: String
    }

    /// The source that determined a model's activation function.
    public enum ActivationSource: Sendable, Hashable, Codable {
        /// A configuration beside the weights, in their metadata, or in the registry of models.
        case configuration(path: String)
        /// The file name and the sizes of the weights, which are those of an OpenAI model.
        case name(OfficialModel)
        /// The caller, who passed the activation when loading the model.
        case caller
    }
}
