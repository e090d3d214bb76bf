import CKernels
import Foundation
import TestSupport
import Testing

/// Compares every table of kernels that this CPU can run with a reference in `Double`.
@Suite struct KernelTests {
    static let names =
        ([
            "scalar", "neon", "avx2", "avx-vnni", "avx512-vnni-256", "avx512", "avx512-vnni",
            "avx512-bf16", "amx",
        ] as [String])
        .filter { clip_kernels_named($0) != nil }
    static let sizes = [1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 48, 63, 64, 65, 100, 127, 768, 1664]

    func kernels(_ name: String) throws -> clip_kernels {
        try #require(clip_kernels_named(name)).pointee
    }

    // MARK: Choice of the table

    @Test func chosenTableIsSupported() throws {
        let name = String(cString: clip_kernels_current().pointee.name)
        #expect(Self.names.contains(name))
        #expect(clip_kernels_named("mmx") == nil)
    }

    @Test(arguments: names)
    func tableKnowsItsName(name: String) throws {
        #expect(String(cString: try kernels(name).name) == name)
    }

    // MARK: Rows of floats

    @Test(arguments: names, sizes)
    func layerNorm(name: String, n: Int) throws {
        var random = Random(seed: n)
        let x = random.floats(n, in: -1...3)
        let weight = random.floats(n, in: -2...2)
        let bias = random.floats(n, in: -2...2)
        let mean = x.reduce(0) { $0 + Double($1) } / Double(n)
        let variance = x.reduce(0) { $0 + pow(Double($1) - mean, 2) } / Double(n)
        let deviation = (variance + Double(Float(1e-5))).squareRoot()
        let expected = (0..<n).map { i in
            (Double(x[i]) - mean) / deviation * Double(weight[i]) + Double(bias[i])
        }

        var out = [Float](repeating: 0, count: n)
        try kernels(name).layer_norm(x, weight, bias, 1e-5, n, &out)
        #expect(largestError(out, expected) < 3e-6)

        var inPlace = x
        let kernel = try kernels(name).layer_norm
        inPlace.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            kernel(base, weight, bias, 1e-5, n, base)
        }
        #expect(inPlace == out)
    }

    @Test(arguments: names, sizes)
    func softmax(name: String, n: Int) throws {
        var random = Random(seed: n)
        for (range, scale) in [(-1...1, 1), (-20...20, 0.125), (-300...300, 1)]
            as [(ClosedRange<Float>, Float)]
        {
            let x = random.floats(n, in: range)
            let largest = try Double(#require(x.max()))
            let terms = x.map { exp(Double(scale) * (Double($0) - largest)) }
            let sum = terms.reduce(0, +)

            var out = x
            try kernels(name).softmax(&out, n, scale)
            #expect(largestError(out, terms.map { $0 / sum }) < 1e-6)
            #expect(abs(out.reduce(0) { $0 + Double($1) } - 1) < 1e-6)
        }
    }

    static let activations: [(clip_activation, @Sendable (Double) -> Double)] = [
        (CLIP_IDENTITY, { $0 }),
        (CLIP_RELU, { max($0, 0) }),
        (CLIP_QUICK_GELU, { $0 / (1 + exp(-1.702 * $0)) }),
        (CLIP_GELU, { 0.5 * $0 * erfc(-$0 * 0.5.squareRoot()) }),
        (CLIP_TANH_GELU, tanhGELU),
    ]

    /// x / 2 · (1 + tanh(z)) = x / (1 + exp(-2 z)), which does not cancel for negative z.
    static func tanhGELU(_ x: Double) -> Double {
        x / (1 + exp(-2 * (2 / Double.pi).squareRoot() * (x + 0.044715 * x * x * x)))
    }

    @Test(arguments: names, sizes)
    func biasActivation(name: String, n: Int) throws {
        var random = Random(seed: n)
        for (activation, function) in Self.activations {
            let x = random.floats(n, in: -9...9)
            let bias = random.floats(n, in: -2...2)

            var out = x
            try kernels(name).bias_activation(&out, bias, n, activation)
            let expected = zip(x, bias).map { function(Double($0 + $1)) }
            #expect(largestError(out, expected) < 3e-7)

            out = x
            try kernels(name).bias_activation(&out, nil, n, activation)
            #expect(largestError(out, x.map { function(Double($0)) }) < 3e-7)
        }
    }

    /// The tail of GELU is accurate relative to its own tiny values.
    @Test(arguments: names)
    func tailOfGELU(name: String) throws {
        let x = (0...1200).map { Float($0) * -0.01 }
        var out = x
        try kernels(name).bias_activation(&out, nil, x.count, CLIP_GELU)
        for (y, x) in zip(out, x).dropFirst() {
            let expected = 0.5 * Double(x) * erfc(-Double(x) * 0.5.squareRoot())
            #expect(abs(Double(y) / expected - 1) < 2e-6, "x = \(x)")
        }
    }

    /// The tail magnifies an error of a constant: a change of 0.044715 or √(2/π) by one part in a
    /// million changes it by more than 6e-5.
    @Test(arguments: names)
    func tanhGELUIsRelativelyAccurate(name: String) throws {
        let x = (-980...1200).map { Float($0) * 0.01 }.filter { $0 != 0 }
        var out = x
        try kernels(name).bias_activation(&out, nil, x.count, CLIP_TANH_GELU)
        for (y, x) in zip(out, x) {
            #expect(abs(Double(y) / Self.tanhGELU(Double(x)) - 1) < 5e-7, "x = \(x)")
        }
    }

    /// The expected values are those of PyTorch's `gelu(x, approximate="tanh")` in float64.
    @Test(arguments: names)
    func tanhGELUIsThatOfPyTorch(name: String) throws {
        let x: [Float] = [-4, -2, -1, -0.5, 0.5, 1, 2, 4]
        let expected = [
            -7.024594819227126e-05, -0.04540230591222494, -0.15880800939172324,
            -0.15428599017485606, 0.34571400982514394, 0.8411919906082768, 1.954597694087775,
            3.9999297540518075,
        ]
        var out = x
        try kernels(name).bias_activation(&out, nil, x.count, CLIP_TANH_GELU)
        for (y, expected) in zip(out, expected) { #expect(abs(Double(y) / expected - 1) < 5e-7) }
    }

    @Test(arguments: names, sizes)
    func addScaleAndSquare(name: String, n: Int) throws {
        var random = Random(seed: n)
        let x = random.floats(n, in: -2...2)
        let y = random.floats(n, in: -2...2)

        var out = x
        try kernels(name).add(&out, y, n)
        #expect(out == zip(x, y).map { $0 + $1 })

        out = x
        try kernels(name).scale(&out, 0.3, n)
        #expect(out == x.map { $0 * 0.3 })

        let squares = x.reduce(0) { $0 + Double($1) * Double($1) }
        #expect(abs(Double(try kernels(name).sum_of_squares(x, n)) - squares) <= 1e-6 * squares)

        // Three rows, each of which begins one number after the one before.
        var dots = [Float](repeating: .nan, count: 3)
        let rows = x + [1, 2]
        try kernels(name).dot_rows(x, rows, 1, 3, n, &dots)
        for row in 0..<3 {
            let expected = (0..<n).reduce(0) { $0 + Double(x[$1]) * Double(rows[row + $1]) }
            #expect(abs(Double(dots[row]) - expected) <= 1e-6 * squares)
        }
    }

    @Test(arguments: names, sizes)
    func dotProductsOfBytes(name: String, n: Int) throws {
        var random = Random(seed: n)
        let largest = Float(min(8191, Int(Int32.max) / 127 / n))
        var x = random.floats(n, in: -largest...largest).map { Int16($0) }
        var rows = random.floats(n + 2, in: -127...127).map { Int8($0) }
        for isExtreme in [false, true] {
            if isExtreme {
                x = x.map { _ in Int16(largest) }
                rows = rows.map { _ in -127 }
            }
            var dots = [Int32](repeating: 1, count: 3)
            try kernels(name).dot_rows_int8(x, rows, 1, 3, n, &dots)
            for row in 0..<3 {
                #expect(
                    Int(dots[row]) == (0..<n).reduce(0) { $0 + Int(x[$1]) * Int(rows[row + $1]) })
            }
        }
    }

    // MARK: NaN, infinity and huge numbers

    @Test(arguments: names, sizes)
    func nanPropagates(name: String, n: Int) throws {
        let kernels = try kernels(name)
        let ones = [Float](repeating: 1, count: n)
        for place in Set([0, n / 2, n - 1]) {
            var x = ones
            x[place] = .nan

            var out = ones
            kernels.layer_norm(x, ones, ones, 1e-5, n, &out)
            #expect(out.firstIndex { !$0.isNaN } == nil, "NaN at \(place)")

            out = x
            kernels.softmax(&out, n, 1)
            #expect(out.firstIndex { !$0.isNaN } == nil, "NaN at \(place)")

            for (activation, _) in Self.activations {
                out = x
                kernels.bias_activation(&out, ones, n, activation)
                #expect(out.indices.filter { out[$0].isNaN } == [place])
            }
            #expect(kernels.sum_of_squares(x, n).isNaN)
        }
    }

    @Test(arguments: names, sizes)
    func softmaxMasksWithMinusInfinity(name: String, n: Int) throws {
        var x = (0..<n).map { $0.isMultiple(of: 2) ? Float(3) : -.infinity }
        try kernels(name).softmax(&x, n, 1)
        let share = 1 / Float((n + 1) / 2)
        for (i, y) in x.enumerated() {
            #expect(i.isMultiple(of: 2) ? abs(y - share) < 1e-6 * share : y == 0)
        }
    }

    @Test(arguments: names)
    func activationsOfExtremeValues(name: String) throws {
        let huge = Float.greatestFiniteMagnitude
        let x = [.infinity, huge, 1e30, 200, 60, 0, -60, -200, -1e30, -huge]
        for activation in [CLIP_QUICK_GELU, CLIP_GELU, CLIP_TANH_GELU] {
            var out = x
            try kernels(name).bias_activation(&out, nil, x.count, activation)
            #expect(out[..<6] == x[..<6])
            #expect(worstDifference(out[6...], [0, 0, 0, 0.0], limit: 1e-30) == nil)
        }
    }

    // MARK: Widening

    @Test(arguments: names)
    func everyFloat16(name: String) throws {
        let patterns = (0...UInt16.max).map { $0 }
        var out = [Float](repeating: 1, count: patterns.count)
        try kernels(name).float16_to_float32(patterns, patterns.count, &out)
        let wrong = patterns.first { bits in
            let exponent = Int(bits >> 10 & 31)
            let fraction = Float(bits & 1023) / 1024
            let magnitude: Float =
                switch exponent {
                case 0: fraction * 0x1p-14
                case 31: fraction == 0 ? .infinity : .nan
                default: Float(sign: .plus, exponent: exponent - 15, significand: 1 + fraction)
                }
            let value = out[Int(bits)]
            if magnitude.isNaN { return !value.isNaN }
            return value.bitPattern != (bits >> 15 == 1 ? -magnitude : magnitude).bitPattern
        }
        #expect(wrong == nil, "\(name): found \(out[Int(wrong ?? 0)])")
    }

    @Test(arguments: names, sizes)
    func float16AndBFloat16AreWidened(name: String, n: Int) throws {
        let kernels = try kernels(name)
        let patterns = (0..<n).map { UInt16(truncatingIfNeeded: $0 * 17 + 0x0100) }
        var out = [Float](repeating: 0, count: n + 1)
        kernels.bfloat16_to_float32(patterns, n, &out)
        #expect(out.map(\.bitPattern) == patterns.map { UInt32($0) << 16 } + [0])

        var reference = [Float](repeating: 0, count: n + 1)
        kernels.float16_to_float32(patterns, n, &out)
        try self.kernels("scalar").float16_to_float32(patterns, n, &reference)
        #expect(out == reference)
    }

    // MARK: Resizing

    func clip8(_ sum: Int) -> UInt8 {
        UInt8(min(max((sum + 1 << 21) >> 22, 0), 255))
    }

    @Test(arguments: names, [1, 2, 3, 4, 5, 7, 8, 9, 10, 12, 16, 17, 54])
    func resizeHorizontal(name: String, taps: Int) throws {
        var random = Random(seed: taps)
        let width = taps + 21
        let (rows, stride) = (6, 3 * width + 5)
        let bytes = random.bytes((rows - 1) * stride + 3 * width)
        // The last output pixel ends where the row does.
        let counts = (0..<40).map { Int32($0 < 20 ? taps : 1 + $0 % taps) }
        let starts = counts.indices.map { i in
            i == 39 ? Int32(width) - counts[i] : Int32(i % (width - taps + 1))
        }
        let weights = random.weights(40 * taps, taps: taps)
        var expected: [UInt8] = []
        for row in 0..<rows {
            for i in 0..<40 {
                for channel in 0..<3 {
                    let sum = (0..<Int(counts[i])).reduce(0) { sum, j in
                        let byte = bytes[row * stride + 3 * (Int(starts[i]) + j) + channel]
                        return sum + Int(byte) * Int(weights[i * taps + j])
                    }
                    expected.append(clip8(sum))
                }
            }
        }
        var out = [UInt8](repeating: 0, count: rows * 120)
        try kernels(name).resize_horizontal(
            bytes, stride, rows, starts, counts, weights, taps, 40, &out)
        #expect(firstDifference(out, expected) == nil)
    }

    @Test(arguments: names, sizes)
    func resizeVertical(name: String, n: Int) throws {
        var random = Random(seed: n)
        for taps in [1, 2, 5, 8, 9, 54] {
            let stride = n + 3
            let rows = random.bytes((taps - 1) * stride + n)
            let weights = random.weights(taps, taps: taps)
            let expected = (0..<n).map { i in
                clip8((0..<taps).reduce(0) { $0 + Int(rows[$1 * stride + i]) * Int(weights[$1]) })
            }
            var out = [UInt8](repeating: 0, count: n)
            try kernels(name).resize_vertical(rows, stride, weights, taps, n, &out)
            #expect(firstDifference(out, expected) == nil)
        }
    }
}

/// The largest error, relative to those of the expected values that are larger than 1.
private func largestError(_ values: [Float], _ expected: [Double]) -> Double {
    zip(values, expected).reduce(0) { max($0, abs(Double($1.0) - $1.1) / max(1, abs($1.1))) }
}

struct Random: RandomNumberGenerator {
    private var state: UInt64

    init(seed: Int) {
        state = UInt64(seed)
    }

    // SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    mutating func floats(_ n: Int, in range: ClosedRange<Float>) -> [Float] {
        (0..<n).map { _ in Float.random(in: range, using: &self) }
    }

    mutating func bytes(_ n: Int) -> [UInt8] {
        (0..<n).map { _ in UInt8.random(in: 0...255, using: &self) }
    }

    /// Weights of which some sums exceed 0...255 on either side, but none exceeds 32 bits.
    mutating func weights(_ n: Int, taps: Int) -> [Int32] {
        let limit = Int32(1 << 23) / Int32(taps)
        return (0..<n).map { _ in Int32.random(in: -limit / 2...limit, using: &self) }
    }
}
