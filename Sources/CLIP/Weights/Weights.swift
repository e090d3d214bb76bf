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
        if let configuration = files.configuration {
            if let found = try ConfigurationFile(path: configuration) {
                stated = found
            }
        }
        if let preprocessor = files.preprocessor, layout == .huggingFace {
            try stated.readPreprocessor(path: preprocessor)
        }

        parameters = try Parameters(file, layout: layout)
        var configuration = try CLIPConfiguration(
            shapes: parameters.shapes, stated: stated, activation: .quickGELU, path: files.weights)
        try parameters.check(
            against: configuration.tensorShapes, layout: layout, path: files.weights)
        if let path = files.configuration {
            try stated.check(against: configuration, path: path)
        }

        let source: String
        if let known = stated.activation {
            if let requested, requested != known {
                throw .contradictoryActivation(
                    path: files.weights, stated: known, requested: requested)
            }
            configuration.activation = known
            source = files.configuration ?? ""
        } else if let requested {
            configuration.activation = requested
            source = "the caller"
        } else if let official = OfficialModel.allCases.first(where: {
            $0.fileStem == ModelFiles.stem(of: files.weights)
        }), official.matches(configuration) {
            configuration.activation = .quickGELU
            source = "its name, OpenAI's \(official.rawValue)"
        } else {
            throw .unknownActivation(path: files.weights)
        }
        self.configuration = configuration

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

/// What a file of weights is.
public struct WeightsDescription: Sendable, Equatable {
    /// The file itself, where a folder was given.
    public let path: String
    /// How its tensors are named.
    public let layout: WeightLayout
    /// The number formats in it, as safetensors names them: "F32", "F16", "BF16".
    public let types: [String]
    /// How many numbers the model has.
    public let parameterCount: Int
    /// The size of the file.
    public let byteCount: Int
    /// What said which activation the weights need.
    public let activationSource: String
}
