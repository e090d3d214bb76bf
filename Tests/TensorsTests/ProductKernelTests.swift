import CKernels
import TestSupport
import Testing

@testable import Tensors

/// Tests packing, rounding, quantising, and products of packed weights, with every table that this
/// CPU can run.
@Suite struct ProductKernelTests {
    static let names = KernelTests.names

    private func kernels(_ name: String) throws -> clip_kernels {
        try #require(clip_kernels_named(name)).pointee
    }

    @Test(arguments: names, [(1, 1), (32, 16), (7, 33), (31, 100), (17, 15)])
    func packingIntoPanels(name: String, size: (rows: Int, words: Int)) throws {
        let (rows, words) = size
        let stride = words + 3
        let x = (0..<UInt32(rows * stride)).map { $0 &* 2_654_435_761 }
        var out = [UInt32](repeating: 7, count: 32 * words + 1)
        try kernels(name).pack(x, stride, rows, words, &out)
        for word in 0..<words {
            let expected = (0..<32).map { $0 < rows ? x[$0 * stride + word] : 0 }
            #expect(firstDifference(out[(32 * word)..<(32 * word + 32)], expected) == nil)
        }
        #expect(out.last == 7)
    }

    @Test(arguments: names, [(1, 1), (32, 16), (7, 33), (31, 100), (17, 15)])
    func packingBFloat16IntoPanels(name: String, size: (rows: Int, count: Int)) throws {
        let (rows, count) = size
        let stride = count + 3
        let x = (0..<(rows * stride)).map { UInt16(truncatingIfNeeded: $0 &* 40_503) }
        var out = [UInt32](repeating: 7, count: 32 * count + 1)
        try kernels(name).pack_bfloat16(x, stride, rows, count, &out)
        for place in 0..<count {
            let expected = (0..<32).map { $0 < rows ? UInt32(x[$0 * stride + place]) << 16 : 0 }
            #expect(firstDifference(out[(32 * place)..<(32 * place + 32)], expected) == nil)
        }
        #expect(out.last == 7)
    }

    @Test(arguments: names)
    func roundingToBFloat16(name: String) throws {
        guard let round = try kernels(name).float32_to_bfloat16 else { return }
        var random = Random(seed: 1)
        let ties: [UInt32] = [0x3F80_8000, 0x3F81_8000, 0x3F80_8001, 0x7F7F_FFFF, 0x8000_0000]
        let x =
            ties.map(Float.init(bitPattern:)) + [.infinity, -.infinity, 0, 0x1p-140]
            + random.floats(100, in: -9...9)
        var out = [UInt16](repeating: 0, count: x.count)
        round(x, x.count, &out)
        let expected = x.map { value -> UInt16 in
            let (upper, lower) = (value.bitPattern >> 16, value.bitPattern & 0xFFFF)
            let up = lower > 0x8000 || lower == 0x8000 && upper % 2 == 1
            return UInt16(truncatingIfNeeded: upper + (up ? 1 : 0))
        }
        #expect(firstDifference(out, expected) == nil)
        var one: UInt16 = 0
        round([Float(bitPattern: 0x7F80_0001)], 1, &one)  // a NaN that rounds to infinity
        #expect(Float(bitPattern: UInt32(one) << 16).isNaN)
    }

    @Test(arguments: names, KernelTests.sizes)
    func quantisation(name: String, n: Int) throws {
        guard let quantize = try kernels(name).quantize,
            let symmetrically = try kernels(name).quantize_symmetrically
        else { return }
        var random = Random(seed: n)
        for range in [(-1...3), (0...5), (-4 ... -1), (0...0)] as [ClosedRange<Float>] {
            let x = random.floats(n, in: range)
            var (bytes, scale, zero) = ([UInt8](repeating: 0, count: n), Float(0), Int32(0))
            quantize(x, n, &bytes, &scale, &zero)
            let spread = max(0, try #require(x.max())) - min(0, try #require(x.min()))
            let largest: UInt8 = ["avx2", "avx512"].contains(name) ? 127 : 255
            #expect(abs(scale - spread / Float(largest)) <= 1e-6 * spread)
            #expect(bytes.first { $0 > largest } == nil, "\(range)")
            for (byte, value) in zip(bytes, x) {
                #expect(abs(scale * Float(Int32(byte) - zero) - value) <= 1.01 * scale)
            }
            var (signed, sum) = ([Int8](repeating: 0, count: n), Int32(0))
            symmetrically(x, n, &signed, &scale, &sum)
            #expect(sum == signed.reduce(0) { $0 + Int32($1) })
            for (byte, value) in zip(signed, x) {
                #expect(abs(scale * Float(byte) - value) <= 0.501 * scale)
            }
        }
        var x = random.floats(n, in: -1...1)
        x[n / 2] = .nan
        var (bytes, scale, zero) = ([UInt8](repeating: 0, count: n), Float(0), Int32(0))
        quantize(x, n, &bytes, &scale, &zero)
        #expect(scale.isNaN)
    }

    /// Computes a product by hand: rows of `lines` lines with `segments` overlapping segments.
    @Test(arguments: names, [(14, 1, 1), (5, 3, 3), (16, 2, 1)])
    func productOfOverlappingSegments(name: String, shape: (rows: Int, lines: Int, segments: Int))
        throws
    {
        let (rows, lines, segments) = shape
        let (words, outputs, step, line) = (9, 37, 3, 200)
        var random = Random(seed: rows)
        let x = random.floats((lines + segments) * line + rows * step + words, in: -1...1)
        let weights = random.floats(outputs * segments * words, in: -1...1)
        let table = try kernels(name)
        var panels = [UInt32](repeating: 0, count: 64 * segments * words)
        let bits = weights.map(\.bitPattern)
        let depth = segments * words
        table.pack(bits, depth, 32, depth, &panels)
        var rest = [UInt32](repeating: 0, count: 32 * depth)
        table.pack(Array(bits[(32 * depth)...]), depth, outputs - 32, depth, &rest)
        panels.replaceSubrange((32 * depth)..., with: rest)

        for (activation, function) in KernelTests.activations {
            var y = [Float](repeating: 1, count: lines * rows * outputs)
            x.withUnsafeBytes { x in
                panels.withUnsafeBytes { panels in
                    y.withUnsafeMutableBytes { y in
                        var product = clip_product()
                        product.x = x.baseAddress
                        (product.rows, product.row_stride) = (rows, 4 * step)
                        (product.lines, product.line_stride) = (lines, 4 * line)
                        (product.words, product.segments) = (words, segments)
                        product.segment_stride = 4 * line
                        product.panels = panels.baseAddress
                        product.outputs = outputs
                        product.y = y.baseAddress
                        product.y_row_stride = 4 * outputs
                        product.y_line_stride = 4 * outputs * rows
                        product.adding = 1
                        product.activation = activation
                        table.multiply_float32(&product)
                    }
                }
            }
            for row in 0..<(lines * rows) {
                for output in 0..<outputs {
                    var sum = 1.0
                    for segment in 0..<segments {
                        let start = (row / rows + segment) * line + row % rows * step
                        for word in 0..<words {
                            sum +=
                                Double(x[start + word])
                                * Double(weights[output * depth + segment * words + word])
                        }
                    }
                    #expect(abs(Double(y[row * outputs + output]) - function(sum)) < 1e-5)
                }
            }
        }
    }
}
