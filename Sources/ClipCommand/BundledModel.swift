import CBundledModel
import CLIP

/// The small model that is part of the binary: pictograms and simple scenes, see Weights/.
enum BundledModel {
    /// What `--model` calls it; a file of that name is `./tiny`.
    static let name = "tiny"

    static let license = "MIT"

    /// - Throws: `CLIPError.damagedWeights` if the bytes in the binary are not those of Weights/.
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
