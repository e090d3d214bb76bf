import Files
import CKernels
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import Tensors

/// Compares matrix operations with plain sums in Float64, at sizes with odd tails, for one and for
/// several threads.
@Suite struct OperationTests {
    /// Reproducible numbers in -1...1.
    private func numbers(_ count: Int, seed: Int = 1) -> [Float] {
        (0..<count).map { i in
            let hash = UInt32(truncatingIfNeeded: (i &+ seed &* 7919) &* 2_654_435_761)
            return Float(hash >> 8) / Float(1 << 23) - 1
        }
    }

    private func matrix(_ rows: Int, _ columns: Int, threads: Int, seed: Int = 1) -> Matrix {
        let matrix = Workspace(threads: threads).matrix(rows: rows, columns: columns)
        matrix.fill(numbers(rows * columns, seed: seed))
        return matrix
    }

    private func difference(_ found: [Float], _ expected: [Double]) -> String? {
        worstDifference(found, expected, limit: 1e-5, relative: true)
    }

    static let sizes = [
        (1, 1, 1), (1, 7, 5), (2, 33, 17), (7, 16, 100), (50, 48, 63), (131, 9, 31),
        (3, 37, 300), (15, 40, 1600), (29, 5, 1024),
    ]

    @Test(arguments: sizes, [1, 2, 5])
    func products(_ size: (rows: Int, outputs: Int, inputs: Int), threads: Int) {
        let (rows, outputs, inputs) = size
        let x = matrix(rows, inputs, threads: threads)
        let inputNumbers = numbers(rows * inputs)
        let weight = numbers(outputs * inputs, seed: 2)
        let bias = numbers(outputs, seed: 3)
        let plain = (0..<(rows * outputs)).map { i -> Double in
            let (row, output) = (i / outputs, i % outputs)
            return (0..<inputs).reduce(Double(bias[output])) {
                $0 + Double(inputNumbers[row * inputs + $1])
                    * Double(weight[output * inputs + $1])
            }
        }
        let weights = ProductWeights(
            weight: Tensor(weight, shape: [outputs, inputs]), bias: Tensor(bias, shape: [outputs]))
        #expect(difference(weights.apply(x).values, plain) == nil)
        let rectified = weights.apply(x, activation: .relu).values
        #expect(difference(rectified, plain.map { max(0, $0) }) == nil)

        let y = x.workspace.matrix(rows: rows, columns: outputs)
        y.fill(numbers(rows * outputs, seed: 4))
        weights.apply(x, addedTo: y)
        let sums = zip(plain, numbers(rows * outputs, seed: 4)).map { $0 + Double($1) }
        #expect(difference(y.values, sums) == nil)
    }

    @Test(arguments: [false, true], [1, 3]) func attention(causal: Bool, threads: Int) {
        let (heads, headWidth) = (3, 5)
        let width = heads * headWidth
        let sequences = [0..<4, 4..<5, 5..<12]
        let qkv = matrix(12, 3 * width, threads: threads)
        let values = qkv.values.map(Double.init)
        func at(_ row: Int, _ part: Int, _ column: Int) -> Double {
            values[row * 3 * width + part * width + column]
        }
        var expected: [Double] = []
        for sequence in sequences {
            for row in sequence {
                for column in 0..<width {
                    let head = column / headWidth * headWidth
                    let keys = causal ? sequence.lowerBound..<(row + 1) : sequence
                    let scores = keys.map { key in
                        (head..<(head + headWidth)).reduce(0.0) {
                            $0 + at(row, 0, $1) * at(key, 1, $1)
                        }
                            / Double(headWidth).squareRoot()
                    }
                    let weights = scores.map { exponential($0) }
                    let sum = weights.reduce(0, +)
                    expected.append(
                        zip(keys, weights).reduce(0) { $0 + at($1.0, 2, column) * $1.1 / sum })
                }
            }
        }
        let parts = (0..<3).map { Columns(qkv, ($0 * width)..<(($0 + 1) * width)) }
        let found = scaledDotProductAttention(
            query: parts[0], key: parts[1], value: parts[2], heads: heads, queries: sequences,
            keys: sequences.map { [$0] }, causal: causal)
        #expect(difference(found.values, expected) == nil)
    }

    /// The exponential function by its series: no library is shared with the tested code.
    private func exponential(_ x: Double) -> Double {
        var (term, sum) = (1.0, 1.0)
        for i in 1..<60 {
            term *= x / Double(i)
            sum += term
        }
        return sum
    }

    @Test(arguments: [(1, 1, 0), (3, 1, 1), (3, 2, 1), (2, 2, 0)], [1, 2])
    func convolutions(_ shape: (kernel: Int, stride: Int, padding: Int), threads: Int) {
        let (kernel, stride, padding) = shape
        let (batch, height, width, channels, outputs) = (2, 7, 6, 3, 5)
        let input = numbers(batch * channels * height * width)
        let weight = numbers(outputs * channels * kernel * kernel, seed: 5)
        let newHeight = (height + 2 * padding - kernel) / stride + 1
        let newWidth = (width + 2 * padding - kernel) / stride + 1
        var expected: [Double] = []
        for position in 0..<(batch * newHeight * newWidth) {
            let image = position / (newHeight * newWidth)
            let top = position / newWidth % newHeight * stride - padding
            let left = position % newWidth * stride - padding
            for output in 0..<outputs {
                var sum = 0.0
                for channel in 0..<channels {
                    for y in max(0, top)..<min(height, top + kernel) {
                        for x in max(0, left)..<min(width, left + kernel) {
                            let pixel = ((image * channels + channel) * height + y) * width + x
                            let tap =
                                ((output * channels + channel) * kernel + y - top) * kernel + x
                                - left
                            sum += Double(input[pixel]) * Double(weight[tap])
                        }
                    }
                }
                expected.append(sum)
            }
        }
        let map = FeatureMap(
            planes: input[...], batch: batch, channels: channels, height: height, width: width,
            workspace: Workspace(threads: threads))
        let rows = Tensor(weight, shape: [outputs, channels, kernel, kernel])
            .convolutionRows(scaledBy: [Float](repeating: 1, count: outputs))
        let found = map.convolved(
            ProductWeights(weight: rows), kernel: kernel, stride: stride, padding: padding,
            activation: .identity)
        #expect(difference(found.matrix.values, expected) == nil)
        #expect(found.height == newHeight)
        #expect(found.width == newWidth)
    }

    @Test func pooling() {
        let map = FeatureMap(
            planes: (0..<50).map(Float.init)[...], batch: 1, channels: 2, height: 5, width: 5,
            workspace: Workspace(threads: 2))
        let pooled = map.averagePooled(2)
        #expect(pooled.height == 2)
        #expect(pooled.width == 2)
        #expect(pooled.matrix.values == [3, 28, 5, 30, 13, 38, 15, 40])
        #expect(Array(map.withMeanFirst().values.prefix(4)) == [12, 37, 0, 25])
    }

    @Test(arguments: [1, 2, 3, 8]) func teamRunsEachPartOnce(threads: Int) {
        for _ in 0..<20 {
            let team = ThreadTeam.shared(threads: threads)
            #expect((1...threads).contains(team.count))
            for round in 0..<200 {
                let parts = round % team.count + 1
                // Each part has its own place, so no lock is needed.
                nonisolated(unsafe) let runs = UnsafeMutableBufferPointer<Int>.allocate(
                    capacity: team.count)
                defer { runs.deallocate() }
                runs.initialize(repeating: 0)
                team.split(parts) { part, _ in runs[part] += 1 }
                let expected = (0..<team.count).map { $0 < parts ? 1 : 0 }
                #expect(Array(runs) == expected)
            }
        }
    }

    @Test(arguments: [1, 2, 3, 8], [(0, 1), (1, 1), (5, 1), (8, 4), (9, 4), (1000, 16)])
    func rangesCoverTheLoop(threads: Int, loop: (length: Int, unit: Int)) {
        let team = ThreadTeam.shared(threads: threads)
        for most in [1, 2, .max] {
            let ranges = Mutex<[Int: Range<Int>]>([:])
            team.split(loop.length, unit: loop.unit, atMost: most) { part, range in
                ranges.withLock { $0[part] = range }
            }
            let found = ranges.withLock { $0 }.sorted { $0.key < $1.key }.map(\.value)
            let units = (loop.length + loop.unit - 1) / loop.unit
            let place = "\(loop) on \(team.count) threads in at most \(most) parts: \(found)"
            #expect(found.flatMap { Array($0) } == Array(0..<loop.length), "\(place)")
            #expect(found.count == min(team.count, units, most), "\(place)")
            #expect(found.dropLast().allSatisfy { $0.count % loop.unit == 0 }, "\(place)")
        }
    }

    @Test func teamServesConcurrentCallers() async {
        let team = ThreadTeam.shared(threads: 2)
        await withTaskGroup(of: [String].self) { group in
            for _ in 0..<16 {
                group.addTask {
                    var wrong: [String] = []
                    for round in 0..<500 {
                        let parts = min(team.count, round % 2 + 1)
                        let runs = Atomic(0)
                        // A nested loop is one more caller.
                        team.split(parts) { _, _ in
                            team.split(parts) { _, _ in runs.add(1, ordering: .relaxed) }
                        }
                        let found = runs.load(ordering: .relaxed)
                        if found != parts * parts {
                            wrong.append("expected \(parts * parts) runs, found \(found)")
                        }
                    }
                    return wrong
                }
            }
            for await wrong in group { #expect(wrong.first == nil, "\(wrong.count) of 500") }
        }
    }

    @Test func poolLimitsConcurrentCalls() async {
        let pool = WorkspacePool(threads: 2)
        final class Calls: Sendable {
            let running = Atomic(0)
            let most = Atomic(0)
        }
        let calls = Calls()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<32 {
                group.addTask {
                    pool.withWorkspace { _ in
                        let running = calls.running.add(1, ordering: .relaxed).newValue
                        calls.most.max(running, ordering: .relaxed)
                        usleep(500)
                        calls.running.subtract(1, ordering: .relaxed)
                    }
                }
            }
        }
        #expect((1...2).contains(calls.most.load(ordering: .relaxed)))
    }

    @Test func workspacesReuseMemory() {
        let workspace = Workspace(threads: 1)
        let first = workspace.matrix(rows: 10, columns: 10)
        first.fill([Float](repeating: 7, count: 100))
        let second = workspace.matrix(rows: 10, columns: 10)
        second.fill([Float](repeating: 8, count: 100))
        // Two concurrent users never share one.
        #expect(firstDifference(first.values, [Float](repeating: 7, count: 100)) == nil)
        withExtendedLifetime(second) {}
    }

    @Test func blobSHA1MatchesGit() throws {
        // Lengths around block boundaries, which include the header; the digests are git
        // hash-object's.
        let known = [
            0: "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
            3: "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f",
            46: "0630fa94acea055d883e83e4650d7ec977a0e55d",
            47: "9590bed81c57e0a00bac4f923703427b83ecc296",
            48: "4c954b38568dab3f0f619dd3db533d67a6a24489",
            54: "62afb84531a08a28e8325f155abef4b9be8798b1",
            55: "9525d86f397cdc2c5a3672bf546c184250c8a02d",
            56: "ce6d37c86555d38f5461afbe7f0b0f3373519a72",
            57: "594cf8a3966f3b4fc9569bd0f9f4003650683f3d",
            119: "67df9f475df2b7188731620c616cf0d720bea7b5",
            120: "a25f33861947add5c0538d887432c082b0f6f04e",
            1000: "5bab7ca2f00700d948876448fd735ee860246ef4",
        ]
        for (count, digest) in known {
            let bytes = count == 3 ? Array("abc".utf8) : (0..<count).map { UInt8($0 % 251) }
            let found = try MappedFile(copying: bytes).gitBlobSHA1()
            #expect(found == digest, "\(count) bytes: expected \(digest), found \(found)")
        }
    }

    @Test func rowsAreNormalised() {
        var values = numbers(3 * 77)
        values.replaceSubrange(77..<154, with: [Float](repeating: 0, count: 77))
        normalizeRows(&values, dimension: 77)
        for row in 0..<3 {
            let norm = values[(row * 77)..<((row + 1) * 77)].reduce(0.0) {
                $0 + Double($1) * Double($1)
            }
            #expect(abs(norm - (row == 1 ? 0 : 1)) < 1e-6, "row \(row)")
        }
    }
}
