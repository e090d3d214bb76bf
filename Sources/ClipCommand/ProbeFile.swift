import CLIP
import CLIPAnalysis
import CLIPSearch
import Files
import TensorFiles
import Tensors

/// An error in reading or writing the file of a probe, or in its use with another model.
enum ProbeFileError: Error, Equatable {
    /// The file is missing or not readable.
    case unreadable(path: String, reason: String)
    /// The file is not a probe, or a part of it is missing or invalid.
    case malformed(path: String, reason: String)
    /// The content of the file differs from its checksum.
    case damaged(path: String, expected: String, found: String)
    /// The file cannot be written.
    case unwritable(path: String, reason: String)
    /// The probe was trained with the embeddings of another model.
    case otherModel(path: String, stored: String, given: String)
    /// The images of the probe's training were decoded or preprocessed in another way; both texts
    /// are options, such as "with --preprocess hf".
    case otherDecoding(path: String, stored: String, given: String)
}

extension ProbeFileError: CustomStringConvertible {
    /// The error as one line.
    var description: String {
        switch self {
        case .unreadable(let path, let reason): "cannot read the probe \(path): \(reason)"
        case .malformed(let path, let reason): "cannot use \(path) as a probe: \(reason)"
        case .damaged(let path, let expected, let found):
            """
            the probe \(path) is damaged: expected the SHA-256 \(expected) of its content, found \
            \(found)
            """
        case .unwritable(let path, let reason): "cannot write \(path): \(reason)"
        case .otherModel(let path, let stored, let given):
            """
            the probe \(path) was trained with the model \(stored) and cannot be used with \(given)
            """
        case .otherDecoding(let path, let stored, let given):
            "the probe \(path) was trained \(stored) and cannot be used \(given)"
        }
    }
}

/// A trained classifier of a model's embeddings, with the metadata of its file.
///
/// The file, `*.probe.safetensors`, has float32 tensors and these metadata: `format`
/// ("clip-probe"), `version` ("1"), `method`, `class_names` and `templates` (JSON arrays), the
/// model (`model`, `fingerprint`, `dimension`, `precision`, `activation`, `resolution`), `decoding`
/// (the text of `IndexedDecoding`), `alpha` and `beta` of Tip-Adapter, and `sha256`, a checksum of
/// all the others and of the tensors.
/// A linear classifier has the tensors `weights` [classes, dimension] and `biases` [classes],
/// Tip-Adapter has `examples` [count, dimension], `labels` [count] and `label_embeddings`
/// [classes, dimension].
struct StoredProbe {
    /// The method that made the classifier, as `clip probe train --method` names it.
    enum Method: String, CaseIterable, Codable {
        /// Logistic regression on embeddings that are not normalised.
        case linear
        /// Logistic regression that starts from the text vectors, on normalised embeddings.
        case zslinear
        /// Tip-Adapter: texts and examples, without training.
        case tip
    }

    /// The parameters of a classifier.
    enum Content {
        /// A classifier of embeddings as the model gives them.
        case linear(LinearClassifier)
        /// A classifier of normalised embeddings.
        case zeroShotLinear(LinearClassifier)
        case tipAdapter(StoredTipAdapter)
    }

    /// A Tip-Adapter with the vectors from which it was made and can be restored to the bit.
    struct StoredTipAdapter {
        let examples: LabelledVectors
        let labelEmbeddings: Embeddings
        let adapter: TipAdapter

        init(
            examples: LabelledVectors, labelEmbeddings: Embeddings, alpha: Float = 1,
            beta: Float = 5.5
        ) throws(AnalysisError) {
            (self.examples, self.labelEmbeddings) = (examples, labelEmbeddings)
            adapter = try TipAdapter(
                examples: examples, labelEmbeddings: labelEmbeddings, alpha: alpha, beta: beta)
        }
    }

    let content: Content
    /// The names of the classes, in the order of the logits; several may be equal.
    let classNames: [String]
    /// The prompt templates of the text vectors; empty for a method without texts.
    let templates: [String]
    /// The model whose embeddings the probe classifies.
    let model: ModelRecord
    /// The decoding and preprocessing of the images; nil in files that do not state it.
    let decoding: IndexedDecoding?

    var method: Method {
        switch content {
        case .linear: .linear
        case .zeroShotLinear: .zslinear
        case .tipAdapter: .tip
        }
    }

    /// The fingerprint of the model whose embeddings the probe classifies.
    var fingerprint: String { model.fingerprint }

    /// Returns the logits of images.
    ///
    /// - Parameter embeddings: The images' embeddings as the model gives them, not normalised.
    /// - Returns: A row for each image, with a column for each class.
    /// - Throws: `AnalysisError.wrongDimension` if the embeddings have another dimension.
    func logits(of embeddings: Embeddings) throws(AnalysisError) -> [[Float]] {
        switch content {
        case .linear(let classifier): try classifier.logits(of: embeddings)
        case .zeroShotLinear(let classifier): try classifier.logits(of: embeddings.normalized())
        case .tipAdapter(let tip): try tip.adapter.logits(of: embeddings)
        }
    }

    /// Rejects a model whose embeddings are not those that the probe was trained with.
    ///
    /// - Parameters:
    ///   - other: The model.
    ///   - name: The name or path of the model, for the message.
    ///   - path: The path of the probe.
    /// - Throws: `ProbeFileError.otherModel`.
    func check(_ other: CLIPModel, name: String, of path: FilePath) throws(ProbeFileError) {
        guard other.fingerprint != fingerprint else { return }
        let given = ModelRecord(other, name: ModelOptions.storedName(of: name))
        let names = model.names(comparedTo: given)
        throw .otherModel(path: "\(path)", stored: names.own, given: names.other)
    }
}

// MARK: the file

extension StoredProbe {
    private static let format = "clip-probe"
    private static let version = "1"

    private typealias NamedTensor = (name: String, shape: [Int], values: [Float])

    private var tensors: [NamedTensor] {
        func rows(_ name: String, _ rows: Embeddings) -> NamedTensor {
            (name, [rows.count, rows.dimension], rows.values)
        }
        switch content {
        case .linear(let classifier), .zeroShotLinear(let classifier):
            return [
                ("weights", [classifier.classCount, classifier.dimension], classifier.weights),
                ("biases", [classifier.classCount], classifier.biases),
            ]
        case .tipAdapter(let tip):
            let labels = tip.examples.labels
            return [
                rows("examples", tip.examples.vectors),
                ("labels", [labels.count], labels.map { Float($0) }),
                rows("label_embeddings", tip.labelEmbeddings),
            ]
        }
    }

    private var metadata: [(key: String, value: String)] {
        func list(_ words: [String]) -> String {
            String(decoding: JSONValue.array(words.map { .string($0) }).bytes, as: UTF8.self)
        }
        var metadata = [
            ("format", Self.format), ("version", Self.version), ("method", method.rawValue),
            ("class_names", list(classNames)), ("templates", list(templates)),
            ("model", model.name), ("fingerprint", model.fingerprint),
            ("dimension", "\(model.dimension)"), ("precision", model.precision.rawValue),
        ]
        if let activation = model.activation {
            metadata.append(("activation", activation.rawValue))
        }
        if let resolution = model.resolution { metadata.append(("resolution", "\(resolution)")) }
        if let decoding { metadata.append(("decoding", decoding.stored)) }
        if case .tipAdapter(let tip) = content {
            metadata += [("alpha", "\(tip.adapter.alpha)"), ("beta", "\(tip.adapter.beta)")]
        }
        return metadata
    }

    /// Writes the probe to a file, atomically.
    ///
    /// - Parameter path: The path of the file; an existing file is replaced.
    /// - Throws: `ProbeFileError.unwritable`; an existing file is then unchanged.
    func write(to path: String) throws(ProbeFileError) {
        let (tensors, facts) = (tensors, metadata)
        let sum = Self.checksum(
            Dictionary(facts.map { ($0.key, $0.value) }) { first, _ in first }, tensors)
        do throws(TensorFileError) {
            let writer = try SafetensorsWriter(
                path: path,
                entries: tensors.map { .init(name: $0.name, type: .float32, shape: $0.shape) },
                metadata: facts + [("sha256", sum)])
            for tensor in tensors {
                try writer.append(
                    Tensor(tensor.values, shape: tensor.shape), as: .float32, name: tensor.name)
            }
            try writer.finish()
        } catch {
            guard case .unwritable(let path, let reason) = error else {
                throw .unwritable(path: path, reason: "\(error)")
            }
            throw .unwritable(path: path, reason: reason)
        }
    }

    /// Returns the SHA-256 of the metadata, except the checksum itself, and of the tensors.
    private static func checksum(_ metadata: [String: String], _ tensors: [NamedTensor]) -> String {
        // NUL ends each text, so that two different lists never have the same bytes.
        let facts = metadata.sorted { $0.key < $1.key }.filter { $0.key != "sha256" }
            .flatMap { Array("\($0.key)\0\($0.value)\0".utf8) }
        let numbers = tensors.sorted { $0.name < $1.name }.flatMap { tensor in
            Array("\(tensor.name) \(tensor.shape)\0".utf8) + littleEndianBytes(of: tensor.values)
        }
        return hexadecimal(sha256(facts + numbers))
    }

    /// Reads a probe, and compares its content with its checksum.
    ///
    /// - Parameter path: The path of the file.
    /// - Returns: The probe.
    /// - Throws: `ProbeFileError`.
    static func read(_ path: FilePath) throws(ProbeFileError) -> StoredProbe {
        let file: MappedFile
        do {
            file = try MappedFile(path: path.bytes)
        } catch {
            throw .unreadable(path: "\(path)", reason: error.reason)
        }
        let content: SafetensorsFile
        do {
            content = try SafetensorsFile(file)
        } catch {
            throw .malformed(path: "\(path)", reason: "\(error)")
        }
        return try ProbeContent(path: path, metadata: content.metadata).probe(content) {
            checksum($0, $1)
        }
    }

    /// The metadata of a file, and the checks of its content.
    private struct ProbeContent {
        let path: FilePath
        let metadata: [String: String]

        func malformed(_ reason: String) -> ProbeFileError {
            .malformed(path: "\(path)", reason: reason)
        }

        func fact<Value>(
            _ key: String, _ parse: (String) -> Value?
        ) throws(ProbeFileError) -> Value {
            guard let text = metadata[key] else {
                throw malformed("its metadata lack \"\(key)\"")
            }
            guard let value = parse(text) else {
                throw malformed("invalid \"\(key)\" in its metadata: \(text.prefix(80))")
            }
            return value
        }

        func list(_ key: String) throws(ProbeFileError) -> [String] {
            try fact(key) { text in
                let words = (try? JSONValue(parsing: Array(text.utf8)))?.array?.map(\.string)
                let found = words?.compactMap { $0 }
                return found?.count == words?.count ? found : nil
            }
        }

        func tensor(
            _ name: String, rank: Int, _ file: SafetensorsFile
        ) throws(ProbeFileError) -> NamedTensor {
            guard let entry = file.entries[name], entry.type == StoredType.float32.rawValue,
                entry.shape.count == rank, let stored = file.storedTensor(entry)
            else { throw malformed("it lacks the float32 tensor \(name) of rank \(rank)") }
            let tensor = stored.load()
            guard tensor.firstNonFinite == nil else {
                throw malformed("the tensor \(name) contains NaN or infinity")
            }
            return (name, entry.shape, tensor.values)
        }

        func probe(
            _ file: SafetensorsFile,
            checksum: ([String: String], [NamedTensor]) -> String
        ) throws(ProbeFileError) -> StoredProbe {
            guard metadata["format"] == StoredProbe.format else {
                throw malformed("expected a file that clip probe train wrote")
            }
            let version = metadata["version"] ?? "none"
            guard version == StoredProbe.version else {
                throw malformed(
                    "unsupported version: expected \(StoredProbe.version), found \(version)")
            }
            let method = try fact("method") { Method(rawValue: $0) }
            let names =
                method == .tip
                ? ["examples", "labels", "label_embeddings"] : ["weights", "biases"]
            if let other = file.entries.keys.sorted().first(where: { !names.contains($0) }) {
                throw malformed("unexpected tensor \(other)")
            }
            var tensors: [NamedTensor] = []
            for name in names {
                let rank = name == "labels" || name == "biases" ? 1 : 2
                tensors.append(try tensor(name, rank: rank, file))
            }
            let (stated, found) = (try fact("sha256") { $0 }, checksum(metadata, tensors))
            guard stated == found else {
                throw .damaged(path: "\(path)", expected: stated, found: found)
            }
            let record = ModelRecord(
                name: try fact("model") { $0 }, fingerprint: try fact("fingerprint") { $0 },
                dimension: try fact("dimension") { Int($0) },
                precision: try fact("precision") { Precision(rawValue: $0) },
                activation: metadata["activation"].flatMap { Activation(rawValue: $0) },
                resolution: metadata["resolution"].flatMap { Int($0) })
            let decoding =
                metadata["decoding"] == nil
                ? nil : try fact("decoding") { IndexedDecoding(stored: $0) }
            let classNames = try list("class_names")
            let content: Content
            do throws(AnalysisError) {
                content = try self.content(method, tensors, classCount: classNames.count)
            } catch {
                throw malformed("\(error)")
            }
            try check(tensors, classCount: classNames.count, dimension: record.dimension, method)
            return StoredProbe(
                content: content, classNames: classNames, templates: try list("templates"),
                model: record, decoding: decoding)
        }

        private func content(
            _ method: Method, _ tensors: [NamedTensor], classCount: Int
        ) throws(AnalysisError) -> Content {
            func rows(_ index: Int) -> Embeddings {
                Embeddings(rows: tensors[index].values, dimension: tensors[index].shape[1])
            }
            switch method {
            case .linear:
                return .linear(try LinearClassifier(weights: rows(0), biases: tensors[1].values))
            case .zslinear:
                return .zeroShotLinear(
                    try LinearClassifier(weights: rows(0), biases: tensors[1].values))
            case .tip:
                // A number that is not an integer becomes -1, which is rejected as out of range.
                let labels = tensors[1].values.map { Int(exactly: $0) ?? -1 }
                return .tipAdapter(
                    try StoredTipAdapter(
                        examples: LabelledVectors(rows(0), labels: labels, classCount: classCount),
                        labelEmbeddings: rows(2), alpha: number("alpha"), beta: number("beta")))
            }
        }

        /// Returns a number of the metadata; NaN, which the classifier rejects, if it is missing.
        private func number(_ key: String) -> Float { metadata[key].flatMap { Float($0) } ?? .nan }

        /// Compares the shapes of the tensors with the number of classes and the dimension.
        private func check(
            _ tensors: [NamedTensor], classCount: Int, dimension: Int, _ method: Method
        ) throws(ProbeFileError) {
            for tensor in tensors where tensor.shape.count == 2 && tensor.shape[1] != dimension {
                throw malformed(
                    """
                    the tensor \(tensor.name) has the shape \(tensor.shape): expected \
                    \(dimension) columns
                    """)
            }
            let rows = tensors[method == .tip ? 2 : 0].shape[0]
            guard rows == classCount, classCount >= 2 else {
                throw malformed(
                    "it has \(classCount) class names, and rows for \(rows) classes")
            }
        }
    }
}
