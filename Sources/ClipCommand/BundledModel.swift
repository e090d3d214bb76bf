import CBundledModel
import CLIP

/// The small model built into the binary, for pictograms and simple scenes; see Weights/.
enum BundledModel {
    /// The value of `--model` that selects this model; a file named `tiny` is given as `./tiny`.
    static let name = "tiny"

    static let license = "MIT"

    /// Loads the model from the binary.
    ///
    /// - Throws: `CLIPError.damagedWeights` if the weights do not match their checksum.
    static func load(activation: Activation? = nil, threads: Int? = nil) throws -> CLIPModel {
        let checksum = String(decoding: bytes(clip_tiny_checksum()), as: UTF8.self)
        return try CLIPModel(
            safetensors: bytes(clip_tiny_weights()),
            configuration: bytes(clip_tiny_configuration()), name: "the bundled model \(name)",
            sha256: String(checksum.prefix { $0 != " " }), activation: activation, threads: threads)
    }

    private static func bytes(_ bundled: clip_bundled_bytes) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: bundled.start, count: bundled.count)
    }
}
