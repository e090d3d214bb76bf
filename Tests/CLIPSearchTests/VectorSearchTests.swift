import Files
import Foundation
import TestSupport
import Testing

@testable import Tensors

/// Tests the exact nearest-neighbour search and its quantised first pass.
@Suite struct VectorSearchTests {
    private let folder: TemporaryFolder
    private let pool = WorkspacePool(threads: 2)

    init() throws { folder = try TemporaryFolder() }

    /// Reproducible numbers with approximately a normal distribution.
    private struct Chance {
        var state: UInt64 = 7
        mutating func next() -> Float {
            (0..<4).reduce(Float(-2)) { sum, _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return sum + Float(state >> 40) / Float(1 << 24)
            }
        }
    }

    private func map(_ values: [Float], dimension: Int) throws -> MappedVectors {
        let path = folder.path + "/vectors.f32"
        try Data(littleEndianBytes(of: values)).write(to: URL(fileURLWithPath: path))
        return try #require(
            MappedVectors(
                MappedFile(path: path), dimension: dimension, count: values.count / dimension))
    }

    private func quantize(_ vectors: MappedVectors) throws -> QuantizedVectors {
        let path = folder.path + "/vectors.i8"
        try QuantizedVectors.write(vectors, generation: 3, to: Array(path.utf8), on: pool)
        let quantized = try #require(QuantizedVectors(MappedFile(path: path)))
        #expect(quantized.generation == 3)
        #expect(quantized.count == vectors.count)
        return quantized
    }

    /// Vectors like CLIP's: some columns are far larger than others, and all rows are alike.
    private func rows(_ count: Int, _ dimension: Int, _ chance: inout Chance) -> [Float] {
        var rows: [Float] = []
        for _ in 0..<count {
            for column in 0..<dimension {
                rows.append(chance.next() * (column % 40 == 3 ? 8 : 1) + (column % 7 == 0 ? 1 : 0))
            }
        }
        normalizeRows(&rows, dimension: dimension)
        return rows
    }

    @Test(arguments: [1, 16, 67, 512])
    func quantisedSearchGivesTheSameResult(dimension: Int) throws {
        var chance = Chance()
        var values = rows(2000, dimension, &chance)
        values.replaceSubrange(0..<dimension, with: values[(50 * dimension)..<(51 * dimension)])
        values[77 * dimension] = .nan
        let vectors = try map(values, dimension: dimension)
        let quantized = try quantize(vectors)
        let others = try map(values + rows(100, dimension, &chance), dimension: dimension)
        for round in 0..<3 {
            let query =
                round == 0
                ? Array(values[(50 * dimension)..<(51 * dimension)]) : rows(1, dimension, &chance)
            for vectors in [vectors, others] {
                let products = (0..<vectors.count).map { row in
                    zip(vectors.values(ofRows: [row]), query).reduce(0) {
                        $0 + Double($1.0) * Double($1.1)
                    }
                }
                for (wanted, threshold) in [
                    (1, Float(-1)), (10, -1), (100, -1), (10, 0.3), (10, 2),
                ] {
                    let exact = vectors.nearest(
                        wanted, to: query, atLeast: threshold, on: pool)
                    let found = vectors.nearest(
                        wanted, to: query, atLeast: threshold, quantized: quantized, on: pool)
                    #expect(found.map(\.row) == exact.map(\.row))
                    #expect(found.map(\.product) == exact.map(\.product))
                    let sorted = products.indices.filter { products[$0] >= Double(threshold) }
                        .sorted { (products[$1], $0) < (products[$0], $1) }
                    #expect(exact.count >= min(wanted, sorted.count))
                    for (match, row) in zip(exact, sorted) {
                        #expect(abs(Double(match.product) - products[row]) < 1e-5)
                    }
                }
            }
        }
    }

    /// The bound on the error holds and is tight enough to be useful.
    @Test func errorIsBounded() throws {
        var chance = Chance()
        let values = rows(1000, 512, &chance)
        let vectors = try map(values, dimension: 512)
        let quantized = try quantize(vectors)
        let query = rows(1, 512, &chance)
        let (products, error) = quantized.dotProducts(with: query, count: 1000, on: pool)
        let exact = dotProducts(values, query, dimension: 512)
        let worst = zip(products, exact).map { abs($0 - $1) }.max() ?? 0
        #expect(worst > 0, "\(worst) of \(error)")
        #expect(worst < error, "\(worst) of \(error)")
        #expect(error < 0.02, "\(worst) of \(error)")
    }

    /// Rows that were replaced after quantisation are missed at worst; the others are found.
    @Test func staleQuantisedRowsHideNoOthers() throws {
        var chance = Chance()
        var values = rows(4000, 64, &chance)
        let query = rows(1, 64, &chance)
        let quantized = try quantize(map(values, dimension: 64))
        let best = try map(values, dimension: 64)
            .nearest(30, to: query, atLeast: -1, on: pool).map(\.row)
        for row in best {
            values.replaceSubrange((row * 64)..<((row + 1) * 64), with: query.map { -$0 })
        }
        for broken in [false, true] {
            if broken { values[best[0] * 64] = .nan }
            let changed = try map(values, dimension: 64)
            let expected = changed.nearest(10, to: query, atLeast: -1, on: pool).map(\.row)
            let found = changed.nearest(10, to: query, atLeast: -1, quantized: quantized, on: pool)
            #expect(found.map(\.row) == expected)
            #expect(found.count == 10)
        }
        // One of the best candidates is NaN.
        var holed = rows(4000, 64, &chance)
        let whole = try map(holed, dimension: 64)
        let rounded = try quantize(whole)
        let first = whole.nearest(1, to: query, atLeast: -1, on: pool)[0].row
        holed[first * 64] = .nan
        let vectors = try map(holed, dimension: 64)
        let found = vectors.nearest(10, to: query, atLeast: -1, quantized: rounded, on: pool)
        #expect(found.count == 10)
        #expect(
            found.map(\.row) == vectors.nearest(10, to: query, atLeast: -1, on: pool).map(\.row))
    }

    @Test func damagedQuantisedFileIsIgnored() throws {
        var chance = Chance()
        _ = try quantize(map(rows(10, 16, &chance), dimension: 16))
        let path = folder.path + "/vectors.i8"
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        for damaged in [
            Data(), whole.prefix(7), whole.prefix(40), whole.dropLast(16), Data(whole.reversed()),
        ] {
            try damaged.write(to: URL(fileURLWithPath: path))
            #expect(QuantizedVectors(try MappedFile(path: path)) == nil)
        }
    }

    @Test(arguments: [1, 2, 10, 100, 1000]) func largestNumbersAreSelected(_ count: Int) {
        var random: UInt32 = 7
        let numbers = (0..<500).map { _ -> Float in
            random = random &* 1_664_525 &+ 1_013_904_223
            return Float(random >> 26)  // many are equal
        }
        let sorted = numbers.filter { $0 >= 5 }.sorted(by: >)
        #expect(largest(count, of: numbers, atLeast: 5) == sorted[min(count, sorted.count) - 1])
        #expect(largest(0, of: numbers, atLeast: 0) == nil)
        #expect(largest(count, of: numbers, atLeast: 100) == nil)
    }
}
