internal import Files

internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A CLIP model, which encodes images and texts as vectors that can be compared.
///
/// ```swift
/// let model = try CLIPModel(path: "ViT-B-32")
/// let image = try model.encode(images: [RGBImage(contentsOfFile: "bike.jpg")])
/// let texts = try model.encode(texts: ["a man riding bicycle", "a man climbing mountain"])
/// print(try image.cosineSimilarities(to: texts))
/// ```
///
/// A model is immutable, and any number of tasks may use it at once. The shapes of the weights are
/// checked when the model is loaded. The weights of a tower are read from the memory-mapped file
/// when the tower is first used, so the file must not change during the lifetime of the model:
/// truncating it crashes the process.
public struct CLIPModel: Sendable {
    /// The hyperparameters, derived from the shapes of the weights and a configuration file.
    public private(set) var configuration: CLIPConfiguration
    /// The preprocessing of images before the image tower.
    public private(set) var preprocessor: ImagePreprocessor
    /// The tokenizer of texts before the text tower.
    ///
    /// That of CLIP is compiled into the library. That of other models is read at the first use
    /// from a file beside the weights: `spiece.model`, `tokenizer.model`, `sentencepiece.bpe.model`
    /// or `tokenizer.json`.
    ///
    /// - Throws: `CLIPError.missingTokenizer`, `.malformedTokenizer` or `.unreadableFile`, or
    ///   `.unavailableRules` if the tokenizer does not have the requested rules.
    public var tokenizer: Tokenizer {
        get throws(CLIPError) { try modelTokenizer.value }
    }

    private(set) var modelTokenizer: ModelTokenizer
    /// The description of the weights: file, format and size.
    public let weights: WeightsDescription
    /// The factor that turns cosines into logits, about 100 in OpenAI's models.
    ///
    /// It is the exponential of the tensor `logit_scale`.
    public let logitScale: Float
    /// The number that is added to logits; nil for models without one, such as CLIP.
    ///
    /// With it, the sigmoid of a logit is the probability that the text fits the image (SigLIP):
    /// ``sigmoidProbabilities(ofCosines:)``.
    public let logitBias: Float?
    /// The largest number of threads that a call uses.
    public let threads: Int
    /// The number format of the matrix products.
    public private(set) var precision = Precision.fp32
    /// The engine of the matrix products.
    ///
    /// It is `native` in every precision but fp32, and if the BLAS is not installed.
    public var engine: Engine {
        precision == .fp32 && wantedEngine.isAvailable ? wantedEngine : .native
    }

    private var wantedEngine = Engine.preferred
    private(set) var workspaces: WorkspacePool
    let parameters: Parameters
    let files: [(path: String, file: MappedFile)]
    private(set) var visual: Lazy<any VisionEncoder>
    private(set) var textual: Lazy<TextEncoder>

    /// Loads a model from a file of weights, or from a folder of weights and configuration.
    ///
    /// ```swift
    /// let model = try CLIPModel(path: "ViT-B-32.pt", threads: 4)
    /// ```
    ///
    /// The tensors must have the names that OpenAI and open_clip use, or those of Hugging Face. The
    /// file is one of these, of which the first two are recognised by their first bytes:
    /// - a safetensors file;
    /// - a file of PyTorch 1.6 or later: a state dict saved by `torch.save`, or TorchScript such
    ///   as OpenAI's own files. No code in the file is run;
    /// - the index of several such files, whose name ends in `.index.json`.
    ///
    /// If the output of `sha256sum` lies beside the weights (`tiny.sha256` beside
    /// `tiny.safetensors`), the whole file is read and its checksum verified.
    ///
    /// - Parameters:
    ///   - path: The path of the file or folder.
    ///   - activation: The activation of the MLPs. It is needed only if no configuration beside or
    ///     in the weights states it, and they are not an OpenAI model with its file name.
    ///   - threads: The largest number of threads that a call uses; all cores if nil.
    /// - Throws: `CLIPError` if a file cannot be read, is damaged, or is not of a supported model.
    public init(
        path: String, activation: Activation? = nil, threads: Int? = nil
    ) throws(CLIPError) {
        try self.init(Weights(path: path, activation: activation), threads: threads)
    }

    /// Loads a model with a given configuration, and ignores any configuration beside the weights.
    ///
    /// - Parameters:
    ///   - path: The path of a file or folder, as for `init(path:activation:threads:)`.
    ///   - configuration: The bytes of an `open_clip_config.json` or `config.json`.
    ///   - name: The name of the configuration in errors.
    ///   - activation: The activation of the MLPs; if not nil, it must be the configuration's.
    ///   - threads: The largest number of threads that a call uses; all cores if nil.
    /// - Throws: `CLIPError` if a file cannot be read, is damaged, or is not of a supported model.
    public init(
        path: String, configuration: some Collection<UInt8>, name: String,
        activation: Activation? = nil, threads: Int? = nil
    ) throws(CLIPError) {
        let known = (bytes: Array(configuration), name: name)
        try self.init(
            Weights(path: path, known: known, activation: activation), threads: threads)
    }

    /// Loads a model from bytes in memory, which are copied.
    ///
    /// - Parameters:
    ///   - safetensors: The bytes of a safetensors file.
    ///   - configuration: The bytes of the model's `open_clip_config.json` or `config.json`.
    ///   - name: The name of the model in errors.
    ///   - sha256: The SHA-256 of the weights in hexadecimal digits; nil to skip the check.
    ///   - activation: The activation of the MLPs; if not nil, it must be the configuration's.
    ///   - threads: The largest number of threads that a call uses; all cores if nil.
    /// - Throws: `CLIPError` if the bytes are damaged or not of a supported model.
    public init(
        safetensors: some Collection<UInt8>, configuration: some Collection<UInt8>, name: String,
        sha256: String? = nil, activation: Activation? = nil, threads: Int? = nil
    ) throws(CLIPError) {
        let file: MappedFile
        do {
            file = try MappedFile(copying: safetensors)
        } catch {
            throw .unreadableFile(path: name, reason: error.reason)
        }
        let loaded = try Weights(
            file, configuration: Array(configuration), sha256: sha256, name: name,
            activation: activation)
        try self.init(loaded, threads: threads)
    }

    private init(_ loaded: Weights, threads: Int?) throws(CLIPError) {
        configuration = loaded.configuration
        preprocessor = loaded.preprocessor
        weights = loaded.description
        parameters = loaded.parameters
        files = loaded.files
        logitScale = exp(parameters.tensor("logit_scale").values[0])
        logitBias =
            configuration.hasLogitBias ? parameters.tensor("logit_bias").values[0] : nil
        modelTokenizer = ModelTokenizer(
            configuration.text, folder: loaded.folder, rules: loaded.tokenizerRules,
            cleaning: loaded.tokenizerCleaning,
            keepsAspectRatio: configuration.keepsAspectRatio)
        self.threads = max(1, threads ?? availableCores())
        workspaces = WorkspacePool(threads: self.threads, engine: wantedEngine.products)
        guard logitScale.isFinite, logitBias?.isFinite != false else {
            let name = logitScale.isFinite ? "logit_bias" : "logit_scale"
            throw .nonFiniteResult(path: weights.path, stage: "the tensor \(name)")
        }

        visual = Self.imageTower(parameters, configuration, .fp32)
        textual = Self.textTower(parameters, configuration, .fp32)
    }

    private static func imageTower(
        _ parameters: Parameters, _ configuration: CLIPConfiguration, _ precision: Precision
    ) -> Lazy<any VisionEncoder> {
        Lazy {
            let visual = parameters.scoped("visual")
            switch configuration.vision {
            case .visionTransformer(let vision):
                return VisionTransformer(visual, vision, precision)
            case .modifiedResNet(let vision):
                return ModifiedResNet(visual, vision, precision)
            }
        }
    }

    private static func textTower(
        _ parameters: Parameters, _ configuration: CLIPConfiguration, _ precision: Precision
    ) -> Lazy<TextEncoder> {
        Lazy { TextEncoder(parameters, configuration, precision) }
    }

    /// Returns the model with another precision.
    ///
    /// ```swift
    /// let fast = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
    /// ```
    ///
    /// - Throws: `CLIPError.unsupportedPrecision` if the CPU has no instructions for it.
    public func at(precision: Precision) throws(CLIPError) -> CLIPModel {
        guard precision.isSupported else { throw .unsupportedPrecision(precision) }
        guard precision != self.precision else { return self }
        return computing(in: precision, by: wantedEngine)
    }

    /// Returns the model with another engine for its matrix products.
    ///
    /// ```swift
    /// let other = try model.at(engine: .blas)
    /// ```
    ///
    /// - Throws: `CLIPError.unavailableEngine` if the engine is not installed, or if it is a BLAS
    ///   and the precision is not fp32.
    public func at(engine: Engine) throws(CLIPError) -> CLIPModel {
        guard engine.isAvailable else {
            throw .unavailableEngine(
                engine,
                reason: Engine.isBLASBuilt
                    ? """
                    OpenBLAS was not found (Debian package libopenblas0), or the address space is \
                    limited to less than 512 MB (ulimit -v)
                    """
                    : "the library was built without the trait BLAS")
        }
        guard engine == .native || precision == .fp32 else {
            throw .unavailableEngine(
                engine, reason: "it supports only fp32, not \(precision.rawValue)")
        }
        return engine == wantedEngine ? self : computing(in: precision, by: engine)
    }

    /// Returns the model with new towers, because the layout of packed weights depends on the
    /// precision and the engine.
    private func computing(in precision: Precision, by engine: Engine) -> CLIPModel {
        var model = self
        model.precision = precision
        model.wantedEngine = engine
        model.workspaces = WorkspacePool(
            threads: threads, engine: precision == .fp32 ? engine.products : .native)
        model.visual = Self.imageTower(parameters, configuration, precision)
        model.textual = Self.textTower(parameters, configuration, precision)
        return model
    }

    /// Returns the model with other rules of tokenization or preprocessing.
    ///
    /// ```swift
    /// let other = model.following(tokenizer: .huggingFace, preprocessing: .huggingFace)
    /// ```
    ///
    /// - Parameters:
    ///   - tokenizer: The rules of tokenization; unchanged if nil. If the model's tokenizer does
    ///     not have them, `tokenizer` throws an error when a text is encoded.
    ///   - preprocessing: The rules of preprocessing; unchanged if nil.
    /// - Returns: A model with the same weights.
    public func following(
        tokenizer: Tokenizer.Rules? = nil, preprocessing: ImagePreprocessor.Rules? = nil
    ) -> CLIPModel {
        var model = self
        if let tokenizer { model.modelTokenizer = modelTokenizer.with(rules: tokenizer) }
        if let preprocessing { model.preprocessor.rules = preprocessing }
        return model
    }

    /// Returns the model with a folder in which compact forms of large vocabularies are kept, so
    /// that the next start is fast.
    ///
    /// ```swift
    /// let model = try CLIPModel(path: "ViT-B-16-SigLIP2-256").caching(tokenizersIn: "/tmp/clip")
    /// ```
    ///
    /// - Parameter folder: The path of the folder, which is made if it is missing. If it cannot be
    ///   written, the tokenizer's own file is parsed each time.
    /// - Returns: A model with the same weights.
    public func caching(tokenizersIn folder: String) -> CLIPModel {
        var model = self
        model.modelTokenizer = modelTokenizer.with(cache: folder)
        return model
    }

    /// Returns the model for images of another size, with interpolated positional embeddings.
    ///
    /// The interpolation is open_clip's: bicubic, with antialiasing. Since the model was not
    /// trained for that size, it is a little less accurate. If the model keeps the aspect ratio of
    /// images (NaFlex), an image may have as many patches as a square of that size.
    ///
    /// - Parameter resolution: The side of the image in pixels, 1 to 100 patches.
    /// - Returns: A model with the same weights.
    /// - Throws: `CLIPError.invalidResolution` if `resolution` is out of range, or if the image
    ///   tower is a ModifiedResNet, whose attention pool supports one size only.
    public func at(resolution: Int) throws(CLIPError) -> CLIPModel {
        guard resolution != configuration.resolution else { return self }
        guard case .visionTransformer(var vision) = configuration.vision else {
            let only = configuration.resolution
            throw .invalidResolution(expected: only...only, found: resolution)
        }
        // The cost of attention grows with the square of the number of patches.
        let supported = vision.patchSize...(vision.patchSize * 100)
        guard supported.contains(resolution) else {
            throw .invalidResolution(expected: supported, found: resolution)
        }
        vision.positionGrid = vision.positionGrid ?? vision.grid
        vision.resolution = resolution
        var model = self
        model.configuration.vision = .visionTransformer(vision)
        model.preprocessor.resolution = resolution
        model.visual = Self.imageTower(parameters, model.configuration, precision)
        return model
    }

    /// Returns the embeddings of images, one row each, not normalised.
    ///
    /// ```swift
    /// let embeddings = try model.encode(images: [bike, mountain])
    /// ```
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the weights produce NaN or infinity.
    public func encode(images: [RGBImage]) throws(CLIPError) -> Embeddings {
        let groups = imageGroups(images.count)
        let rows = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            try imageFeatures(planes(of: images[group]), workspace)
        }
        return Embeddings(rows: rows.flatMap(\.self), dimension: configuration.embeddingDimension)
    }

    /// Returns the embeddings of preprocessed images, one row each, not normalised.
    ///
    /// - Parameter pixels: The images as `preprocessor` returns them, [count, 3, resolution,
    ///   resolution].
    /// - Returns: One embedding for each image, in the same order.
    /// - Throws: `CLIPError.wrongPixelCount` if the number of pixel values is not a multiple of
    ///   that of one image, `.nonFiniteResult` if `pixels` or the weights produce NaN or infinity.
    public func encode(pixels: [Float]) throws(CLIPError) -> Embeddings {
        let size = 3 * configuration.resolution * configuration.resolution
        guard pixels.count % size == 0 else {
            throw .wrongPixelCount(
                expected: (pixels.count / size + 1) * size, found: pixels.count)
        }
        let groups = imageGroups(pixels.count / size)
        let rows = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            try imageFeatures(
                ImagePlanes(
                    pixels[(group.lowerBound * size)..<(group.upperBound * size)],
                    resolution: configuration.resolution), workspace)
        }
        return Embeddings(rows: rows.flatMap(\.self), dimension: configuration.embeddingDimension)
    }

    /// Returns the embeddings of texts, one row each, not normalised.
    ///
    /// ```swift
    /// let embeddings = try model.encode(texts: ["a man riding bicycle"])
    /// ```
    ///
    /// - Parameters:
    ///   - texts: Any number of texts.
    ///   - truncating: True to truncate texts that have more tokens than the context.
    /// - Returns: One embedding for each text, in the same order.
    /// - Throws: `CLIPError.textTooLong` if a text is too long and `truncating` is false,
    ///   `.nonFiniteResult` if the weights produce NaN or infinity.
    public func encode(texts: [String], truncating: Bool = false) throws(CLIPError) -> Embeddings {
        try encode(tokens: rows(of: texts, truncating: truncating))
    }

    /// Returns the embeddings of tokenized texts, one row each, not normalised.
    ///
    /// As in the references, CLIP's tower reads a row up to the first occurrence of its largest id,
    /// which is that of the end token if the row has one. Towers that attend to padding, such as
    /// SigLIP's, read the whole context; shorter rows are padded.
    ///
    /// - Parameter tokens: Rows of token ids, with or without padding.
    /// - Returns: One embedding for each row of ids, in the same order.
    /// - Throws: `CLIPError.wrongTokenCount` if a row is empty or too long, `.unknownToken` if an
    ///   id is outside the vocabulary, `.nonFiniteResult` if the weights produce NaN or infinity.
    public func encode(tokens: [[Int]]) throws(CLIPError) -> Embeddings {
        var rows: [TextRow] = []
        for row in tokens {
            try check(row)
            rows.append(try configuration.text.row(row))
        }
        let dimension = configuration.embeddingDimension
        guard !rows.isEmpty else { return Embeddings(rows: [], dimension: dimension) }
        // Sorted, so that neighbours share prefixes, which are computed once.
        let order = rows.indices.sorted { rows[$0].ids.lexicographicallyPrecedes(rows[$1].ids) }
        let sorted = order.map { rows[$0] }
        let encoder = textual.value
        let groups =
            configuration.text.isCausal
            ? EncodingGroups(sorted.map(\.ids), threads: threads)
            : EncodingGroups(
                count: sorted.count, threads: threads,
                largest: max(1, 320 / configuration.text.contextLength))
        let found = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            let texts = Array(sorted[group])
            return try finiteValues(of: encoder(texts, workspace: workspace)) {
                encoder(texts, workspace: workspace, observer: $0)
            }
        }
        return Embeddings(rows: found.flatMap(\.self), dimension: dimension).moved(to: order)
    }
}
