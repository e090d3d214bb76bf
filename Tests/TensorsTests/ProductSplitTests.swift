import Testing

@testable import Tensors

/// Tests that the bits of a product depend neither on the threads nor on whether its weights are
/// packed already.
@Suite struct ProductSplitTests {
    /// Panels are split if there are few rows, rows if they outnumber the outputs.
    @Test(
        arguments: ElementFormat.allCases.filter(\.isSupported),
        [(rows: 3, outputs: 200), (rows: 300, outputs: 40), (rows: 1, outputs: 33)])
    func matrices(_ format: ElementFormat, _ size: (rows: Int, outputs: Int)) {
        let inputs = 70
        var random = Random(seed: size.rows)
        let x = random.floats(size.rows * inputs, in: -1...1)
        let weight = random.floats(size.outputs * inputs, in: -1...1)
        let bias = random.floats(size.outputs, in: -1...1)
        var expected: [Float]?
        for threads in [1, 2, 3, 7] {
            let weights = ProductWeights(
                weight: Tensor(weight, shape: [size.outputs, inputs]),
                bias: Tensor(bias, shape: [size.outputs]), format: format)
            let matrix = Workspace(threads: threads).matrix(rows: size.rows, columns: inputs)
            matrix.fill(x)
            // The first product packs a panel at a time, the second one all of them.
            for product in 1...2 {
                let found = weights.apply(matrix, activation: .quickGELU).values
                expectSameBits(
                    found, expected ?? found, "\(format) \(size), \(threads) threads, \(product)")
                expected = found
            }
        }
    }

    /// A convolution with more lines than its weights have panels.
    @Test func convolutions() {
        let (channels, outputs, side, kernel) = (4, 40, 20, 3)
        var random = Random(seed: 1)
        let pixels = random.floats(2 * channels * side * side, in: -1...1)
        let weight = random.floats(outputs * kernel * kernel * channels, in: -1...1)
        var expected: [Float]?
        for threads in [1, 2, 3, 7] {
            let weights = ProductWeights(
                weight: Tensor(weight, shape: [outputs, kernel * kernel * channels]))
            let map = FeatureMap(
                planes: pixels[...], batch: 2, channels: channels, height: side, width: side,
                workspace: Workspace(threads: threads))
            for product in 1...2 {
                let found = map.convolved(
                    weights, kernel: kernel, stride: 1, padding: 1, activation: .relu
                ).matrix.values
                expectSameBits(found, expected ?? found, "\(threads) threads, \(product)")
                expected = found
            }
        }
    }

    private func expectSameBits(_ found: [Float], _ expected: [Float], _ place: String) {
        #expect(found.count == expected.count, "\(place)")
        let first = zip(found, expected).enumerated().first {
            $0.element.0.bitPattern != $0.element.1.bitPattern
        }
        #expect(first == nil, "\(place): \(first.map { "\($0)" } ?? "")")
    }
}
