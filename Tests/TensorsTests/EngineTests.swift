import TestSupport
import Testing

@testable import Tensors

/// Compares the engines of matrix products with sums in Float64, and with themselves in other
/// batches.
@Suite(.serialized) struct EngineTests {
    static let engines: [ProductEngine] = [.native, .blas, .fastBLAS]

    /// Sizes of products that a BLAS computes: more than 10⁶ multiplications for eight rows.
    static let (outputs, inputs) = (300, 520)

    private let weight: [Float]
    private let bias: [Float]

    init() {
        var random = Random(seed: 7)
        weight = random.floats(Self.outputs * Self.inputs, in: -1...1)
        bias = random.floats(Self.outputs, in: -1...1)
    }

    private func weights() -> ProductWeights {
        ProductWeights(
            weight: Tensor(weight, shape: [Self.outputs, Self.inputs]),
            bias: Tensor(bias, shape: [Self.outputs]))
    }

    private func matrix(
        _ values: [Float], columns: Int, threads: Int, _ engine: ProductEngine
    ) -> Matrix {
        let workspace = Workspace(threads: threads, engine: engine)
        let matrix = workspace.matrix(rows: values.count / columns, columns: columns)
        matrix.fill(values)
        return matrix
    }

    @Test func openBLASIsInstalled() throws {
        // The scripts install OpenBLAS, so that everything below tests it.
        #expect(ProductEngine.blas.isAvailable == ProductEngine.isBLASBuilt)
    }

    @Test(arguments: engines, [1, 7, 50, 401])
    func productsMatchFloat64(engine: ProductEngine, rows: Int) {
        var random = Random(seed: rows)
        let x = random.floats(rows * Self.inputs, in: -1...1)
        let residual = random.floats(rows * Self.outputs, in: -1...1)
        for threads in [1, 3] {
            let matrix = matrix(x, columns: Self.inputs, threads: threads, engine)
            let y = matrix.workspace.matrix(rows: rows, columns: Self.outputs)
            y.fill(residual)
            let weights = weights()
            #expect(
                weights.usesBLAS(matrix.workspace, rowsTogether: 1)
                    == (engine != .native && ProductEngine.isBLASBuilt))
            let found = weights.apply(matrix).values
            weights.apply(matrix, addedTo: y, activation: .relu)
            let sums = y.values
            var worst = (plain: 0.0, added: 0.0)
            for row in 0..<rows {
                for output in stride(from: 0, to: Self.outputs, by: 29) {
                    let exact = (0..<Self.inputs).reduce(Double(bias[output])) {
                        $0 + Double(x[row * Self.inputs + $1])
                            * Double(weight[output * Self.inputs + $1])
                    }
                    let at = row * Self.outputs + output
                    worst.plain = max(worst.plain, abs(Double(found[at]) - exact))
                    let added = max(0, exact + Double(residual[at]))
                    worst.added = max(worst.added, abs(Double(sums[at]) - added))
                }
            }
            // 4e-7 of the sum of the products' magnitudes, which is a quarter of `inputs` on
            // average.
            let limit = 4e-7 * Double(Self.inputs) / 4
            #expect(worst.plain < limit, "\(engine), \(rows): \(worst)")
            #expect(worst.added < limit, "\(engine), \(rows): \(worst)")
        }
    }

    /// A row of a product has the same bits beside any other rows and on any number of threads.
    @Test(arguments: [ProductEngine.native, .blas]) func rowsAreEqualInEveryBatch(
        engine: ProductEngine
    ) {
        var random = Random(seed: 3)
        let rows = 61
        let x = random.floats(rows * Self.inputs, in: -1...1)
        let weights = weights()
        let expected = weights.apply(
            matrix(x, columns: Self.inputs, threads: 1, engine), activation: .quickGELU
        ).values
        for (threads, sizes) in [(1, [1, 5, 13, 50]), (2, [1, 50, 61]), (7, [7, 61])] {
            for size in sizes {
                for start in stride(from: 0, to: rows, by: size) {
                    let part = start..<min(start + size, rows)
                    let found = weights.apply(
                        matrix(
                            Array(
                                x[(part.lowerBound * Self.inputs)..<(part.upperBound * Self.inputs)]
                            ),
                            columns: Self.inputs, threads: threads, engine),
                        activation: .quickGELU
                    ).values
                    let numbers =
                        (part.lowerBound * Self.outputs)..<(part.upperBound * Self.outputs)
                    #expect(
                        firstDifference(found, expected[numbers]) == nil,
                        "\(engine), rows \(part) on \(threads) threads")
                }
            }
        }
    }

    @Test(arguments: engines) func attentionOverLongSequences(engine: ProductEngine) {
        let (heads, headWidth, length, count) = (2, 64, 50, 3)
        let width = heads * headWidth
        var random = Random(seed: 5)
        let values = random.floats(count * length * 3 * width, in: -1...1)
        func attended(_ engine: ProductEngine, of sequences: Range<Int>) -> [Float] {
            let size = length * 3 * width
            let part = values[(sequences.lowerBound * size)..<(sequences.upperBound * size)]
            let qkv = matrix(Array(part), columns: 3 * width, threads: 2, engine)
            let ranges = sequences.indices.map { index in
                let first = (index - sequences.lowerBound) * length
                return first..<(first + length)
            }
            return scaledDotProductAttention(
                query: Columns(qkv, 0..<width), key: Columns(qkv, width..<2 * width),
                value: Columns(qkv, 2 * width..<3 * width), heads: heads, queries: ranges,
                keys: ranges.map { [$0] }, causal: false
            ).values
        }
        let all = attended(engine, of: 0..<count)
        let plain = attended(.native, of: 0..<count)
        #expect(worstDifference(all, plain, limit: 1e-5) == nil, "\(engine)")
        for index in 0..<count {
            let alone = attended(engine, of: index..<(index + 1))
            let numbers = (index * length * width)..<((index + 1) * length * width)
            #expect(firstDifference(alone, all[numbers]) == nil, "\(engine), sequence \(index)")
        }
    }

    @Test(arguments: engines, [(1, 1), (3, 1), (3, 2)])
    func convolutions(engine: ProductEngine, shape: (kernel: Int, stride: Int)) {
        let (kernel, stride) = shape
        let (channels, outputs, side, batch) = (64, 96, 20, 2)
        var random = Random(seed: kernel)
        let filters = random.floats(outputs * kernel * kernel * channels, in: -1...1)
        let pixels = random.floats(batch * channels * side * side, in: -1...1)
        func convolved(_ engine: ProductEngine) -> [Float] {
            let workspace = Workspace(threads: 2, engine: engine)
            let map = FeatureMap(
                planes: pixels[...], batch: batch, channels: channels, height: side, width: side,
                workspace: workspace)
            let weights = ProductWeights(
                weight: Tensor(filters, shape: [outputs, kernel * kernel * channels]))
            return map.convolved(
                weights, kernel: kernel, stride: stride, padding: kernel / 2, activation: .relu
            ).matrix.values
        }
        let (found, expected) = (convolved(engine), convolved(.native))
        #expect(worstDifference(found, expected, limit: 1e-4) == nil, "\(engine)")
    }

    /// Concurrent calls from many threads give the results of single calls.
    @Test(arguments: engines) func concurrentProducts(engine: ProductEngine) async {
        var random = Random(seed: 9)
        let x = random.floats(24 * Self.inputs, in: -1...1)
        let weights = weights()
        let expected = weights.apply(matrix(x, columns: Self.inputs, threads: 1, engine)).values
        let wrong = await withTaskGroup(of: [String].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    (0..<20).compactMap { _ in
                        let found = weights.apply(
                            self.matrix(x, columns: Self.inputs, threads: 2, engine)
                        ).values
                        return firstDifference(found, expected)
                    }
                }
            }
            return await group.reduce([], +)
        }
        #expect(wrong.first == nil, "\(engine): \(wrong.count) of 320")
    }
}
