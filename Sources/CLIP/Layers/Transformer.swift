internal import Tensors

/// Sees the activations after each stage of a tower, under the stage's name in PyTorch.
typealias StageObserver = (_ stage: String, _ activations: Matrix) -> Void

/// Residual attention blocks.
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
        run(x, sequences: sequences, leavingOut: 1, observer: observer)
        guard let last = resblocks.last else { return x.gathered(rows) }
        return last.pooled(
            x, sequences: sequences, at: rows, name: "\(name).resblocks.\(resblocks.count - 1)",
            observer: observer)
    }

    /// Changes the residual stream x, [rows, width], in place by all blocks but the last few.
    func run(
        _ x: Matrix, sequences: [Range<Int>], leavingOut count: Int, observer: StageObserver?
    ) {
        for (layer, block) in resblocks.dropLast(count).enumerated() {
            block(x, sequences: sequences, name: "\(name).resblocks.\(layer)", observer: observer)
        }
    }
}
