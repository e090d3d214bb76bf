import TestSupport
import Testing

@testable import CLIP

/// Tests that an embedding has the same bits in every batch, at every batch size, and on any number
/// of threads.
@Suite(.serialized) struct BatchTests {
    static let models = ["models/vit", "models/vit-hf", "models/resnet", "models/seeded"]
    static let precisions = Precision.allCases.filter(\.isSupported)

    /// Reproducible numbers that differ from input to input.
    private struct Numbers: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ state >> 29
        }
    }

    private func load(_ path: String, threads: Int) throws -> CLIPModel {
        try CLIPModel(path: Fixtures.path(path), threads: threads)
    }

    /// Rows encoded in batches of a size, in the order of the inputs.
    private func inBatches<Input>(
        of size: Int, _ inputs: [Input], order: [Int], _ encode: ([Input]) throws -> Embeddings
    ) throws -> [[Float]] {
        var rows = [[Float]](repeating: [], count: inputs.count)
        for start in stride(from: 0, to: order.count, by: size) {
            let indices = order[start..<min(start + size, order.count)]
            let embeddings = try encode(indices.map { inputs[$0] })
            for (row, index) in indices.enumerated() { rows[index] = Array(embeddings[row]) }
        }
        return rows
    }

    /// The inputs whose embedding differs between batches.
    ///
    /// Each has the first batch and the index of the first number that differ.
    private func differing<Input>(
        _ path: String, _ precision: Precision, _ inputs: [Input],
        _ encode: (CLIPModel, [Input]) throws -> Embeddings
    ) throws -> [Int: String] {
        var numbers = Numbers(state: 1)
        var first: [[Float]]?
        var wrong: [Int: String] = [:]
        for threads in [1, 2, 3] {
            let model = try load(path, threads: threads).at(precision: precision)
            for size in [1, 2, 3, 7, inputs.count] {
                let order = Array(inputs.indices).shuffled(using: &numbers)
                let rows = try inBatches(of: size, inputs, order: order) { try encode(model, $0) }
                guard let first else {
                    first = rows
                    continue
                }
                for index in inputs.indices where wrong[index] == nil {
                    wrong[index] = firstDifference(rows[index], first[index]).map {
                        "in batches of \(size) on \(threads) threads: \($0)"
                    }
                }
            }
        }
        return wrong
    }

    @Test(arguments: models, precisions)
    func images(_ path: String, precision: Precision) throws {
        let resolution = try load(path, threads: 1).configuration.resolution
        var numbers = Numbers(state: 2)
        let inputs = (0..<20).map { _ in
            (0..<(3 * resolution * resolution)).map { _ in Float.random(in: -2...2, using: &numbers)
            }
        }
        let wrong = try differing(path, precision, inputs) {
            try $0.encode(pixels: $1.flatMap { $0 })
        }
        #expect(wrong == [:])
    }

    /// Half of the texts begin like the one before.
    @Test(arguments: models, precisions)
    func texts(_ path: String, precision: Precision) throws {
        let text = try load(path, threads: 1).configuration.text
        var numbers = Numbers(state: 3)
        let end = text.vocabularySize - 1
        var inputs: [[Int]] = []
        for index in 0..<20 {
            let count = Int.random(in: 0...(text.contextLength - 2), using: &numbers)
            var ids = (0..<count).map { _ in Int.random(in: 0..<(end - 1), using: &numbers) }
            if index % 2 == 1, let last = inputs.last {
                let common = last.dropFirst().dropLast().prefix(count * 2 / 3)
                ids.replaceSubrange(0..<common.count, with: common)
            }
            inputs.append([end - 1] + ids + [end])
        }
        let wrong = try differing(path, precision, inputs) { try $0.encode(tokens: $1) }
        #expect(wrong == [:])
    }
}
