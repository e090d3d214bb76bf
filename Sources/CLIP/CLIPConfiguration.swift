/// The hyperparameters of a CLIP model that determine its arithmetic.
///
/// ```swift
/// let configuration = try CLIPModel(path: "ViT-B-32").configuration
/// print(configuration.summary, configuration.embeddingDimension)
/// // ViT, width 768, 12 layers, 12 heads, patch 32, 224 pixels 512
/// ```
public struct CLIPConfiguration: Sendable, Hashable, Codable {
    /// The architecture of the image tower.
    public enum Vision: Sendable, Hashable, Codable {
        case visionTransformer(VisionTransformer)
        case modifiedResNet(ModifiedResNet)
    }

    /// A ViT of pre-norm blocks, with a class token.
    public struct VisionTransformer: Sendable, Hashable, Codable {
        /// The side of the input image, in pixels.
        ///
        /// Pixels at the right and bottom that do not fill a patch are ignored.
        public internal(set) var resolution: Int
        /// The side of a patch, in pixels.
        public internal(set) var patchSize: Int
        /// The number of channels of the residual stream.
        public internal(set) var width: Int
        /// The number of residual attention blocks.
        public internal(set) var layers: Int
        /// The number of heads of each block, a divisor of `width`.
        public internal(set) var heads: Int
        /// The width of the hidden layer of each MLP.
        public internal(set) var mlpWidth: Int

        /// The number of patches along a side.
        public var grid: Int { resolution / patchSize }
    }

    /// OpenAI's variant of ResNet: a stem of three convolutions, blocks with average pooling
    /// instead of strided convolutions, and an attention pool.
    public struct ModifiedResNet: Sendable, Hashable, Codable {
        /// The side of the input image, in pixels.
        public internal(set) var resolution: Int
        /// The number of channels after the stem.
        public internal(set) var width: Int
        /// The number of bottleneck blocks in each of the four stages.
        public internal(set) var layers: [Int]
        /// The number of heads of the attention pool.
        public internal(set) var heads: Int

        /// The number of positions along a side of the last feature map.
        public var grid: Int { resolution / 32 }
        /// The number of channels of the last feature map.
        public var outputWidth: Int { width * 32 }
    }

    /// The text tower: a causal transformer.
    public struct Text: Sendable, Hashable, Codable {
        /// The largest number of tokens of a text; 77 in OpenAI's models.
        public internal(set) var contextLength: Int
        /// The number of token ids; 49,408 in OpenAI's models.
        public internal(set) var vocabularySize: Int
        /// The number of channels of the residual stream.
        public internal(set) var width: Int
        /// The number of residual attention blocks.
        public internal(set) var layers: Int
        /// The number of heads of each block, a divisor of `width`.
        public internal(set) var heads: Int
        /// The width of the hidden layer of each MLP.
        public internal(set) var mlpWidth: Int
    }

    /// The image tower.
    public internal(set) var vision: Vision
    /// The text tower.
    public internal(set) var text: Text
    /// The number of dimensions of the embeddings of both towers.
    public internal(set) var embeddingDimension: Int
    /// The activation function of every MLP.
    public internal(set) var activation: Activation
    /// The ε of every LayerNorm.
    public internal(set) var layerNormEpsilon: Float = 1e-5

    /// The side of the input image, in pixels.
    public var resolution: Int {
        switch vision {
        case .visionTransformer(let vision): vision.resolution
        case .modifiedResNet(let vision): vision.resolution
        }
    }

    /// The image tower's architecture in a few words, such as "ViT, width 768, 12 layers, 12 heads,
    /// patch 32, 224 pixels".
    public var summary: String {
        let tower =
            switch vision {
            case .visionTransformer(let v):
                "ViT, width \(v.width), \(v.layers) layers, \(v.heads) heads, patch \(v.patchSize)"
            case .modifiedResNet(let v):
                "ModifiedResNet, width \(v.width), layers \(v.layers), \(v.heads) heads"
            }
        return tower + ", \(resolution) pixels"
    }
}

/// The activation function of the MLPs, which must be the one that the weights were trained with.
///
/// With the wrong one a model still runs, but its accuracy is several per cent lower. Pass the
/// activation if no configuration file states it:
///
/// ```swift
/// let model = try CLIPModel(path: "weights.pt", activation: .quickGELU)
/// ```
public enum Activation: String, Sendable, CaseIterable, Codable {
    /// QuickGELU, x · σ(1.702 x), used by OpenAI's weights and some others.
    case quickGELU = "quickgelu"
    /// The exact GELU, x · Φ(x), used by most of open_clip's weights.
    case gelu
}

extension CLIPConfiguration {
    /// Derives the hyperparameters from the names and shapes of the tensors, as `build_model` of
    /// openai/CLIP does.
    ///
    /// - Parameters:
    ///   - shapes: The shapes of the tensors by their names in OpenAI's layout.
    ///   - stated: The hyperparameters that a configuration file states.
    ///   - activation: The activation of the MLPs.
    ///   - path: The path of the weights, for errors.
    /// - Throws: `CLIPError.unknownArchitecture`.
    init(
        shapes: [String: [Int]], stated: ConfigurationFile, activation: Activation, path: String
    ) throws(CLIPError) {
        let tensors = NamedShapes(shapes: shapes, path: path)
        text = try Text(tensors, heads: stated.textHeads)
        embeddingDimension = try tensors.shape("text_projection", rank: 2)[1]
        self.activation = activation

        if shapes["visual.proj"] != nil {
            vision = .visionTransformer(
                try VisionTransformer(
                    tensors, resolution: stated.resolution, heads: stated.visionHeads))
        } else if shapes["visual.attnpool.positional_embedding"] != nil {
            vision = .modifiedResNet(try ModifiedResNet(tensors, heads: stated.visionHeads))
        } else {
            throw tensors.unsupported(
                expected: "the tensor visual.proj or visual.attnpool.positional_embedding",
                found: "neither")
        }
        guard resolution <= 8192 else {
            throw tensors.unsupported(
                expected: "images of at most 8192 pixels a side", found: "\(resolution)")
        }
        layerNormEpsilon = stated.layerNormEpsilon ?? 1e-5
    }
}

extension CLIPConfiguration.Text {
    /// Derives the hyperparameters of the text tower; `heads` is nil if no configuration states
    /// their number.
    fileprivate init(_ tensors: NamedShapes, heads: Int?) throws(CLIPError) {
        let tokens = try tensors.shape("token_embedding.weight", rank: 2)
        let positions = try tensors.shape("positional_embedding", rank: 2)
        guard tokens[0] >= 3, positions[0] >= 2 else {
            throw tensors.unsupported(
                expected: "at least 3 token ids and 2 positions",
                found: "\(tokens[0]) and \(positions[0])")
        }
        let mlp = try tensors.shape("transformer.resblocks.0.mlp.c_fc.weight", rank: 2)
        contextLength = positions[0]
        vocabularySize = tokens[0]
        width = tokens[1]
        layers = tensors.blocks("transformer.resblocks.")
        self.heads = try tensors.heads(heads, width: width, tower: "text", limit: 1024)
        mlpWidth = mlp[0]
    }
}

extension CLIPConfiguration.VisionTransformer {
    /// Derives the hyperparameters of a ViT; `resolution` or `heads` is nil if no configuration
    /// states it.
    fileprivate init(
        _ tensors: NamedShapes, resolution: Int?, heads: Int?
    ) throws(CLIPError) {
        let patch = try tensors.shape("visual.conv1.weight", rank: 4)
        let positions = try tensors.shape("visual.positional_embedding", rank: 2)
        let mlp = try tensors.shape("visual.transformer.resblocks.0.mlp.c_fc.weight", rank: 2)
        let grid = try tensors.grid(of: positions[0])
        self.resolution = resolution ?? grid * patch[3]
        guard self.resolution / patch[3] == grid else {
            throw tensors.unsupported(
                expected: """
                    a resolution of \(grid * patch[3]) pixels for \(positions[0]) positions and \
                    patches of \(patch[3])
                    """,
                found: "\(self.resolution) in the configuration")
        }
        patchSize = patch[3]
        width = patch[0]
        layers = tensors.blocks("visual.transformer.resblocks.")
        self.heads = try tensors.heads(heads, width: width, tower: "image", limit: 1024)
        mlpWidth = mlp[0]
    }
}

extension CLIPConfiguration.ModifiedResNet {
    /// Derives the hyperparameters of a ResNet; `heads` is nil if no configuration states their
    /// number.
    fileprivate init(_ tensors: NamedShapes, heads: Int?) throws(CLIPError) {
        let positions = try tensors.shape("visual.attnpool.positional_embedding", rank: 2)
        width = try tensors.shape("visual.layer1.0.conv1.weight", rank: 4)[0]
        resolution = 32 * (try tensors.grid(of: positions[0]))
        layers = (1...4).map { tensors.blocks("visual.layer\($0).") }
        guard width % 2 == 0, !layers.contains(0) else {
            throw tensors.unsupported(
                expected: "a ResNet of an even width and four stages",
                found: "the width \(width) and the layers \(layers)")
        }
        self.heads = try tensors.heads(heads, width: 32 * width, tower: "image", limit: .max)
    }
}

/// The shapes of a model's tensors by OpenAI's names, from which hyperparameters are derived.
private struct NamedShapes {
    let shapes: [String: [Int]]
    let path: String

    func unsupported(expected: String, found: String) -> CLIPError {
        .unknownArchitecture(path: path, expected: expected, found: found)
    }

    /// Returns the shape of a tensor, which must have the given rank and positive dimensions.
    func shape(_ name: String, rank: Int) throws(CLIPError) -> [Int] {
        guard let shape = shapes[name] else {
            throw unsupported(expected: "the tensor \(name)", found: "none of that name")
        }
        guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
            throw unsupported(
                expected: "a tensor \(name) of \(rank) dimensions", found: "the shape \(shape)")
        }
        return shape
    }

    /// Returns the number of distinct block numbers that follow `prefix` in the names of tensors.
    func blocks(_ prefix: String) -> Int {
        Set(
            shapes.keys.filter { $0.hasPrefix(prefix) }.compactMap { name in
                Int(name.dropFirst(prefix.count).prefix { $0 != "." })
            }
        ).count
    }

    /// Returns the number of heads that a configuration states, or else one for every 64 channels.
    ///
    /// - Parameters:
    ///   - known: The number of heads that a configuration states; nil if none does.
    ///   - width: The number of channels of the tower.
    ///   - tower: The name of the tower, for errors.
    ///   - limit: The largest width for which heads of 64 channels are assumed.
    /// - Returns: A divisor of `width`.
    /// - Throws: `CLIPError.unknownArchitecture`.
    func heads(_ known: Int?, width: Int, tower: String, limit: Int) throws(CLIPError) -> Int {
        // OpenAI's heads have 64 channels. Wider towers of others have other heads, which their
        // shapes do not show.
        guard let heads = known ?? (width % 64 == 0 && width <= limit ? width / 64 : nil) else {
            throw unsupported(
                expected: """
                    a configuration beside the weights (open_clip_config.json or config.json) that \
                    states the number of heads of the \(tower) tower, whose width is \(width)
                    """,
                found: "none")
        }
        guard heads > 0, width % heads == 0 else {
            throw unsupported(
                expected: "a number of heads that divides the width \(width) of the \(tower) tower",
                found: "\(heads)")
        }
        return heads
    }

    /// Returns the side of the square grid that all positions except the first form.
    ///
    /// The first belongs to the class token of a ViT or to the mean in an attention pool.
    func grid(of positions: Int) throws(CLIPError) -> Int {
        let grid = Int(Double(positions - 1).squareRoot().rounded())
        guard grid > 0, grid * grid == positions - 1 else {
            throw unsupported(
                expected: "1 + n² positions in the image tower", found: "\(positions)")
        }
        return grid
    }
}
