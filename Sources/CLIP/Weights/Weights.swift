internal import TensorFiles
internal import Files
internal import Tensors

/// A model's opened weights: shapes and configuration are checked, but no values are read yet.
struct Weights: Sendable {
    let description: WeightsDescription
    let configuration: CLIPConfiguration
    let preprocessor: ImagePreprocessor
    let parameters: Parameters
    /// The folder of the weights, with a slash at its end; nil if they are in memory.
    let folder: String?
    /// The model's own rules of tokenization.
    let tokenizerRules: Tokenizer.Rules
    /// The cleaning of texts that a configuration states.
    let tokenizerCleaning: SentencePieceTokenizer.Format.Cleaning?
    /// The files that contain the parameters.
    let files: [(path: String, file: MappedFile)]

    /// Opens the weights of a file or folder.
    ///
    /// If `known` is not nil, it replaces any configuration beside the weights; its name is for
    /// error messages.
    init(
        path: String, known: (bytes: [UInt8], name: String)? = nil,
        activation requested: Activation?
    ) throws(CLIPError) {
        let files = try ModelFiles(path: path)
        let archive: TensorArchive
        let checksum = try files.checksum.map { path throws(CLIPError) in
            try ModelFiles.readChecksum(path: path)
        }
        do throws(TensorFileError) {
            archive = try TensorArchive(path: files.weights)
            if let checksum { try archive.check(sha256: checksum) }
        } catch {
            throw CLIPError(error)
        }
        var stated = ConfigurationFile()
        var statedBy: String?
        let within = archive.metadata[ConfigurationFile.metadataKey]
        if let known = known ?? within.map({ (Array($0.utf8), "the metadata of \(archive.path)") })
        {
            (stated, statedBy) = (try Self.configuration(known.bytes, known.name), known.name)
        } else {
            for path in files.configurations {
                // A file with the name of a configuration may be of another kind.
                guard let found = try ConfigurationFile(path: path) else { continue }
                (stated, statedBy) = (found, path)
                break
            }
            if let preprocessor = files.preprocessor, try Self.layout(of: archive) == .huggingFace {
                try stated.readPreprocessor(path: preprocessor)
            }
        }
        try self.init(
            archive, stated: stated, statedBy: statedBy, folder: Files.folder(of: files.weights),
            activation: requested)
    }

    /// Opens weights in memory, with the bytes of their configuration.
    ///
    /// Error messages use `name` for both.
    init(
        _ file: MappedFile, configuration: [UInt8], sha256: String?, name: String,
        activation requested: Activation?
    ) throws(CLIPError) {
        let archive: TensorArchive
        do throws(TensorFileError) {
            archive = try TensorArchive(file, path: name)
            if let sha256 { try archive.check(sha256: sha256) }
        } catch {
            throw CLIPError(error)
        }
        try self.init(
            archive, stated: Self.configuration(configuration, name), statedBy: name,
            folder: nil, activation: requested)
    }

    private static func configuration(
        _ bytes: [UInt8], _ name: String
    ) throws(CLIPError) -> ConfigurationFile {
        guard let stated = try ConfigurationFile(bytes, path: name) else {
            throw .malformedConfiguration(
                path: name, reason: "it is not a configuration of open_clip or transformers")
        }
        return stated
    }

    private static func layout(of file: TensorArchive) throws(CLIPError) -> WeightLayout {
        guard let layout = WeightLayout(names: file.entries.keys) else {
            throw .unknownArchitecture(
                path: file.path,
                expected: """
                    the tensor token_embedding.weight (OpenAI's layout) or \
                    text_model.embeddings.token_embedding.weight (Hugging Face's)
                    """,
                found: "neither")
        }
        return layout
    }

    private init(
        _ file: TensorArchive, stated: ConfigurationFile, statedBy: String?, folder: String?,
        activation requested: Activation?
    ) throws(CLIPError) {
        let layout = try Self.layout(of: file)
        parameters = try Parameters(file, layout: layout)
        // If the activation is unknown, QuickGELU stands in for it until the name is checked below.
        configuration = try CLIPConfiguration(
            shapes: parameters.shapes, stated: stated,
            activation: stated.activation ?? requested ?? .quickGELU, path: file.path)
        try parameters.check(
            against: configuration.tensorShapes, layout: layout, path: file.path)
        if let statedBy { try stated.check(against: configuration, path: statedBy) }

        let source: WeightsDescription.ActivationSource
        if let known = stated.activation {
            if let requested, requested != known {
                throw .contradictoryActivation(
                    path: file.path, stated: known, requested: requested)
            }
            source = .configuration(path: statedBy ?? file.path)
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
        if case .visionTransformer(let vision) = configuration.vision, vision.positions == .resized
        {
            preprocessor.resizeMode = .patches
            preprocessor.patchSize = vision.patchSize
        }
        // Models with CLIP's vocabulary follow OpenAI; others follow the library of the layout.
        let isCLIP = configuration.text.vocabulary == .clip
        let isHuggingFace = (stated.library ?? layout) == .huggingFace
        preprocessor.rules =
            stated.preprocessingRules ?? (isHuggingFace && !isCLIP ? .huggingFace : .openAI)
        tokenizerCleaning = stated.tokenizerCleaning
        tokenizerRules =
            stated.tokenizerRules
            ?? (isCLIP ? .openAI : isHuggingFace ? .huggingFace : .openCLIP)
        self.folder = folder
        self.preprocessor = preprocessor
        files = file.files

        description = WeightsDescription(
            path: file.path, format: WeightFormat(file.format), layout: layout,
            types: parameters.types.map(\.rawValue),
            parameterCount: parameters.count, byteCount: file.byteCount, activationSource: source,
            merge: WeightsDescription.Merge(file.metadata))
    }
}
