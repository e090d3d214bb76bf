import CKernels
import Foundation
import TestSupport
import Testing

@testable import Tensors

/// Compares products in bfloat16 and int8, if the CPU supports them, with sums of the rounded
/// numbers.
@Suite struct FormatTests {
    private func product(
        _ format: ElementFormat, rows: Int, outputs: Int, inputs: Int, threads: Int
    ) -> (found: [Float], exact: [Double], scale: Double) {
        var random = Random(seed: rows)
        let x = random.floats(rows * inputs, in: -1...2)
        let weight = random.floats(outputs * inputs, in: -1...1)
        let bias = random.floats(outputs, in: -1...1)
        let matrix = Workspace(threads: threads).matrix(rows: rows, columns: inputs)
        matrix.fill(x)
        let weights = ProductWeights(
            weight: Tensor(weight, shape: [outputs, inputs]),
            bias: Tensor(bias, shape: [outputs]), format: format)
        let found = weights.apply(matrix).values
        // The second product is the first with permanently packed weights.
        let again = weights.apply(matrix).values
        #expect(found == again)
        let (a, b) = (
            rounded(x, by: inputs, format, isWeight: false),
            rounded(weight, by: inputs, format, isWeight: true)
        )
        let exact = (0..<(rows * outputs)).map { i in
            (0..<inputs).reduce(Double(bias[i % outputs])) {
                $0 + a[i / outputs * inputs + $1] * b[i % outputs * inputs + $1]
            }
        }
        return (found, exact, Double(inputs))
    }

    /// The numbers as the format holds them, row by row.
    private func rounded(
        _ x: [Float], by columns: Int, _ format: ElementFormat, isWeight: Bool
    ) -> [Double] {
        let kernels = Kernels.current
        return stride(from: 0, to: x.count, by: columns).flatMap { start -> [Double] in
            let row = Array(x[start..<(start + columns)])
            var (scale, number) = (Float(0), Int32(0))
            switch format {
            case .float32: return row.map(Double.init)
            case .bfloat16:
                var out = [UInt16](repeating: 0, count: columns)
                kernels.float32_to_bfloat16?(row, columns, &out)
                return out.map { Double(Float(bitPattern: UInt32($0) << 16)) }
            case .int8 where isWeight:
                var out = [Int8](repeating: 0, count: columns)
                kernels.quantize_symmetrically?(row, columns, &out, &scale, &number)
                return out.map { Double(scale) * Double($0) }
            case .int8:
                var out = [UInt8](repeating: 0, count: columns)
                kernels.quantize?(row, columns, &out, &scale, &number)
                return out.map { Double(scale) * Double(Int32($0) - number) }
            }
        }
    }

    @Test(
        arguments: ElementFormat.allCases.filter(\.isSupported),
        [(1, 5, 3), (2, 33, 17), (16, 64, 64), (33, 70, 100), (50, 96, 777), (65, 31, 128)])
    func products(_ format: ElementFormat, _ size: (rows: Int, outputs: Int, inputs: Int)) {
        var first: [Float]?
        for threads in [1, 2, 5] {
            let result = product(
                format, rows: size.rows, outputs: size.outputs, inputs: size.inputs,
                threads: threads)
            let worst = zip(result.found, result.exact).map { abs(Double($0) - $1) }.max() ?? 0
            #expect(worst < 2e-7 * result.scale + 2e-6, "\(format)")
            #expect(first == nil || first == result.found)
            first = result.found
        }
    }

    @Test(arguments: ElementFormat.allCases.filter(\.isSupported))
    func rowWithNaNIsDetected(_ format: ElementFormat) {
        let matrix = Workspace(threads: 1).matrix(rows: 2, columns: 70)
        matrix.fill([Float](repeating: 1, count: 100) + [.nan] + [Float](repeating: 1, count: 39))
        let weights = ProductWeights(
            weight: Tensor([Float](repeating: 1, count: 140), shape: [2, 70]), format: format)
        let y = weights.apply(matrix).values
        #expect(y.map(\.isNaN) == [false, false, true, true], "\(y)")
    }

    @Test(arguments: ElementFormat.allCases.filter(\.isSupported))
    func activationOfProduct(_ format: ElementFormat) {
        let matrix = Workspace(threads: 2).matrix(rows: 5, columns: 70)
        matrix.fill((0..<350).map { Float($0 % 13) * 0.25 - 1.5 })
        let weights = ProductWeights(
            weight: Tensor((0..<3500).map { Float($0 % 11) * 0.125 - 0.6 }, shape: [50, 70]),
            format: format)
        let sums = weights.apply(matrix).values
        let activations: [(Nonlinearity, (Double) -> Double)] = [
            (.relu, { max($0, 0) }),
            (.quickGELU, { $0 / (1 + exp(-1.702 * $0)) }),
            (.gelu, { 0.5 * $0 * erfc(-$0 * 0.5.squareRoot()) }),
            (.tanhGELU, KernelTests.tanhGELU),
        ]
        for (activation, function) in activations {
            let y = weights.apply(matrix, activation: activation).values
            for (y, sum) in zip(y, sums) {
                let expected = function(Double(sum))
                #expect(abs(Double(y) - expected) < 3e-7 * max(1, abs(expected)), "\(activation)")
            }
        }
    }

    @Test(arguments: [ElementFormat.float32, .bfloat16].filter(\.isSupported))
    func resultsInBFloat16(_ format: ElementFormat) throws {
        guard ElementFormat.bfloat16.isSupported else { return }
        let matrix = Workspace(threads: 2).matrix(rows: 3, columns: 40)
        matrix.fill((0..<120).map { Float($0 % 7) })
        let weights = ProductWeights(
            weight: Tensor((0..<(50 * 40)).map { Float($0 % 3) }, shape: [50, 40]), format: format)
        let next = ProductWeights(
            weight: Tensor((0..<500).map { Float($0 % 5) }, shape: [10, 50]), format: .bfloat16)
        let wide = weights.apply(matrix, activation: .relu)
        let narrow = weights.apply(matrix, activation: .relu, format: .bfloat16)
        #expect(firstDifference(next.apply(wide).values, next.apply(narrow).values) == nil)
    }
}
