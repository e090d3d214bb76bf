internal import Files
internal import TensorFiles
internal import Tensors

extension CLIPModel {
    /// Writes the interpolation of this model's weights with those of another model.
    ///
    /// Every tensor of the file is `(1 - alpha) · a + alpha · b` in float32, where a is this
    /// model's tensor and b the other's. With a pretrained model and the same model after
    /// fine-tuning, the result often keeps the robustness of the first and the accuracy of the
    /// second.
    ///
    /// ```swift
    /// let tuned = try CLIPModel(path: "tuned.safetensors")
    /// try model.write(safetensors: "merged.safetensors", merging: tuned, alpha: 0.5)
    /// ```
    ///
    /// The metadata state both models, and `weights.merge` of the loaded file returns them. Tensors
    /// are read and written one by one. The file appears at its path once it is complete and
    /// synchronised to the disk.
    ///
    /// Source: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models" (WiSE-FT).
    ///
    /// - Parameters:
    ///   - path: The path of the new file; an existing file is replaced, unless it is a file of one
    ///     of the two models.
    ///   - other: A model with the same configuration and preprocessing.
    ///   - alpha: The weight of the other model, 0...1. At 0, the numbers before their conversion
    ///     to `format` are exactly those of this model; at 1, those of the other.
    ///   - format: The format of all numbers.
    ///   - source: The name of this model to state in the metadata; the path of its weights if nil.
    ///   - otherSource: The name of the other model; the path of its weights if nil.
    /// - Throws: `CLIPError.invalidAlpha`; `.differentModels`, `.missingTensor`,
    ///   `.unexpectedTensor` or `.misshapenTensor` if the models do not fit together;
    ///   `.nonFiniteResult` if a tensor contains NaN or infinity; `.unrepresentableNumber` if a
    ///   number is too large for `format`; `.unwritableFile` if the file cannot be written.
    public func write(
        safetensors path: String, merging other: CLIPModel, alpha: Double,
        format: NumberFormat = .float32, source: String? = nil, otherSource: String? = nil
    ) throws(CLIPError) {
        guard (0...1).contains(alpha) else { throw .invalidAlpha(found: alpha) }
        try check(mergeableWith: other)
        if other.reads(file: path) || reads(file: path) {
            throw .unwritableFile(path: path, reason: "it is a file of a model to be merged")
        }
        let shapes = configuration.tensorShapes
        let entries = parameters.names.map { name in
            // Some writers store a scalar with one dimension; OpenAI's layout has none.
            SafetensorsWriter.Entry(
                name: name, type: format.stored, shape: shapes[name] ?? parameters[name].shape)
        }
        let (name, otherName) = (source ?? weights.path, otherSource ?? other.weights.path)
        let merge = WeightsDescription.Merge(
            first: .init(name: name, fingerprint: fingerprint),
            second: .init(name: otherName, fingerprint: other.fingerprint), alpha: alpha)
        let metadata = metadata(
            source: "\(name), \(otherName)", checksums: checksums() + other.checksums(),
            merge: merge)
        let writer = try Self.writing { () throws(TensorFileError) in
            try SafetensorsWriter(path: path, entries: entries, metadata: metadata)
        }
        for entry in entries {
            let (own, others) = (
                parameters.tensor(entry.name), other.parameters.tensor(entry.name)
            )
            let tensor = own.interpolated(to: others, weight: alpha)
            guard tensor.firstNonFinite == nil else {
                let origin = own.firstNonFinite == nil ? other : self
                throw .nonFiniteResult(
                    path: origin.weights.path, stage: "the tensor \(entry.name)")
            }
            try Self.writing { () throws(TensorFileError) in
                try writer.append(tensor, as: entry.type, name: entry.name)
            }
        }
        try Self.writing { () throws(TensorFileError) in try writer.finish() }
    }

    private static func writing<Result>(
        _ body: () throws(TensorFileError) -> Result
    ) throws(CLIPError) -> Result {
        do throws(TensorFileError) {
            return try body()
        } catch {
            throw CLIPError(error)
        }
    }

    /// Throws an error unless configuration, preprocessing and the shapes of all tensors match.
    private func check(mergeableWith other: CLIPModel) throws(CLIPError) {
        for (own, others) in zip(mergedProperties, other.mergedProperties)
        where own.value != others.value {
            throw .differentModels(
                path: other.weights.path, reference: weights.path, property: own.name,
                expected: own.value, found: others.value)
        }
        let (shapes, others) = (parameters.shapes, other.parameters.shapes)
        let missing = shapes.keys.filter { others[$0] == nil }.sorted()
        if let name = missing.first {
            throw .missingTensor(
                path: other.weights.path, name: name, shape: shapes[name] ?? [],
                others: missing.count - 1)
        }
        let unexpected = others.keys.filter { shapes[$0] == nil }.sorted()
        if let name = unexpected.first {
            throw .unexpectedTensor(
                path: other.weights.path, name: name, shape: others[name] ?? [],
                others: unexpected.count - 1)
        }
        for (name, shape) in shapes.sorted(by: { $0.key < $1.key }) {
            let found = others[name] ?? []
            // A scalar may be stored with one dimension.
            guard shape == found || (shape + found).allSatisfy({ $0 == 1 }) else {
                throw .misshapenTensor(
                    path: other.weights.path, name: name, expected: shape, found: found)
            }
        }
    }

    /// The properties, beside shapes, in which merged models must agree, with names for errors.
    private var mergedProperties: [(name: String, value: String)] {
        let text = configuration.text
        return [
            ("image tower", configuration.summary),
            (
                "text tower",
                """
                width \(text.width), \(text.layers) layers, \(text.heads) heads, \
                \(text.contextLength) positions, \(text.vocabularySize) ids
                """
            ),
            ("embedding dimension", "\(configuration.embeddingDimension)"),
            ("activation", configuration.activation.rawValue),
            ("LayerNorm epsilon", "\(configuration.layerNormEpsilon)"),
            ("preprocessing mean", "\(preprocessor.mean)"),
            ("preprocessing std", "\(preprocessor.standardDeviation)"),
            ("interpolation of images", preprocessor.interpolation.rawValue),
            ("resize mode of images", preprocessor.resizeMode.rawValue),
            ("vocabulary", text.vocabulary?.rawValue ?? "unknown"),
            ("architecture", configuration.differences.joined(separator: ", ")),
        ]
    }

    /// Returns true if a path leads to a file of the model's weights.
    package func reads(file path: String) -> Bool {
        guard let file = try? FileStatus(path: Array(path.utf8)) else { return false }
        return ([weights.path] + files.map(\.path)).contains { own in
            guard let own = try? FileStatus(path: Array(own.utf8)) else { return false }
            return (own.device, own.inode) == (file.device, file.inode)
        }
    }
}
