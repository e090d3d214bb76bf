public import CLIP
internal import Tensors

/// Embeddings of labels that are computed once for a model, its options and the templates.
public struct LabelCache: Sendable {
    private let folder: FilePath

    /// - Parameter folder: where they are kept; made when it is needed.
    public init(folder: FilePath) { self.folder = folder }

    /// A classifier from labels that were encoded before, or else now. What cannot be kept is computed anew the
    /// next time.
    ///
    /// - Throws: as `ZeroShotClassifier.init`.
    public func classifier(
        model: CLIPModel, labels: [String], templates: [String], truncating: Bool
    ) throws(CLIPError) -> ZeroShotClassifier {
        let dimension = model.configuration.embeddingDimension
        let path = file(model, labels, templates, truncating)
        if let file = try? MappedFile(path: path.bytes), file.count == 4 * labels.count * dimension,
            let rows = MappedVectors(file, dimension: dimension, count: labels.count)
        {
            let values = rows.values(ofRows: Array(labels.indices))
            if values.allSatisfy(\.isFinite) {
                return try ZeroShotClassifier(
                    model: model, labels: labels,
                    labelEmbeddings: Embeddings(values: values, dimension: dimension))
            }
        }
        let classifier = try ZeroShotClassifier(
            model: model, labels: labels, templates: templates, truncating: truncating)
        try? keep(classifier.labelEmbeddings.values, path)
        return classifier
    }

    private func keep(_ values: [Float], _ path: FilePath) throws(FileError) {
        try makeFolder(folder.bytes)
        let file = try GrowingFile(path: path.bytes)
        try file.truncate(to: 0)
        try file.append(littleEndianBytes(of: values))
        try file.finish()
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
        return folder.appending("\(hexadecimal(key)).f32".utf8)
    }
}
