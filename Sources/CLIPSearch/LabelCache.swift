package import Files
package import CLIP
internal import Tensors

/// A cache of label embeddings on the disk; the model, its options, the templates and the labels
/// are the key.
package struct LabelCache: Sendable {
    private let folder: FilePath

    /// Creates a cache in a folder, which is made when the first file is written.
    package init(folder: FilePath) { self.folder = folder }

    /// Makes a classifier from cached label embeddings, or encodes the labels and caches their
    /// embeddings.
    ///
    /// If the embeddings cannot be stored, the labels are encoded again the next time.
    ///
    /// - Parameters:
    ///   - model: The model that encodes the labels.
    ///   - labels: The labels, two or more.
    ///   - templates: The prompt templates, with `{}` in place of the label.
    ///   - truncating: True to truncate prompts that are too long, false to throw.
    /// - Returns: The classifier.
    /// - Throws: `CLIPError`, as the initialiser of `ZeroShotClassifier` does.
    package func classifier(
        model: CLIPModel, labels: [String], templates: [String], truncating: Bool
    ) throws(CLIPError) -> ZeroShotClassifier {
        let dimension = model.configuration.embeddingDimension
        let path = file(model, labels, templates, truncating)
        if let values = kept(path, count: dimension * labels.count) {
            return try ZeroShotClassifier(
                model: model, labels: labels,
                labelEmbeddings: Embeddings(rows: values, dimension: dimension))
        }
        let classifier = try ZeroShotClassifier(
            model: model, labels: labels, templates: templates, truncating: truncating)
        try? keep(classifier.labelEmbeddings.values, path)
        return classifier
    }

    /// Returns the embeddings of a cache file; nil if it is missing or damaged.
    private func kept(_ path: FilePath, count: Int) -> [Float]? {
        guard let bytes = try? readFile(path: path.bytes, limit: 4 * count + 32),
            bytes.count == 4 * count + 32
        else { return nil }
        let numbers = Array(bytes.dropLast(32))
        guard Self.sum(numbers, path) == Array(bytes.suffix(32)) else { return nil }
        return floats(ofLittleEndian: numbers)
    }

    /// Writes embeddings to a cache file, followed by a checksum.
    private func keep(_ values: [Float], _ path: FilePath) throws(FileError) {
        try makeFolder(folder.bytes)
        let numbers = littleEndianBytes(of: values)
        try writeFile(numbers + Self.sum(numbers, path), to: path.bytes)
    }

    /// Returns the checksum of the embeddings and of their key, the name of the file.
    private static func sum(_ numbers: [UInt8], _ path: FilePath) -> [UInt8] {
        sha256(numbers + path.lastComponent)
    }

    private func file(
        _ model: CLIPModel, _ labels: [String], _ templates: [String], _ truncating: Bool
    ) -> FilePath {
        let parts =
            [
                model.fingerprint, model.precision.rawValue, model.tokenizerVariant,
                "\(truncating)", "\(templates.count)",
            ] + templates + labels + [model.tokenizerState].filter { !$0.isEmpty }
        // NUL separates the parts: no text of a command line or of a file of lines contains it.
        let key = sha256(Array(parts.joined(separator: "\0").utf8))
        return folder.appending("\(hexadecimal(key)).labels".utf8)
    }
}
