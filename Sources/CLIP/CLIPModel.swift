internal import Files
internal import Synchronization
internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A CLIP model: images and texts to vectors that can be compared.
///
///     let model = try CLIPModel(path: "ViT-B-32")
///     let image = try model.encode(images: [RGBImage(contentsOfFile: "bike.jpg")])
///     let texts = try model.encode(texts: ["a man riding bicycle", "a man climbing mountain"])
///     print(try image.cosineSimilarities(to: texts))
///
/// A model never changes, and any number of tasks may use it at once. Its weights are checked when
/// it is made; a tower's are read from the mapped file when the tower is first used, so the file must
/// stay as it is as long as the model: whoever cuts it shorter ends the process.
public struct CLIPModel: Sendable {
    /// The hyperparameters, of which the shapes of the weights and a configuration tell.
    public private(set) var configuration: CLIPConfiguration
    /// What the image tower expects of an image.
    public private(set) var preprocessor: ImagePreprocessor
    /// What the text tower expects of a text.
    public private(set) var tokenizer = BPETokenizer()
    /// What the file of weights is.
    public let weights: WeightsDescription
    /// What cosines are multiplied by to make logits: e to the power of the weights' `logit_scale`,
    /// about 100 in every published model.
    public let logitScale: Float
    /// How many threads a call uses at most.
    public let threads: Int
    /// The arithmetic in use.
    public private(set) var precision = Precision.fp32
    /// The engine of the matrix products: `native` in any precision but fp32, and where the BLAS is not
    /// installed.
    public var engine: Engine {
        precision == .fp32 && wantedEngine.isAvailable ? wantedEngine : .native
    }

    private var wantedEngine = Engine.preferred
    private(set) var workspaces: WorkspacePool
    let parameters: Parameters
    let files: [(path: String, file: MappedFile)]
    private(set) var visual: Lazy<any VisionEncoder>
    private(set) var textual: Lazy<TextEncoder>

    /// Loads a model.
    ///
    /// - Parameters:
    ///   - path: a file of weights in OpenAI's (open_clip's) or Hugging Face's layout: safetensors, the
    ///     `index.json` of several, or what PyTorch 1.6 and later writes (`torch.save` of a state dict,
    ///     or TorchScript as OpenAI's own; nothing in it is run); or a folder that holds one and its
    ///     configuration. Which it is, its first bytes say. Where `sha256sum` left a file beside it
    ///     (`tiny.sha256` beside `tiny.safetensors`), all bytes are read and checked against that.
    ///   - activation: of the MLPs, needed only where neither a configuration beside the weights
    ///     nor a name of OpenAI's says it.
    ///   - threads: how many a call may use; all cores of the process if nil.
    /// - Throws: `CLIPError` for whatever is wrong with the files.
    public init(
        path: String, activation: Activation? = nil, threads: Int? = nil
    ) throws(CLIPError) {
        try self.init(Weights(path: path, activation: activation), threads: threads)
    }

    /// Loads a model whose configuration is known, whatever lies beside its weights.
    ///
    /// - Parameters:
    ///   - path: as above.
    ///   - configuration: the bytes of an `open_clip_config.json` or `config.json`.
    ///   - name: what messages call the configuration.
    ///   - activation: of the MLPs; another than the configuration's is refused.
    ///   - threads: how many a call may use; all cores of the process if nil.
    /// - Throws: `CLIPError` for whatever is wrong with the files.
    public init(
        path: String, configuration: some Collection<UInt8>, name: String,
        activation: Activation? = nil, threads: Int? = nil
    ) throws(CLIPError) {
        let known = (bytes: Array(configuration), name: name)
        try self.init(
            Weights(path: path, known: known, activation: activation), threads: threads)
    }

    /// Loads a model from bytes in memory, of which it keeps a copy.
    ///
    /// - Parameters:
    ///   - safetensors: the bytes of a safetensors file, as above.
    ///   - configuration: those of its `open_clip_config.json` or `config.json`.
    ///   - name: what messages call the model.
    ///   - sha256: of the weights, in hexadecimal digits, if they are to be checked.
    ///   - activation: of the MLPs; another than the configuration's is refused.
    ///   - threads: how many a call may use; all cores of the process if nil.
    /// - Throws: `CLIPError` for whatever is wrong with the bytes.
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
        self.threads = max(1, threads ?? availableCores())
        workspaces = WorkspacePool(threads: self.threads, engine: wantedEngine.products)
        guard logitScale.isFinite else {
            throw .nonFiniteResult(path: weights.path, stage: "the tensor logit_scale")
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
                return VisionTransformer(visual, vision, configuration, precision)
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

    /// Returns the same model with another precision.
    ///
    ///     let fast = try model.at(precision: Precision.bf16.isSupported ? .bf16 : .fp32)
    ///
    /// - Throws: `CLIPError.unsupportedPrecision` if the CPU has no instructions for it.
    public func at(precision: Precision) throws(CLIPError) -> CLIPModel {
        guard precision.isSupported else { throw .unsupportedPrecision(precision) }
        guard precision != self.precision else { return self }
        return computing(in: precision, by: wantedEngine)
    }

    /// The same model with another engine for its matrix products.
    ///
    /// - Throws: `CLIPError.unavailableEngine` if the engine is not installed, or if it is a BLAS and the
    ///   precision is not fp32.
    public func at(engine: Engine) throws(CLIPError) -> CLIPModel {
        guard engine.isAvailable else {
            throw .unavailableEngine(
                engine,
                reason: Engine.isBLASBuilt
                    ? "OpenBLAS was not found (Debian package libopenblas0)"
                    : "the library was built without the trait BLAS")
        }
        guard engine == .native || precision == .fp32 else {
            throw .unavailableEngine(
                engine, reason: "it computes in fp32, and the precision is \(precision.rawValue)")
        }
        return engine == wantedEngine ? self : computing(in: precision, by: engine)
    }

    /// The same model with towers of their own: an engine keeps weights in a form of its own.
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

    /// The same model with texts and images treated by other rules than OpenAI's.
    ///
    /// - Parameters:
    ///   - tokenizer: whose rules texts are tokenized by; as they are if nil.
    ///   - preprocessing: whose order and crop of images; as they are if nil.
    public func following(
        tokenizer: BPETokenizer.Rules? = nil, preprocessing: ImagePreprocessor.Rules? = nil
    ) -> CLIPModel {
        var model = self
        if let tokenizer { model.tokenizer = BPETokenizer(rules: tokenizer) }
        if let preprocessing { model.preprocessor.rules = preprocessing }
        return model
    }

    /// The same model for images of another size, its positional embeddings interpolated.
    ///
    /// As open_clip does it: bicubic, with antialiasing. Such a model has not been trained for that size,
    /// and is a little worse.
    ///
    /// - Parameter resolution: the side of the image, in pixels: 1 to 100 patches.
    /// - Throws: `CLIPError.invalidResolution` if it is not, or the image tower is a ModifiedResNet, whose
    ///   attention pool has positions for one size alone.
    public func at(resolution: Int) throws(CLIPError) -> CLIPModel {
        guard resolution != configuration.resolution else { return self }
        guard case .visionTransformer(var vision) = configuration.vision else {
            throw .invalidResolution(
                reason: """
                    this model's image tower is a ModifiedResNet, which takes images of \
                    \(configuration.resolution) pixels a side and no others
                    """)
        }
        // Attention looks at every pair of patches.
        let largest = vision.patchSize * 100
        guard resolution >= vision.patchSize && resolution <= largest else {
            throw .invalidResolution(
                reason: """
                    a resolution must be \(vision.patchSize) to \(largest) pixels for this model's \
                    patches of \(vision.patchSize), not \(resolution)
                    """)
        }
        vision.resolution = resolution
        var model = self
        model.configuration.vision = .visionTransformer(vision)
        model.preprocessor.resolution = resolution
        model.visual = Self.imageTower(parameters, model.configuration, precision)
        return model
    }

    /// The embeddings of images, as the image tower gives them: not normalised.
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the weights make no number.
    public func encode(images: [RGBImage]) throws(CLIPError) -> Embeddings {
        let groups = imageGroups(images.count)
        let rows = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            let pixels = images[group].flatMap { preprocessor($0) }
            return try imageFeatures(pixels[...], workspace)
        }
        return Embeddings(rows: rows.flatMap(\.self), dimension: configuration.embeddingDimension)
    }

    /// The embeddings of images that are preprocessed already: not normalised.
    ///
    /// - Parameter pixels: [count, 3, resolution, resolution].
    /// - Throws: `CLIPError.wrongPixelCount` if they are not whole images, `.nonFiniteResult` if
    ///   they or the weights make no number.
    public func encode(pixels: [Float]) throws(CLIPError) -> Embeddings {
        let size = 3 * configuration.resolution * configuration.resolution
        guard pixels.count % size == 0 else {
            throw .wrongPixelCount(
                expected: (pixels.count / size + 1) * size, found: pixels.count)
        }
        let groups = imageGroups(pixels.count / size)
        let rows = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            try imageFeatures(
                pixels[(group.lowerBound * size)..<(group.upperBound * size)], workspace)
        }
        return Embeddings(rows: rows.flatMap(\.self), dimension: configuration.embeddingDimension)
    }

    /// The embeddings of texts, as the text tower gives them: not normalised.
    ///
    /// - Parameter truncating: whether a text of more tokens than the context is cut.
    /// - Throws: `CLIPError.textTooLong` if one is too long and not to be cut, `.nonFiniteResult` if
    ///   the weights make no number.
    public func encode(texts: [String], truncating: Bool = false) throws(CLIPError) -> Embeddings {
        try encode(tokens: rows(of: texts, truncating: truncating))
    }

    /// The rows of ids of texts, none longer than the context.
    func rows(of texts: [String], truncating: Bool) throws(CLIPError) -> [[Int]] {
        var rows: [[Int]] = []
        for text in texts {
            rows.append(
                try tokenizer.tokenize(
                    text, contextLength: configuration.text.contextLength, truncating: truncating))
        }
        return rows
    }

    /// The embeddings of texts that are tokenized already: not normalised.
    ///
    /// - Parameter tokens: rows of ids, padded or not; each is read up to the first of its largest
    ///   id, which is the end token's, as the reference reads it.
    /// - Throws: `CLIPError.invalidTokens` if a row is empty, too long, or has an id outside the
    ///   vocabulary; `.nonFiniteResult` if the weights make no number.
    public func encode(tokens: [[Int]]) throws(CLIPError) -> Embeddings {
        var rows: [ArraySlice<Int>] = []
        for row in tokens {
            try check(row)
            guard let largest = row.max(), let end = row.firstIndex(of: largest) else { continue }
            rows.append(row[...end])
        }
        let dimension = configuration.embeddingDimension
        guard !rows.isEmpty else { return Embeddings(rows: [], dimension: dimension) }
        // Neighbours share what they begin with.
        let order = rows.indices.sorted { rows[$0].lexicographicallyPrecedes(rows[$1]) }
        let sorted = order.map { rows[$0] }
        let encoder = textual.value
        let groups = EncodingGroups(sorted, threads: threads)
        let found = try groups.map(on: workspaces) { group, workspace throws(CLIPError) in
            let texts = Array(sorted[group])
            return try finiteValues(of: encoder(texts, workspace: workspace)) {
                encoder(texts, workspace: workspace, observer: $0)
            }
        }
        return Embeddings(rows: found.flatMap(\.self), dimension: dimension).moved(to: order)
    }

    /// Which of some labels fits, from the cosines of an image with them: softmax(logitScale · cosine).
    ///
    /// - Returns: as many probabilities, which sum to 1.
    public func probabilities(ofCosines cosines: [Float]) -> [Float] {
        let largest = cosines.max() ?? 0
        let weights = cosines.map { exp(logitScale * ($0 - largest)) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    /// Returns the SHA-256 of each file of weights. Reads all bytes of the files.
    public func checksums() -> [WeightsDescription.Checksum] {
        files.map { WeightsDescription.Checksum(path: $0.path, sha256: $0.file.sha256()) }
    }

    /// What tells models apart whose embeddings cannot be compared: 64 hexadecimal digits.
    ///
    /// It is made of the configuration and of some bytes of every tensor, as the file holds them.
    public var fingerprint: String {
        var bytes = Array("\(configuration)".utf8)
        for name in parameters.names {
            for part in parameters[name].parts {
                bytes += "\(name) \(part.tensor.type) \(part.tensor.shape)".utf8
                bytes += part.tensor.sample
            }
        }
        return hexadecimal(sha256(bytes))
    }

    /// The instruction set of all arithmetic.
    public static var instructionSet: String { Kernels.instructionSet }

    /// The instruction sets that this CPU can run and the library has kernels for, the fastest first. The
    /// environment variable CLIP_ISA chooses one of them.
    public static var instructionSets: [String] { Kernels.available }
}

/// A value that is made when it is first asked for, once, by whichever thread comes first.
final class Lazy<Value: Sendable>: Sendable {
    private let made = Mutex<Value?>(nil)
    private let make: @Sendable () -> Value

    init(_ make: @escaping @Sendable () -> Value) { self.make = make }

    var isMade: Bool { made.withLock { $0 != nil } }

    var value: Value {
        made.withLock { made in
            if let made { return made }
            let value = make()
            made = value
            return value
        }
    }
}
