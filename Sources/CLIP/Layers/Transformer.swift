internal import Tensors

/// Sequences of positions in the rows of a matrix; a row may be part of several.
struct Sequences: Sendable {
    /// The rows of each that no sequence before it has: its last positions.
    var own: [Range<Int>] = []
    /// All rows of each, its first position first.
    var all: [[Range<Int>]] = []

    init() {}

    /// Sequences of one length, one below the other.
    init(count: Int, length: Int) {
        own = (0..<count).map { $0 * length..<($0 + 1) * length }
        all = own.map { [$0] }
    }
}

/// Residual attention blocks.
struct Transformer: Sendable {
    private let resblocks: [ResidualAttentionBlock]
    private let name: String

    init(
        _ parameters: Parameters, name: String, layers: Int, heads: Int, isCausal: Bool,
        format: ElementFormat, configuration: CLIPConfiguration
    ) {
        self.name = name
        resblocks = (0..<layers).map {
            ResidualAttentionBlock(
                parameters.scoped("resblocks.\($0)"), heads: heads, isCausal: isCausal,
                format: format, configuration: configuration)
        }
    }

    /// [rows, width] -> [sequences, width]; x is used up.
    ///
    /// - Parameters:
    ///   - sequences: of the rows of x.
    ///   - rows: the position of each that is wanted.
    func callAsFunction(
        _ x: Matrix, sequences: Sequences, pooledAt rows: [Int], observer: StageObserver?
    ) -> Matrix {
        run(x, sequences: sequences, leavingOut: 1, observer: observer)
        guard let last = resblocks.last else { return x.gathered(rows) }
        return last.pooled(
            x, sequences: sequences, at: rows, name: "\(name).resblocks.\(resblocks.count - 1)",
            observer: observer)
    }

    /// Changes the residual stream x, [rows, width], in place by all blocks but the last few.
    func run(
        _ x: Matrix, sequences: Sequences, leavingOut count: Int, observer: StageObserver?
    ) {
        for (layer, block) in resblocks.dropLast(count).enumerated() {
            block(x, sequences: sequences, name: "\(name).resblocks.\(layer)", observer: observer)
        }
    }
}
