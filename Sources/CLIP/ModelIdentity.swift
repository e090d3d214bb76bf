internal import Files
internal import Tensors

extension CLIPModel {
    /// Returns the SHA-256 of each file of weights.
    ///
    /// - Complexity: O(size of the files), all of whose bytes are read.
    public func checksums() -> [WeightsDescription.Checksum] {
        files.map { WeightsDescription.Checksum(path: $0.path, sha256: $0.file.sha256()) }
    }

    /// A hash that identifies the embedding space, as 64 hexadecimal digits.
    ///
    /// An index accepts only models with the fingerprint of the model that made it, since
    /// embeddings of other models are usually not comparable. The hash covers the configuration,
    /// and the number format, the shape and a sample of the bytes of every tensor.
    public var fingerprint: String {
        var bytes = Array(configuration.identity.utf8)
        if !configuration.isOpenAI {
            // The files of these models are used with several ways of preprocessing.
            let images = preprocessor
            bytes +=
                """
                 \(images.resolution) \(images.interpolation) \(images.resizeMode) \
                \(images.mean) \(images.standardDeviation) \
                \(configuration.text.vocabulary?.rawValue ?? "unknown")
                """.utf8
        }
        for name in parameters.names {
            for part in parameters[name].parts {
                bytes += "\(name) \(part.tensor.type) \(part.tensor.shape)".utf8
                bytes += part.tensor.sample
            }
        }
        return hexadecimal(sha256(bytes))
    }

    /// The path, size and time of the tokenizer's file, for the keys of caches; empty if the
    /// tokenizer is CLIP's, or if there is none.
    package var tokenizerState: String {
        guard let path = tokenizerPath, let status = try? FileStatus(path: Array(path.utf8)) else {
            return ""
        }
        return "\(path) \(status.size) \(status.modified)"
    }

    /// The instruction set of the kernels in use.
    public static var instructionSet: String { Kernels.instructionSet }

    /// The instruction sets that both this CPU and the library support, fastest first.
    ///
    /// The environment variable `CLIP_ISA` chooses one of them.
    public static var instructionSets: [String] { Kernels.available }
}
