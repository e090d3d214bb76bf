internal import Tensors

/// A model's weights, found, checked and described; not read yet.
struct Weights: Sendable {
    let description: WeightsDescription
    let configuration: CLIPConfiguration
    let preprocessor: ImagePreprocessor
    let parameters: Parameters

    init(path: String, activation requested: Activation?) throws(CLIPError) {
        let files = try ModelFiles(path: path)
        let file = try SafetensorsFile(path: files.weights)
        if let checksum = files.checksum {
            try file.check(sha256: ModelFiles.readChecksum(path: checksum))
        }
        var stated = ConfigurationFile()
        var configurationPath: String?
        for path in files.configurations {
            // A file of another kind may have the name of a configuration.
            guard let found = try ConfigurationFile(path: path) else { continue }
            (stated, configurationPath) = (found, path)
            break
        }
        if let preprocessor = files.preprocessor, try Self.layout(of: file) == .huggingFace {
            try stated.readPreprocessor(path: preprocessor)
        }
        try self.init(
            file, stated: stated, configurationPath: configurationPath, activation: requested)
    }

    /// - Parameters:
    ///   - file: the bytes of a safetensors file.
    ///   - configuration: those of its configuration; `name` is what messages call both.
    init(
        _ file: MappedFile, configuration: [UInt8], sha256: String?, name: String,
        activation requested: Activation?
    ) throws(CLIPError) {
        let file = try SafetensorsFile(file, path: name)
        if let sha256 { try file.check(sha256: sha256) }
        guard let stated = try ConfigurationFile(configuration, path: name) else {
            throw .malformedConfiguration(
                path: name, reason: "it is neither open_clip's nor transformers'")
        }
        try self.init(
            file, stated: stated, configurationPath: name, activation: requested)
    }

    private static func layout(of file: SafetensorsFile) throws(CLIPError) -> WeightLayout {
        guard let layout = WeightLayout(names: file.entries.keys) else {
            throw .unknownArchitecture(
                path: file.path,
                reason: """
                    it has neither token_embedding.weight (OpenAI's layout) nor \
                    text_model.embeddings.token_embedding.weight (Hugging Face's)
                    """)
        }
        return layout
    }

    private init(
        _ file: SafetensorsFile, stated: ConfigurationFile, configurationPath: String?,
        activation requested: Activation?
    ) throws(CLIPError) {
        let layout = try Self.layout(of: file)
        parameters = try Parameters(file, layout: layout)
        // QuickGELU where nobody says: it is used only if the name turns out to be OpenAI's.
        configuration = try CLIPConfiguration(
            shapes: parameters.shapes, stated: stated,
            activation: stated.activation ?? requested ?? .quickGELU, path: file.path)
        try parameters.check(
            against: configuration.tensorShapes, layout: layout, path: file.path)
        if let path = configurationPath {
            try stated.check(against: configuration, path: path)
        }

        let source: WeightsDescription.ActivationSource
        if let known = stated.activation {
            if let requested, requested != known {
                throw .contradictoryActivation(
                    path: file.path, stated: known, requested: requested)
            }
            source = .configuration(path: configurationPath ?? file.path)
        } else if requested != nil {
            source = .caller
        } else if let official = OfficialModel.allCases.first(where: {
            $0.fileStem == ModelFiles.stem(of: file.path)
        }), official.matches(configuration) {
            source = .name(official)
        } else {
            throw .unknownActivation(path: file.path)
        }

        var preprocessor = ImagePreprocessor(resolution: configuration.resolution)
        preprocessor.mean = stated.mean ?? preprocessor.mean
        preprocessor.standardDeviation =
            stated.standardDeviation ?? preprocessor.standardDeviation
        preprocessor.interpolation = stated.interpolation ?? preprocessor.interpolation
        preprocessor.resizeMode = stated.resizeMode ?? preprocessor.resizeMode
        self.preprocessor = preprocessor

        description = WeightsDescription(
            path: file.path, layout: layout, types: parameters.types.map(\.rawValue),
            parameterCount: parameters.count, byteCount: file.byteCount, activationSource: source)
    }
}
