internal import Tensors

/// Sees the activations after each stage of a tower, under the stage's name in PyTorch.
typealias StageObserver = (_ stage: String, _ activations: Matrix) -> Void

/// x + attention(ln_1(x)), then x + mlp(ln_2(x)).
struct ResidualAttentionBlock: Sendable {
    private let ln1: LayerNorm
    private let attention: MultiHeadAttention
    private let ln2: LayerNorm
    private let mlp: MLP

    init(
        _ parameters: Parameters, heads: Int, isCausal: Bool, configuration: CLIPConfiguration
    ) {
        let epsilon = configuration.layerNormEpsilon
        ln1 = LayerNorm(parameters.scoped("ln_1"), epsilon: epsilon)
        attention = MultiHeadAttention(
            parameters.scoped("attn"), heads: heads, isCausal: isCausal)
        ln2 = LayerNorm(parameters.scoped("ln_2"), epsilon: epsilon)
        mlp = MLP(parameters.scoped("mlp"), activation: configuration.activation)
    }

    /// Changes the residual stream x, [rows, width], in place.
    func callAsFunction(
        _ x: Matrix, sequences: [Range<Int>], name: String, observer: StageObserver?
    ) {
        attention(ln1(x), sequences: sequences, addedTo: x)
        observer?("\(name).attn", x)
        mlp(ln2(x), addedTo: x)
        observer?(name, x)
    }

    /// The residual stream after this block at one position of each sequence: [sequences, width].
    ///
    /// Nobody reads the other positions of the last block, so they are not computed.
    func pooled(
        _ x: Matrix, sequences: [Range<Int>], at rows: [Int], name: String,
        observer: StageObserver?
    ) -> Matrix {
        let y = x.gathered(rows)  // [sequences, width]
        attention.pooled(ln1(x), sequences: sequences, at: rows, addedTo: y)
        observer?("\(name).attn", y)
        mlp(ln2(y), addedTo: y)
        observer?(name, y)
        return y
    }
}

/// Residual attention blocks, of which one position a sequence is wanted.
struct Transformer: Sendable {
    private let resblocks: [ResidualAttentionBlock]
    private let name: String

    init(
        _ parameters: Parameters, name: String, layers: Int, heads: Int, isCausal: Bool,
        configuration: CLIPConfiguration
    ) {
        self.name = name
        resblocks = (0..<layers).map {
            ResidualAttentionBlock(
                parameters.scoped("resblocks.\($0)"), heads: heads, isCausal: isCausal,
                configuration: configuration)
        }
    }

    /// [rows, width] -> [sequences, width]; x is used up.
    ///
    /// - Parameters:
    ///   - sequences: the rows of each sequence.
    ///   - rows: the position of each that is wanted.
    func callAsFunction(
        _ x: Matrix, sequences: [Range<Int>], pooledAt rows: [Int], observer: StageObserver?
    ) -> Matrix {
        for (layer, block) in resblocks.dropLast().enumerated() {
            block(x, sequences: sequences, name: "\(name).resblocks.\(layer)", observer: observer)
        }
        guard let last = resblocks.last else { return x.gathered(rows) }
        return last.pooled(
            x, sequences: sequences, at: rows, name: "\(name).resblocks.\(resblocks.count - 1)",
            observer: observer)
    }
}
