#if Foundation
    #if canImport(FoundationEssentials)
        public import FoundationEssentials
    #else
        public import Foundation
    #endif

    extension URL {
        /// Returns the path of a file URL.
        ///
        /// - Throws: `CLIPError.unreadableFile` for any other URL.
        package func filePath() throws(CLIPError) -> String {
            guard isFileURL, !path.isEmpty else {
                throw .unreadableFile(path: absoluteString, reason: "it is not the URL of a file")
            }
            return path
        }
    }

    extension RGBImage {
        /// Decodes an image file, whose format is recognised by its content.
        ///
        /// ```swift
        /// let image = try RGBImage(contentsOf: URL(filePath: "bike.jpg"))
        /// ```
        ///
        /// - Throws: `CLIPError.unreadableFile` if the URL is not a file URL or the file cannot
        ///   be read, and the errors of `init(decoding:path:options:)`.
        public init(
            contentsOf url: URL, options: DecodingOptions = DecodingOptions()
        ) throws(CLIPError) {
            try self.init(contentsOfFile: url.filePath(), options: options)
        }
    }

    extension CLIPModel {
        /// Loads a model from a file of weights, or from a folder of weights and configuration.
        ///
        /// ```swift
        /// let model = try CLIPModel(contentsOf: URL(filePath: "ViT-B-32"))
        /// ```
        ///
        /// - Throws: `CLIPError.unreadableFile` if the URL is not a file URL, and the errors of
        ///   `init(path:activation:threads:)`.
        public init(
            contentsOf url: URL, activation: Activation? = nil, threads: Int? = nil
        ) throws(CLIPError) {
            try self.init(path: url.filePath(), activation: activation, threads: threads)
        }

        /// Writes the weights as one safetensors file.
        ///
        /// - Throws: `CLIPError.unwritableFile` if the URL is not a file URL, and the errors of
        ///   `write(safetensors:format:source:)` with a path.
        public func write(
            safetensors url: URL, format: NumberFormat? = nil, source: String? = nil
        ) throws(CLIPError) {
            guard let path = try? url.filePath() else {
                throw .unwritableFile(
                    path: url.absoluteString, reason: "it is not the URL of a file")
            }
            try write(safetensors: path, format: format, source: source)
        }

        /// Writes the interpolation of this model's weights with those of another model.
        ///
        /// - Throws: `CLIPError.unwritableFile` if the URL is not a file URL, and the errors of
        ///   `write(safetensors:merging:alpha:format:source:otherSource:)` with a path.
        public func write(
            safetensors url: URL, merging other: CLIPModel, alpha: Double,
            format: NumberFormat = .float32, source: String? = nil, otherSource: String? = nil
        ) throws(CLIPError) {
            guard let path = try? url.filePath() else {
                throw .unwritableFile(
                    path: url.absoluteString, reason: "it is not the URL of a file")
            }
            try write(
                safetensors: path, merging: other, alpha: alpha, format: format, source: source,
                otherSource: otherSource)
        }
    }
#endif
