/// The hyperparameters of a CLIP model, as far as they shape its arithmetic.
public struct CLIPConfiguration: Sendable, Hashable, Codable {
    /// The image tower.
    public enum Vision: Sendable, Hashable, Codable {
        case visionTransformer(VisionTransformer)
        case modifiedResNet(ModifiedResNet)
    }

    /// A ViT of pre-norm blocks, with a class token.
    public struct VisionTransformer: Sendable, Hashable, Codable {
        /// The side of the image it sees, in pixels; a multiple of `patchSize` and a rest.
        public internal(set) var resolution: Int
        /// The side of a patch, in pixels.
        public internal(set) var patchSize: Int
        /// Channels of the residual stream.
        public internal(set) var width: Int
        /// Residual attention blocks.
        public internal(set) var layers: Int
        /// Heads of each block; `width` is split among them.
        public internal(set) var heads: Int
        /// The width of the hidden layer of each MLP.
        public internal(set) var mlpWidth: Int

        /// Patches along a side.
        public var grid: Int { resolution / patchSize }
    }

    /// OpenAI's ResNet: three-convolution stem, average pools instead of strides, attention pool.
    public struct ModifiedResNet: Sendable, Hashable, Codable {
        /// The side of the image it sees, in pixels.
        public internal(set) var resolution: Int
        /// Channels after the stem.
        public internal(set) var width: Int
        /// Bottlenecks in each of the four stages.
        public internal(set) var layers: [Int]
        /// Heads of the attention pool.
        public internal(set) var heads: Int

        /// Positions along a side of the last feature map.
        public var grid: Int { resolution / 32 }
        /// Channels of the last feature map.
        public var outputWidth: Int { width * 32 }
    }

    /// The text tower: a causal transformer.
    public struct Text: Sendable, Hashable, Codable {
        /// Positions; 77 in every published model.
        public internal(set) var contextLength: Int
        /// Ids; 49,408 in every published model.
        public internal(set) var vocabularySize: Int
        /// Channels of the residual stream.
        public internal(set) var width: Int
        /// Residual attention blocks.
        public internal(set) var layers: Int
        /// Heads of each block; `width` is split among them.
        public internal(set) var heads: Int
        /// The width of the hidden layer of each MLP.
        public internal(set) var mlpWidth: Int
    }

    /// The image tower.
    public internal(set) var vision: Vision
    /// The text tower.
    public internal(set) var text: Text
    /// The dimension of the embeddings that both towers end in.
    public internal(set) var embeddingDimension: Int
    /// The activation of every MLP.
    public internal(set) var activation: Activation
    /// ε of every LayerNorm.
    public internal(set) var layerNormEpsilon: Float = 1e-5

    /// The side of the image that the image tower sees, in pixels.
    public var resolution: Int {
        switch vision {
        case .visionTransformer(let vision): vision.resolution
        case .modifiedResNet(let vision): vision.resolution
        }
    }

    /// The architecture in a few words, such as "ViT, width 768, 12 layers, patch 32, 224 pixels".
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

/// The activation of the MLPs: which of the two, the weights decide.
///
/// With the wrong one a model still answers, several per cent less often right.
public enum Activation: String, Sendable, CaseIterable, Codable {
    /// x · σ(1.702 x): OpenAI's weights, and some others.
    case quickGELU = "quickgelu"
    /// x · Φ(x), exact: most of open_clip's weights.
    case gelu
}

extension CLIPConfiguration {
    /// Reads the hyperparameters off the tensors' names and shapes, as `build_model` of openai/CLIP
    /// does. `shapes` is by OpenAI's names.
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
            throw tensors.unknown(
                "it has neither visual.proj nor visual.attnpool.positional_embedding")
        }
        guard resolution <= 8192 else {
            throw tensors.unknown("images of \(resolution) pixels a side are too large")
        }
        layerNormEpsilon = stated.layerNormEpsilon ?? 1e-5
    }
}

extension CLIPConfiguration.Text {
    /// - Parameter heads: The number of heads; nil if no configuration says it.
    fileprivate init(_ tensors: NamedShapes, heads: Int?) throws(CLIPError) {
        let tokens = try tensors.shape("token_embedding.weight", rank: 2)
        let positions = try tensors.shape("positional_embedding", rank: 2)
        guard tokens[0] >= 3, positions[0] >= 2 else {
            throw tensors.unknown("\(tokens[0]) ids and \(positions[0]) positions are too few")
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
    /// - Parameters:
    ///   - resolution: The side of the image in pixels; nil if no configuration says it.
    ///   - heads: The number of heads; nil likewise.
    fileprivate init(
        _ tensors: NamedShapes, resolution: Int?, heads: Int?
    ) throws(CLIPError) {
        let patch = try tensors.shape("visual.conv1.weight", rank: 4)
        let positions = try tensors.shape("visual.positional_embedding", rank: 2)
        let mlp = try tensors.shape("visual.transformer.resblocks.0.mlp.c_fc.weight", rank: 2)
        let grid = try tensors.grid(of: positions[0])
        self.resolution = resolution ?? grid * patch[3]
        guard self.resolution / patch[3] == grid else {
            throw tensors.unknown(
                """
                its configuration says \(self.resolution) pixels, but \(positions[0]) positions \
                and patches of \(patch[3]) make \(grid * patch[3])
                """)
        }
        patchSize = patch[3]
        width = patch[0]
        layers = tensors.blocks("visual.transformer.resblocks.")
        self.heads = try tensors.heads(heads, width: width, tower: "image", limit: 1024)
        mlpWidth = mlp[0]
    }
}

extension CLIPConfiguration.ModifiedResNet {
    /// - Parameter heads: The number of heads; nil if no configuration says it.
    fileprivate init(_ tensors: NamedShapes, heads: Int?) throws(CLIPError) {
        let positions = try tensors.shape("visual.attnpool.positional_embedding", rank: 2)
        width = try tensors.shape("visual.layer1.0.conv1.weight", rank: 4)[0]
        resolution = 32 * (try tensors.grid(of: positions[0]))
        layers = (1...4).map { tensors.blocks("visual.layer\($0).") }
        guard width % 2 == 0, !layers.contains(0) else {
            throw tensors.unknown("a ResNet of width \(width) and layers \(layers) is not CLIP's")
        }
        self.heads = try tensors.heads(heads, width: 32 * width, tower: "image", limit: .max)
    }
}

/// The shapes of a model's tensors by OpenAI's names, and the hyperparameters that they show.
private struct NamedShapes {
    let shapes: [String: [Int]]
    let path: String

    func unknown(_ reason: String) -> CLIPError { .unknownArchitecture(path: path, reason: reason) }

    /// A tensor's shape, all of whose dimensions are positive.
    func shape(_ name: String, rank: Int) throws(CLIPError) -> [Int] {
        guard let shape = shapes[name] else { throw unknown("it has no tensor \(name)") }
        guard shape.count == rank, shape.allSatisfy({ $0 > 0 }) else {
            throw unknown("\(name) is \(shape), not of \(rank) dimensions")
        }
        return shape
    }

    /// The number of blocks whose tensors' names begin with `prefix` and the block's number.
    func blocks(_ prefix: String) -> Int {
        Set(
            shapes.keys.filter { $0.hasPrefix(prefix) }.compactMap { name in
                Int(name.dropFirst(prefix.count).prefix { $0 != "." })
            }
        ).count
    }

    /// The number of heads that a configuration says, or else one for every 64 channels.
    ///
    /// - Parameter limit: The largest width for which 64 is assumed.
    func heads(_ known: Int?, width: Int, tower: String, limit: Int) throws(CLIPError) -> Int {
        // OpenAI's towers have heads of 64; the wider ones of others differ, and do not show it.
        guard let heads = known ?? (width % 64 == 0 && width <= limit ? width / 64 : nil) else {
            throw unknown(
                """
                the \(tower) tower is \(width) wide, of which the number of heads does \
                not follow; put its open_clip_config.json or config.json beside it
                """)
        }
        guard heads > 0, width % heads == 0 else {
            throw unknown("\(heads) heads do not divide the width \(width)")
        }
        return heads
    }

    /// The side of the square that positions after the first one form.
    func grid(of positions: Int) throws(CLIPError) -> Int {
        let grid = Int(Double(positions - 1).squareRoot().rounded())
        guard grid > 0, grid * grid == positions - 1 else {
            throw unknown("\(positions) positions of the image are not 1 and a square")
        }
        return grid
    }
}
