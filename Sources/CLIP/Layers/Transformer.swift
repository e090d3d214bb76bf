internal import Tensors

/// The rows of a matrix that each sequence consists of; sequences may share rows.
///
/// For the sequences "a photo of a dog" and "a photo of a cat", of which the second shares the rows
/// of "a photo of a", `own` is [0..<5, 5..<6] and `all` is [[0..<5], [0..<4, 5..<6]].
struct Sequences: Sendable {
    /// The rows that each sequence adds to those of the sequences before it: its last positions.
    var own: [Range<Int>] = []
    /// All rows of each sequence, in the order of its positions.
    var all: [[Range<Int>]] = []

    init() {}

    /// Makes sequences of equal length in consecutive rows; they share no rows.
    init(count: Int, length: Int) {
        self.init(lengths: [Int](repeating: length, count: count))
    }

    /// Makes sequences of the given lengths in consecutive rows; they share no rows.
    init(lengths: [Int]) {
        var start = 0
        for length in lengths {
            own.append(start..<(start + length))
            start += length
        }
        all = own.map { [$0] }
    }

    /// Returns the position of each row in the sequences, which must share no rows.
    func positions(rows: Int) -> [Int] {
        var positions = [Int](repeating: 0, count: rows)
        for range in own {
            for row in range { positions[row] = row - range.lowerBound }
        }
        return positions
    }
}

/// A stack of residual attention blocks.
struct Transformer: Sendable {
    private let resblocks: [ResidualAttentionBlock]
    private let name: String

    init(
        _ parameters: Parameters, name: String, layers: Int,
        _ options: ResidualAttentionBlock.Options, format: ElementFormat
    ) {
        self.name = name
        resblocks = (0..<layers).map {
            ResidualAttentionBlock(
                parameters.scoped("resblocks.\($0)"), options, format: format)
        }
    }

    /// Runs all blocks and returns their output at one position of each sequence, [rows, width] ->
    /// [sequences, width].
    ///
    /// `rows` contains the row of this position for each sequence. x is overwritten.
    func callAsFunction(
        _ x: Matrix, sequences: Sequences, pooledAt rows: [Int], observer: StageObserver?
    ) -> Matrix {
        run(x, sequences: sequences, leavingOut: 1, observer: observer)
        guard let last = resblocks.last else { return x.gathered(rows) }
        return last.pooled(
            x, sequences: sequences, at: rows, name: "\(name).resblocks.\(resblocks.count - 1)",
            observer: observer)
    }

    /// Runs all blocks except the last `count`.
    ///
    /// The residual stream x, [rows, width], is updated in place.
    func run(
        _ x: Matrix, sequences: Sequences, leavingOut count: Int, observer: StageObserver?
    ) {
        for (layer, block) in resblocks.dropLast(count).enumerated() {
            block(x, sequences: sequences, name: "\(name).resblocks.\(layer)", observer: observer)
        }
    }
}
