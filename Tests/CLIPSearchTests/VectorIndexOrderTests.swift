import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests the order of equal cosines, and an index opened by a relative path.
@Suite struct VectorIndexOrderTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path + "/vectors" }

    init() throws { folder = try TemporaryFolder() }

    private static let seeds = 0..<8

    /// Vectors with the direction of a seed.
    ///
    /// Some are equal; by rounding, the dot products of the others with it lie on both sides of 1.
    private static func alike(_ seed: Int) -> (ids: [VectorIndex.ID], vectors: Embeddings) {
        let vector = VectorIndexTests.vector(seed)
        let scales = (0..<12).map { 1 + Float($0) / 7 } + [1, 1, 1]
        return (
            scales.indices.map { VectorIndex.ID("\(seed) \($0 * 7 % scales.count)") },
            Embeddings(rows: scales.flatMap { scale in vector.map { $0 * scale } }, dimension: 16)
        )
    }

    /// The matches of all vectors with the direction of each seed, which have cosines of about 1.
    private static func matches(_ index: VectorIndex) throws -> [[VectorIndex.Match]] {
        try seeds.map { seed in
            try index.search(VectorIndexTests.vector(seed), top: 1000, threshold: 0.9999)
        }
    }

    /// Compares the results of searches with those that were found before.
    private static func expect(
        _ index: VectorIndex, finds expected: [[VectorIndex.Match]], _ what: String
    ) throws {
        for (seed, expected) in zip(seeds, expected) {
            let sorted = expected.sorted { ($1.cosine, $0.id) < ($0.cosine, $1.id) }
            #expect(expected == sorted, "\(what), seed \(seed)")
            for top in [1, 2, 3, 7, 15] {
                let found = try index.search(VectorIndexTests.vector(seed), top: top)
                #expect(found == Array(expected.prefix(top)), "\(what), seed \(seed), top \(top)")
            }
        }
    }

    /// The rows of the vectors, and whether they are quantised, do not matter.
    @Test(arguments: [50, Int.max]) func tiesAreOrderedByID(quantizingFrom: Int) throws {
        func open() throws -> VectorIndex {
            try VectorIndex(
                at: path, dimension: 16, threads: 2, quantizingFrom: quantizingFrom)
        }
        let others = VectorIndexTests.ids(100..<700)
        var expected: [[VectorIndex.Match]] = []
        do {
            let index = try open()
            for seed in Self.seeds {
                let (ids, vectors) = Self.alike(seed)
                try index.add(ids, vectors: vectors)
            }
            try index.add(others, vectors: VectorIndexTests.vectors(100..<700))
            expected = try Self.matches(index)
            #expect(expected.map(\.count) == Self.seeds.map { _ in 15 })
            // Different vectors have a cosine of exactly 1.
            let ones = expected.joined().filter { $0.cosine == 1 }
            let vectors = try Set(ones.map { try index.vector(for: $0.id) })
            #expect(vectors.count > Self.seeds.count, "\(ones.count) cosines of 1")
            try Self.expect(index, finds: expected, "added")
            try index.remove(others)
            try Self.expect(index, finds: expected, "fewer")
            // These take the rows of removed ones.
            for seed in Self.seeds.reversed() {
                let (ids, vectors) = Self.alike(seed)
                for row in ids.indices.reversed() {
                    try index.add(ids[row], vector: vectors[row])
                }
            }
            try index.add(others, vectors: VectorIndexTests.vectors(100..<700))
            #expect(try Self.matches(index) == expected)
            try Self.expect(index, finds: expected, "replaced")
        }
        try Self.expect(open(), finds: expected, "opened again")
        try Self.expect(VectorIndex(reading: path), finds: expected, "opened for reading")
    }

    /// The process is another one, because all threads share the current folder.
    @Test func relativePathStaysValidInAnotherFolder() async {
        await #expect(processExitsWith: .success) {
            let folder = try TemporaryFolder()
            let files = FileManager.default
            try #require(files.changeCurrentDirectoryPath(folder.path))
            let index = try VectorIndex(
                at: "a/vectors", dimension: 16, threads: 2, quantizingFrom: 20)
            let reader = try VectorIndex(reading: "./a/vectors", threads: 2)
            try #require(files.changeCurrentDirectoryPath("/"))
            try index.add(VectorIndexTests.ids(0..<40), vectors: VectorIndexTests.vectors(0..<40))
            try index.remove(["id 7"])
            for index in [index, reader] {
                let found = try index.search(VectorIndexTests.vector(3), top: 1)
                try #require(found.map(\.id) == ["id 3"])
                try #require(try index.count == 39)
            }
            try #require(index.path == "a/vectors")
            let names = try files.contentsOfDirectory(atPath: folder.path + "/a/vectors")
            try #require(names.contains("vectors.i8") && names.contains("seal"))
        }
    }
}
