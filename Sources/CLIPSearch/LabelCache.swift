package import Files
public import CLIP
package import CLIP
package import Tensors

/// Embeddings of labels that are computed once for a model, its options and the templates.
package struct LabelCache: Sendable {
    private let folder: FilePath

    /// - Parameter folder: where they are kept; made when it is needed.
    package init(folder: FilePath) { self.folder = folder }

    /// A classifier from labels that were encoded before, or else now. What cannot be kept is computed anew the
    /// next time.
    ///
    /// - Throws: as `ZeroShotClassifier.init`.
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

    /// The numbers of a file, if they are as they were written; a file that is damaged is made
    /// anew.
    private func kept(_ path: FilePath, count: Int) -> [Float]? {
        guard let bytes = try? readFile(path: path.bytes, limit: 4 * count + 32),
            bytes.count == 4 * count + 32
        else { return nil }
        let numbers = Array(bytes.dropLast(32))
        guard Self.sum(numbers, path) == Array(bytes.suffix(32)) else { return nil }
        return floats(ofLittleEndian: numbers)
    }

    /// Keeps numbers, followed by a checksum.
    private func keep(_ values: [Float], _ path: FilePath) throws(FileError) {
        try makeFolder(folder.bytes)
        let numbers = littleEndianBytes(of: values)
        try writeFile(numbers + Self.sum(numbers, path), to: path.bytes)
    }

    /// The checksum of numbers and of the key under which they are kept.
    private static func sum(_ numbers: [UInt8], _ path: FilePath) -> [UInt8] {
        sha256(numbers + path.lastComponent)
    }

    private func file(
        _ model: CLIPModel, _ labels: [String], _ templates: [String], _ truncating: Bool
    ) -> FilePath {
        let parts =
            [
                model.fingerprint, model.precision.rawValue, model.tokenizer.rules.rawValue,
                "\(truncating)", "\(templates.count)",
            ] + templates + labels
        // A NUL stands in no text that a command or a line can give.
        let key = sha256(Array(parts.joined(separator: "\0").utf8))
        return folder.appending("\(hexadecimal(key)).labels".utf8)
    }
}
