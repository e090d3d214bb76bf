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

    /// A ViT of pre-norm blocks.
    ///
    /// Families of models differ in the properties from `stem` on. CLIP's towers have a class token
    /// and a LayerNorm before the blocks; SigLIP's have neither, and pool by attention.
    public struct VisionTransformer: Sendable, Hashable, Codable {
        /// The side of the input image, in pixels.
        ///
        /// Pixels at the right and bottom that do not fill a patch are ignored. If `positions` is
        /// `resized`, images have sizes of their own, and this is the side of a square one.
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
        /// The layer that turns pixels into the vectors of patches.
        public internal(set) var stem = Stem.linear
        /// True if a learned vector, the class token, precedes the patches.
        public internal(set) var hasClassToken = true
        /// The positional embeddings.
        public internal(set) var positions = Positions.learned
        /// True if a LayerNorm precedes the blocks.
        public internal(set) var hasPreNorm = true
        /// The method that turns the outputs of the last block into one vector.
        public internal(set) var pooling = Pooling.classToken
        /// The linear layer after pooling.
        public internal(set) var projection = Projection.linear
        /// The activation function of every MLP.
        public internal(set) var activation = Activation.gelu
        /// The ε of every LayerNorm.
        public internal(set) var layerNormEpsilon: Float = 1e-5

        /// The side of the grid of stored positions, if it is not `grid`.
        var positionGrid: Int?

        /// The number of patches along a side of an image of that resolution.
        public var grid: Int { resolution / patchSize }
        /// The number of tokens that precede those of the patches: 1 for a class token, else 0.
        var prefixCount: Int { hasClassToken ? 1 : 0 }
    }

    /// The layer that turns pixels into the vectors of patches.
    public enum Stem: Sendable, Hashable, Codable {
        /// A linear layer over the pixels of each patch, without a bias.
        case linear
        /// A linear layer over the pixels of each patch, with a bias.
        case linearWithBias
        /// MobileCLIP's three convolutions, over 4 x 4 pixels and twice over 2 x 2 vectors, of
        /// which the first two have `width` channels, batch normalisation and GELU.
        case convolutions(width: Int)
    }

    /// The positional embeddings of an image tower.
    public enum Positions: Sendable, Hashable, Codable {
        /// A learned vector for every token, which is added.
        case learned
        /// A learned vector for every patch, which is added, and none for the class token.
        case learnedForPatches
        /// A learned vector for every token, which is added. Every block also rotates queries and
        /// keys by the column and row of their patch (RoPE).
        case learnedAndRotary
        /// A learned vector for every patch of a square grid, which is resized to the grid of each
        /// image (NaFlex).
        case resized
    }

    /// The method that turns the outputs of the last block into one vector.
    public enum Pooling: Sendable, Hashable, Codable {
        /// The output at the class token.
        case classToken
        /// The mean of the outputs at the patches.
        case mean
        /// Attention of one learned query to all outputs, and an MLP with a residual connection.
        case attention(heads: Int, mlpWidth: Int)
    }

    /// The linear layer that turns the pooled output of a tower into an embedding.
    public enum Projection: Sendable, Hashable, Codable {
        /// None; the tower is as wide as the embedding.
        case none
        /// A matrix product without a bias.
        case linear
        /// A matrix product with a bias.
        case linearWithBias
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

    /// The text tower: a transformer of pre-norm blocks.
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
        /// True if each position attends only to those up to itself.
        ///
        /// If not, each attends to the whole context, padding included.
        public internal(set) var isCausal = true
        /// The position whose output becomes the embedding.
        public internal(set) var pooling = TextPooling.largestID
        /// The linear layer after pooling.
        public internal(set) var projection = Projection.linear
        /// The activation function of every MLP.
        public internal(set) var activation = Activation.gelu
        /// The ε of every LayerNorm.
        public internal(set) var layerNormEpsilon: Float = 1e-5
        /// The vocabulary of the token ids; nil if neither the weights nor a configuration show it.
        public internal(set) var vocabulary: Vocabulary? = .clip
    }

    /// The position of a text whose output becomes the embedding.
    public enum TextPooling: Sendable, Hashable, Codable {
        /// The first position of the largest id, which is CLIP's end token.
        case largestID
        /// The last position of the context, even if it is padding.
        case last
        /// The first position of an id, the end token; the first position if it does not occur.
        case first(id: Int)
    }

    /// A vocabulary of token ids.
    public enum Vocabulary: String, Sendable, Hashable, Codable {
        /// CLIP's byte pairs, which are compiled into the library.
        case clip
        /// SigLIP's English vocabulary of 32,000 pieces.
        case siglip
        /// SigLIP's multilingual vocabulary of 250,000 pieces.
        case siglipMultilingual = "siglip-i18n"
        /// SigLIP 2's vocabulary of 256,000 pieces, which is Gemma's.
        case siglip2
        /// MetaCLIP 2's vocabulary of 901,629 pieces, which is XLM-V's.
        case metaCLIP2 = "metaclip2"
    }

    /// The image tower.
    public internal(set) var vision: Vision
    /// The text tower.
    public internal(set) var text: Text
    /// The number of dimensions of the embeddings of both towers.
    public internal(set) var embeddingDimension: Int
    /// True if the score of an image and a text is the sigmoid of a logit with a bias (SigLIP).
    public internal(set) var hasLogitBias = false
    /// The activation function of the text tower's MLPs, which most image towers share.
    public var activation: Activation { text.activation }
    /// The ε of the text tower's LayerNorms, which most image towers share.
    public var layerNormEpsilon: Float { text.layerNormEpsilon }

    /// The side of the input image, in pixels; of a square one if images keep their aspect ratio.
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
                    + v.differences
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
    /// The approximation of GELU with tanh, used by SigLIP 2, and in transformers also by SigLIP.
    case tanhGELU = "gelu_tanh"
}

extension CLIPConfiguration {
    /// The hyperparameters as text, for a model's fingerprint.
    ///
    /// For models of OpenAI's architecture, it is the text of earlier versions of this library,
    /// because indexes store the fingerprint.
    var identity: String {
        let tower: String
        switch vision {
        case .visionTransformer(let v):
            tower = """
                visionTransformer(CLIP.CLIPConfiguration.VisionTransformer(resolution: \
                \(v.resolution), patchSize: \(v.patchSize), width: \(v.width), layers: \
                \(v.layers), heads: \(v.heads), mlpWidth: \(v.mlpWidth)))
                """
        case .modifiedResNet(let v):
            tower = """
                modifiedResNet(CLIP.CLIPConfiguration.ModifiedResNet(resolution: \(v.resolution), \
                width: \(v.width), layers: \(v.layers), heads: \(v.heads)))
                """
        }
        return """
            CLIPConfiguration(vision: CLIP.CLIPConfiguration.Vision.\(tower), text: \
            CLIP.CLIPConfiguration.Text(contextLength: \(text.contextLength), vocabularySize: \
            \(text.vocabularySize), width: \(text.width), layers: \(text.layers), heads: \
            \(text.heads), mlpWidth: \(text.mlpWidth)), embeddingDimension: \
            \(embeddingDimension), activation: CLIP.Activation.\(activation), \
            layerNormEpsilon: \(layerNormEpsilon))
            """ + differences.map { " " + $0 }.joined()
    }

    /// True if images keep their aspect ratio (NaFlex).
    var keepsAspectRatio: Bool {
        guard case .visionTransformer(let vision) = vision else { return false }
        return vision.positions == .resized
    }

    /// True if the model is of OpenAI's architecture.
    var isOpenAI: Bool { differences.isEmpty }

    /// A word for each difference from OpenAI's architecture.
    var differences: [String] {
        var differences: [String] = []
        if case .visionTransformer(let v) = vision {
            var plain = v
            (plain.activation, plain.layerNormEpsilon) = (activation, layerNormEpsilon)
            if v != plain { differences.append("\(v.activation) \(v.layerNormEpsilon)") }
            if v.stem != .linear { differences.append("\(v.stem)") }
            if !v.hasClassToken { differences.append("noClassToken") }
            if v.positions != .learned { differences.append("\(v.positions)") }
            if !v.hasPreNorm { differences.append("noPreNorm") }
            if v.pooling != .classToken { differences.append("\(v.pooling)") }
            if v.projection != .linear { differences.append("\(v.projection)") }
        }
        if !text.isCausal { differences.append("notCausal") }
        if text.pooling != .largestID { differences.append("\(text.pooling)") }
        if text.projection != .linear { differences.append("\(text.projection)") }
        return differences
    }
}

extension CLIPConfiguration.VisionTransformer {
    /// The differences from OpenAI's towers in a few words, each after a comma.
    fileprivate var differences: String {
        var words: [String] = []
        switch stem {
        case .linear, .linearWithBias: break
        case .convolutions: words.append("convolutional stem")
        }
        switch positions {
        case .learned, .learnedForPatches: break
        case .learnedAndRotary: words.append("rotary positions")
        case .resized: words.append("any aspect ratio")
        }
        switch pooling {
        case .classToken: break
        case .mean: words.append("mean pooling")
        case .attention(let heads, _): words.append("attention pooling with \(heads) heads")
        }
        return words.map { ", " + $0 }.joined()
    }
}
