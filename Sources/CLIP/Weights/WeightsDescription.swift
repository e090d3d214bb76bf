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
    /// The models that were interpolated to make the weights; nil if the file states none.
    public let merge: Merge?

    /// The models that `CLIPModel.write(safetensors:merging:alpha:)` interpolated.
    public struct Merge: Sendable, Hashable, Codable {
        /// A model of the merge.
        public struct Parent: Sendable, Hashable, Codable {
            /// The name or path of the model, as the caller gave it.
            public let name: String
            /// The model's `fingerprint`, 64 hexadecimal digits.
            public let fingerprint: String
        }

        /// The model with the weight 1 - `alpha`.
        public let first: Parent
        /// The model with the weight `alpha`.
        public let second: Parent
        /// The weight of the second model, 0...1.
        public let alpha: Double
    }

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

extension WeightsDescription.Merge {
    /// Reads the merge from a file's metadata; nil if they state none or an incomplete one.
    init?(_ metadata: [String: String]) {
        guard let first = metadata["merge_first"], let second = metadata["merge_second"],
            let firstFingerprint = metadata["merge_first_fingerprint"],
            let secondFingerprint = metadata["merge_second_fingerprint"],
            let alpha = metadata["merge_alpha"].flatMap({ Double($0) }), (0...1).contains(alpha)
        else { return nil }
        self.init(
            first: Parent(name: first, fingerprint: firstFingerprint),
            second: Parent(name: second, fingerprint: secondFingerprint), alpha: alpha)
    }

    /// The keys and values that state the merge in a file's metadata.
    var metadata: [(key: String, value: String)] {
        [
            ("merge_first", first.name), ("merge_first_fingerprint", first.fingerprint),
            ("merge_second", second.name), ("merge_second_fingerprint", second.fingerprint),
            ("merge_alpha", "\(alpha)"),
        ]
    }
}
