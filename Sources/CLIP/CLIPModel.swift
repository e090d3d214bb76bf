internal import Synchronization
internal import Tensors

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#else
    internal import Darwin
#endif

/// A CLIP model: pictures and texts to vectors that can be compared.
///
///     let model = try CLIPModel(path: "ViT-B-32")
///     let image = try model.encode(images: [RGBImage(contentsOfFile: "bike.jpg")])
///     let texts = try model.encode(texts: ["a man riding bicycle", "a man climbing mountain"])
///     print(image.cosineSimilarities(to: texts))
///
/// A model never changes, and any number of tasks may use it at once. Its weights are checked when
/// it is made; a tower's are read from the mapped file when the tower is first used, so the file must
/// stay as it is as long as the model: whoever cuts it shorter ends the process.
///
/// Matrix products run on the model's own threads; OpenBLAS is set to one for the whole process.
public struct CLIPModel: Sendable {
    /// The hyperparameters, of which the shapes of the weights and a configuration tell.
    public private(set) var configuration: CLIPConfiguration
    /// What the image tower expects of a picture.
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

    let parameters: Parameters
    private let files: [(path: String, file: MappedFile)]
    private var visual: Lazy<any VisionEncoder>
    let textual: Lazy<TextEncoder>

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
        guard logitScale.isFinite else {
            throw .nonFiniteResult(path: weights.path, stage: "the tensor logit_scale")
        }

        let (parameters, configuration) = (parameters, configuration)
        visual = Self.imageTower(parameters, configuration)
        textual = Lazy { TextEncoder(parameters, configuration) }
    }

    private static func imageTower(
        _ parameters: Parameters, _ configuration: CLIPConfiguration
    ) -> Lazy<any VisionEncoder> {
        Lazy {
            let visual = parameters.scoped("visual")
            switch configuration.vision {
            case .visionTransformer(let vision):
                return VisionTransformer(visual, vision, configuration)
            case .modifiedResNet(let vision):
                return ModifiedResNet(visual, vision)
            }
        }
    }

    /// The same model with texts and pictures treated by other rules than OpenAI's.
    ///
    /// - Parameters:
    ///   - tokenizer: whose rules texts are tokenized by; as they are if nil.
    ///   - preprocessing: whose order and crop of pictures; as they are if nil.
    public func following(
        tokenizer: BPETokenizer.Rules? = nil, preprocessing: ImagePreprocessor.Rules? = nil
    ) -> CLIPModel {
        var model = self
        if let tokenizer { model.tokenizer = BPETokenizer(rules: tokenizer) }
        if let preprocessing { model.preprocessor.rules = preprocessing }
        return model
    }

    /// The same model for pictures of another size, its positional embeddings interpolated.
    ///
    /// As open_clip does it: bicubic, with antialiasing. Such a model has not been trained for that size,
    /// and is a little worse.
    ///
    /// - Parameter resolution: the side of the picture, in pixels: 1 to 100 patches.
    /// - Throws: `CLIPError.invalidResolution` if it is not, or the image tower is a ModifiedResNet, whose
    ///   attention pool has positions for one size alone.
    public func at(resolution: Int) throws(CLIPError) -> CLIPModel {
        guard resolution != configuration.resolution else { return self }
        guard case .visionTransformer(var vision) = configuration.vision else {
            throw .invalidResolution(
                reason: """
                    this model's image tower is a ModifiedResNet, which takes pictures of \
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
        model.visual = Self.imageTower(parameters, model.configuration)
        return model
    }

    /// The embeddings of pictures, as the image tower gives them: not normalised.
    ///
    /// - Throws: `CLIPError.nonFiniteResult` if the weights make no number.
    public func encode(images: [RGBImage]) throws(CLIPError) -> Embeddings {
        var values: [Float] = []
        // In groups, so that a long list does not lie in memory as floats.
        let size = images.isEmpty ? 1 : visual.value.batchSize
        for start in stride(from: 0, to: images.count, by: size) {
            let group = images[start..<min(start + size, images.count)]
            values += try encode(pixels: group.flatMap { preprocessor($0) }).values
        }
        return Embeddings(values: values, dimension: configuration.embeddingDimension)
    }

    /// The embeddings of pictures that are preprocessed already: not normalised.
    ///
    /// - Parameter pixels: [count, 3, resolution, resolution].
    /// - Throws: `CLIPError.wrongPixelCount` if they are not whole pictures, `.nonFiniteResult` if
    ///   they or the weights make no number.
    public func encode(pixels: [Float]) throws(CLIPError) -> Embeddings {
        let size = 3 * configuration.resolution * configuration.resolution
        guard pixels.count % size == 0 else {
            throw .wrongPixelCount(
                expected: (pixels.count / size + 1) * size, found: pixels.count)
        }
        guard !pixels.isEmpty else { return noEmbeddings }
        let encoder = visual.value
        return try encode(count: pixels.count / size, groupSize: encoder.batchSize) {
            range, workspace, observer in
            encoder(
                pixels[(range.lowerBound * size)..<(range.upperBound * size)], batch: range.count,
                workspace: workspace, observer: observer)
        }
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
        guard !rows.isEmpty else { return noEmbeddings }
        let encoder = textual.value
        return try encode(count: rows.count, groupSize: 64) { range, workspace, observer in
            encoder(Array(rows[range]), workspace: workspace, observer: observer)
        }
    }

    /// Which of some labels fits, from the cosines of a picture with them: softmax(logitScale · cosine).
    ///
    /// - Returns: as many probabilities, which sum to 1.
    public func probabilities(ofCosines cosines: [Float]) -> [Float] {
        let largest = cosines.max() ?? 0
        let weights = cosines.map { exp(logitScale * ($0 - largest)) }
        let sum = weights.reduce(0, +)
        return weights.map { $0 / sum }
    }

    /// The SHA-256 of each file of weights, in hexadecimal digits; reads all their bytes.
    public func checksums() -> [(path: String, sha256: String)] {
        files.map { ($0.path, $0.file.sha256()) }
    }

    /// The library behind matrix products, and the instruction set of everything else.
    public static var engine: (matrixProducts: String, instructionSet: String) {
        (matrixProductEngine(), Kernels.instructionSet)
    }
}

extension CLIPModel {
    private var noEmbeddings: Embeddings {
        Embeddings(values: [], dimension: configuration.embeddingDimension)
    }

    /// Which towers have been read, for tests.
    var towersRead: (image: Bool, text: Bool) { (visual.isMade, textual.isMade) }

    typealias Pass = (Range<Int>, Workspace, StageObserver?) -> Matrix

    /// Whether a row of tokens is one that the model takes.
    func check(_ row: [Int]) throws(CLIPError) {
        guard !row.isEmpty else { throw .invalidTokens(reason: "a row is empty") }
        guard row.count <= configuration.text.contextLength else {
            throw .invalidTokens(
                reason: """
                    a row has \(row.count), but the model takes \
                    \(configuration.text.contextLength)
                    """)
        }
        let ids = 0..<configuration.text.vocabularySize
        if let id = row.first(where: { !ids.contains($0) }) {
            throw .invalidTokens(reason: "\(id) is not in the vocabulary of \(ids.upperBound)")
        }
    }

    /// Runs inputs through a tower, some at a time.
    func encode(
        count: Int, groupSize: Int, dimension: Int? = nil, _ pass: Pass
    ) throws(CLIPError) -> Embeddings {
        let workspace = Workspace(threads: threads)
        let dimension = dimension ?? configuration.embeddingDimension
        var values: [Float] = []
        values.reserveCapacity(count * dimension)
        for start in stride(from: 0, to: count, by: groupSize) {
            let range = start..<min(start + groupSize, count)
            let result = pass(range, workspace, nil)
            guard result.isFinite else {
                throw .nonFiniteResult(
                    path: weights.path, stage: firstNonFiniteStage(range, pass, workspace))
            }
            values += result.values
        }
        return Embeddings(values: values, dimension: dimension)
    }

    /// Where a result stopped being finite: the pass again, looking at every stage.
    private func firstNonFiniteStage(
        _ range: Range<Int>, _ pass: Pass, _ workspace: Workspace
    ) -> String {
        var stage: String?
        _ = pass(range, workspace) { name, activations in
            if stage == nil && !activations.isFinite { stage = name }
        }
        let found = stage ?? "an unknown stage"
        if let tensor = parameters.firstNonFinite(where: { Self.isPart($0, of: found) }) {
            return "the tensor \(tensor)"
        }
        return found
    }

    /// Whether a tensor is used in a stage.
    private static func isPart(_ tensor: String, of stage: String) -> Bool {
        let block = stage.hasSuffix(".attn") ? String(stage.dropLast(".attn".count)) : stage
        return switch block {
        case "embeddings": tensor == "positional_embedding" || tensor.hasPrefix("token_embedding")
        case "visual.embeddings":
            ["visual.conv1.weight", "visual.class_embedding", "visual.positional_embedding"]
                .contains(tensor)
        case "visual.stem": tensor.hasPrefix("visual.conv") || tensor.hasPrefix("visual.bn")
        case "image_embedding": tensor == "visual.proj" || tensor.hasPrefix("visual.attnpool")
        case "text_embedding": tensor == "text_projection"
        default: tensor.hasPrefix(block + ".")
        }
    }

    /// The activations of a pass after every stage, for tests that look for the first that differs.
    func observe(pixels: [Float], _ observer: @escaping StageObserver) {
        let size = 3 * configuration.resolution * configuration.resolution
        _ = visual.value(
            pixels[...], batch: pixels.count / size, workspace: Workspace(threads: threads),
            observer: observer)
    }

    /// The same for rows of tokens that end with the end token.
    func observe(tokens: [ArraySlice<Int>], _ observer: @escaping StageObserver) {
        _ = textual.value(tokens, workspace: Workspace(threads: threads), observer: observer)
    }

    /// What comes before the projection of pictures, for a ViT: the class tokens' features, [pictures, width].
    package func pooled(pixels: [Float]) -> [Float] {
        var found: [Float] = []
        observe(pixels: pixels) { if $0 == "visual.ln_post" { found = $1.values } }
        return found
    }

    /// The same of texts: [texts, width].
    package func pooled(tokens: [[Int]]) -> [Float] {
        var found: [Float] = []
        observe(tokens: tokens.map { $0[...] }) { if $0 == "ln_final" { found = $1.values } }
        return found
    }
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
