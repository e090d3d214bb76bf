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
        guard let layout = WeightLayout(names: file.entries.keys) else {
            throw .unknownArchitecture(
                path: files.weights,
                reason: """
                    it has neither token_embedding.weight (OpenAI's layout) nor \
                    text_model.embeddings.token_embedding.weight (Hugging Face's)
                    """)
        }
        var stated = ConfigurationFile()
        var configurationPath: String?
        for path in files.configurations {
            // A file of another kind may have the name of a configuration.
            guard let found = try ConfigurationFile(path: path) else { continue }
            (stated, configurationPath) = (found, path)
            break
        }
        if let preprocessor = files.preprocessor, layout == .huggingFace {
            try stated.readPreprocessor(path: preprocessor)
        }

        parameters = try Parameters(file, layout: layout)
        // QuickGELU where nobody says: it is used only if the name turns out to be OpenAI's.
        configuration = try CLIPConfiguration(
            shapes: parameters.shapes, stated: stated,
            activation: stated.activation ?? requested ?? .quickGELU, path: files.weights)
        try parameters.check(
            against: configuration.tensorShapes, layout: layout, path: files.weights)
        if let path = configurationPath {
            try stated.check(against: configuration, path: path)
        }

        let source: WeightsDescription.ActivationSource
        if let known = stated.activation {
            if let requested, requested != known {
                throw .contradictoryActivation(
                    path: files.weights, stated: known, requested: requested)
            }
            source = .configuration(path: configurationPath ?? files.weights)
        } else if requested != nil {
            source = .caller
        } else if let official = OfficialModel.allCases.first(where: {
            $0.fileStem == ModelFiles.stem(of: files.weights)
        }), official.matches(configuration) {
            source = .name(official)
        } else {
            throw .unknownActivation(path: files.weights)
        }

        var preprocessor = ImagePreprocessor(resolution: configuration.resolution)
        preprocessor.mean = stated.mean ?? preprocessor.mean
        preprocessor.standardDeviation =
            stated.standardDeviation ?? preprocessor.standardDeviation
        preprocessor.interpolation = stated.interpolation ?? preprocessor.interpolation
        preprocessor.resizeMode = stated.resizeMode ?? preprocessor.resizeMode
        self.preprocessor = preprocessor

        description = WeightsDescription(
            path: files.weights, layout: layout, types: parameters.types.map(\.rawValue),
            parameterCount: parameters.count, byteCount: file.byteCount, activationSource: source)
    }
}
