import Files
import CLIP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPSearch
@testable import Tensors

/// Tests vectors with ids, at a place that the caller gives.
@Suite struct VectorIndexTests {
    private let folder: TemporaryFolder
    private var path: String { folder.path + "/vectors" }
    private let files = FileManager.default

    init() throws { folder = try TemporaryFolder() }

    /// A reproducible vector for a seed.
    static func vector(_ seed: Int, _ dimension: Int = 16) -> [Float] {
        var state = UInt64(seed &+ 1) &* 0x9E37_79B9_7F4A_7C15
        return (0..<dimension).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(Int32(truncatingIfNeeded: state >> 33)) / Float(1 << 30) - 1
        }
    }

    static func vectors(_ seeds: some Sequence<Int>) -> Embeddings {
        Embeddings(rows: seeds.flatMap { vector($0) }, dimension: 16)
    }

    static func ids(_ seeds: some Sequence<Int>) -> [VectorIndex.ID] {
        seeds.map { VectorIndex.ID("id \($0)") }
    }

    static func cosine(_ a: [Float], _ b: [Float]) -> Double {
        func dot(_ a: [Float], _ b: [Float]) -> Double {
            zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) }
        }
        return dot(a, b) / (dot(a, a) * dot(b, b)).squareRoot()
    }

    /// Compares an index by brute force with the expected vectors, given by their seeds.
    static func expect(
        _ index: VectorIndex, has expected: [VectorIndex.ID: Int], _ what: String,
        location: SourceLocation = #_sourceLocation
    ) throws {
        let ids = try index.ids()
        #expect(ids == expected.keys.sorted(), "\(what)", sourceLocation: location)
        #expect(try index.count == expected.count, "\(what)", sourceLocation: location)
        for query in [Self.vector(1000), Self.vector(3)] {
            let cosines = expected.mapValues { Self.cosine(Self.vector($0), query) }
            let sorted = expected.keys.sorted {
                ((cosines[$1] ?? 0), $0) < ((cosines[$0] ?? 0), $1)
            }
            for top in [1, 5, expected.count + 3] {
                let found = try index.search(query, top: top)
                let best = Array(sorted.prefix(top))
                #expect(found.map(\.id) == best, "\(what), top \(top)", sourceLocation: location)
                for match in found {
                    let cosine = cosines[match.id] ?? 9
                    #expect(
                        abs(Double(match.cosine) - cosine) < 1e-5,
                        "\(what): \(match.id): expected \(cosine), found \(match.cosine)",
                        sourceLocation: location)
                }
            }
        }
    }

    @Test func addReplaceAndRemoveMatchBruteForce() throws {
        var expected: [VectorIndex.ID: Int] = [:]
        let index = try VectorIndex(at: path, dimension: 16, threads: 2)
        try Self.expect(index, has: expected, "empty")
        try index.add(Self.ids(0..<40), vectors: Self.vectors(0..<40))
        for seed in 0..<40 { expected["id \(seed)".asID] = seed }
        try Self.expect(index, has: expected, "added")
        try index.add(Self.ids(10..<20), vectors: Self.vectors(110..<120))
        for seed in 10..<20 { expected["id \(seed)".asID] = seed + 100 }
        try index.add("last", vector: Self.vector(7))
        expected["last"] = 7
        try Self.expect(index, has: expected, "replaced")
        #expect(try index.remove(Self.ids(0..<25) + ["id 3", "unknown"]) == 25)
        for seed in 0..<25 { expected["id \(seed)".asID] = nil }
        try Self.expect(index, has: expected, "removed")
        // These take the rows of removed ones.
        try index.add(Self.ids(50..<70), vectors: Self.vectors(50..<70))
        for seed in 50..<70 { expected["id \(seed)".asID] = seed }
        try Self.expect(index, has: expected, "added again")
        let rows = try bytes(ofFile: path + "/vectors.f32").count / 64
        #expect(rows < 60, "\(rows) rows of \(expected.count) vectors")

        try Self.expect(VectorIndex(reading: path), has: expected, "a reader beside the writer")
        #expect(try index.contains("last") && !index.contains("id 3"))
        #expect(try index.vector(for: "unknown") == nil)
        let stored = try #require(try index.vector(for: "id 60"))
        let norm = Self.cosine(stored, Self.vector(60))
        #expect(abs(norm - 1) < 1e-6, "\(norm)")
    }

    @Test func reopenedIndexIsTheSame() throws {
        try VectorIndex(at: path, dimension: 16).add(Self.ids(0..<9), vectors: Self.vectors(0..<9))
        let expected = Dictionary(uniqueKeysWithValues: zip(Self.ids(0..<9), 0..<9))
        try Self.expect(VectorIndex(reading: path), has: expected, "read")
        do {
            let index = try VectorIndex(at: path, dimension: 16)
            try Self.expect(index, has: expected, "opened again")
            #expect(throws: VectorIndexError.busy(path: path)) {
                try VectorIndex(at: path, dimension: 16)
            }
        }
        let reader = try VectorIndex(reading: path)
        #expect(throws: VectorIndexError.readOnly(path: path)) { try reader.remove(["id 1"]) }
        #expect(throws: VectorIndexError.readOnly(path: path)) {
            try reader.add("x", vector: Self.vector(1))
        }
        // A reader sees changes that were committed after it was opened.
        try VectorIndex(at: path, dimension: 16).remove(["id 1"])
        try Self.expect(
            reader, has: expected.filter { $0.key != "id 1" }, "a reader after a change")
    }

    @Test func duplicateIDsInABatchCountOnce() throws {
        let index = try VectorIndex(at: path, dimension: 16)
        try index.add(["a", "b", "a"], vectors: Self.vectors([1, 2, 3]))
        try Self.expect(index, has: ["a": 3, "b": 2], "equal ids")
        try index.add([], vectors: Embeddings(rows: [], dimension: 16))
        #expect(try index.remove([]) == 0)
        try Self.expect(index, has: ["a": 3, "b": 2], "nothing")
    }

    @Test func idsMayHaveAnyBytes() throws {
        let ids: [VectorIndex.ID] = [
            "", "a", "a\0b", "é🙂", .init([0xFF, 0xFE]), .init([0]), .init([0, 0]),
            .init(repeatElement(0x61, count: 300_000)),
            .init(repeatElement(0xFF, count: 300_000)),
        ]
        let expected = Dictionary(uniqueKeysWithValues: zip(ids, 0...))
        do {
            let index = try VectorIndex(at: path, dimension: 16)
            try index.add(ids, vectors: Self.vectors(ids.indices))
            try Self.expect(index, has: expected, "added")
        }
        let index = try VectorIndex(at: path, dimension: 16)
        try Self.expect(index, has: expected, "opened again")
        for (seed, id) in ids.enumerated() {
            let vector = try #require(try index.vector(for: id), "\(id.bytes.prefix(9))")
            #expect(abs(Self.cosine(vector, Self.vector(seed)) - 1) < 1e-6)
        }
        #expect(ids[3].string == "é🙂" && ids[4].string == nil && ids[4] == .init([0xFF, 0xFE]))
        for id in ids {
            let coded = try JSONEncoder().encode([VectorIndex.Match(id: id, cosine: 0.5)])
            let decoded = try JSONDecoder().decode([VectorIndex.Match].self, from: coded)
            #expect(decoded == [VectorIndex.Match(id: id, cosine: 0.5)])
        }
        // Pages of ids, ordered by their bytes.
        var (pages, last): ([VectorIndex.ID], VectorIndex.ID?) = ([], nil)
        while case let page = try index.ids(after: last, limit: 2), !page.isEmpty {
            pages += page
            last = page.last
        }
        #expect(pages.map { $0.bytes.prefix(9) } == ids.sorted().map { $0.bytes.prefix(9) })
        #expect(try index.remove(["", .init([0xFF, 0xFE])]) == 2)
        #expect(try !index.contains("") && index.contains("a"))
    }

    @Test func unusableVectorsAreRejected() throws {
        let index = try VectorIndex(at: path, dimension: 16)
        try index.add("a", vector: Self.vector(1))
        let good = Self.vector(2)
        let cases: [(vector: [Float], error: VectorError)] = [
            (Array(good.dropLast()), .wrongDimension(expected: 16, found: 15)),
            (good + [1], .wrongDimension(expected: 16, found: 17)),
            ([], .wrongDimension(expected: 16, found: 0)),
            ([.nan] + good.dropFirst(), .notFinite(row: 0)),
            (good.dropLast() + [-.infinity], .notFinite(row: 0)),
            (.init(repeating: 0, count: 16), .zero(row: 0)),
        ]
        for (vector, error) in cases {
            #expect(throws: VectorIndexError.invalidVector(error)) {
                try index.add("b", vector: vector)
            }
            #expect(throws: VectorIndexError.invalidVector(error)) {
                try index.search(vector, top: 1)
            }
        }
        let batch = Embeddings(rows: good + [Float](repeating: 0, count: 16), dimension: 16)
        #expect(throws: VectorIndexError.invalidVector(.zero(row: 1))) {
            try index.add(["b", "c"], vectors: batch)
        }
        #expect(throws: VectorIndexError.differentCounts(ids: 1, vectors: 2)) {
            try index.add(["b"], vectors: batch)
        }
        try Self.expect(index, has: ["a": 1], "after refusals")
        // Norms whose square overflows float32.
        for scale in [Float(1e-38), 1e-30, 1e30, 1e38] {
            try index.add("b", vector: good.map { $0 * scale })
            let found = try index.search(good.map { $0 * scale }, top: 1)
            #expect(found.map(\.id) == ["b"] && abs(found[0].cosine - 1) < 1e-5, "\(scale)")
        }
        #expect(throws: VectorIndexError.self) {
            try VectorIndex(at: folder.path + "/other", dimension: 0)
        }
        #expect(throws: VectorIndexError.self) {
            try VectorIndex(at: folder.path + "/other", dimension: 1 << 17)
        }
    }

    @Test func unsuitablePlacesAreRejected() throws {
        #expect(throws: VectorIndexError.missing(path: path)) { try VectorIndex(reading: path) }
        try VectorIndex(at: path, dimension: 16).add("a", vector: Self.vector(1))
        let otherDimension = VectorIndexError.otherDimension(path: path, expected: 8, found: 16)
        #expect(throws: otherDimension) { try VectorIndex(at: path, dimension: 8) }
        try Self.expect(VectorIndex(at: path, dimension: 16), has: ["a": 1], "after a refusal")

        // An index of a folder of images is not emptied.
        let photos = folder.path + "/photos"
        try files.createDirectory(atPath: photos, withIntermediateDirectories: true)
        try Data(SmallPNG.bytes(1)).write(to: URL(fileURLWithPath: photos + "/1.png"))
        let model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
        _ = try IndexUpdate(
            folder: FilePath(photos), model: model, modelName: "seeded", decoding: .init()
        ).run()
        let place = photos + "/.clip-index"
        #expect(throws: VectorIndexError.notAnIndex(path: place)) {
            try VectorIndex(at: place, dimension: 16)
        }
        #expect(throws: VectorIndexError.missing(path: place)) { try VectorIndex(reading: place) }
        let index = try FolderIndex(folder: FilePath(photos))
        #expect(try index.search(Self.vector(1), top: 5).count == 1)
        let wrong = IndexError.invalidVector(.wrongDimension(expected: 16, found: 3))
        #expect(throws: wrong) { try index.search([1, 2, 3], top: 5) }
        try Data().write(to: URL(fileURLWithPath: folder.path + "/file"))
        #expect(throws: VectorIndexError.self) {
            try VectorIndex(at: folder.path + "/file", dimension: 16)
        }
    }

    @Test func quantisationDoesNotChangeTheResult() throws {
        func open() throws -> VectorIndex {
            try VectorIndex(at: path, dimension: 16, threads: 2, quantizingFrom: 100)
        }
        var expected: [VectorIndex.ID: Int] = [:]
        func add(_ seeds: Range<Int>, to index: VectorIndex) throws {
            try index.add(Self.ids(seeds), vectors: Self.vectors(seeds))
            for seed in seeds { expected["id \(seed)".asID] = seed }
        }
        do {
            let index = try open()
            try add(0..<99, to: index)
            #expect(!files.fileExists(atPath: path + "/vectors.i8"))
            try add(99..<200, to: index)
            let quantized = QuantizedVectors(try MappedFile(path: path + "/vectors.i8"))
            #expect(quantized?.count == 200)
            try Self.expect(index, has: expected, "quantised")
            try add(200..<210, to: index)
            try Self.expect(index, has: expected, "a few more")
            try index.remove(Self.ids(0..<100))
            for seed in 0..<100 { expected["id \(seed)".asID] = nil }
            try Self.expect(index, has: expected, "fewer")
            try add(300..<305, to: index)
            try Self.expect(index, has: expected, "written over quantised rows")
            try add(305..<360, to: index)
            try Self.expect(index, has: expected, "quantised again")
        }
        let quantized = QuantizedVectors(try MappedFile(path: path + "/vectors.i8"))
        #expect(quantized?.generation == 2, "\(quantized?.generation ?? -1)")
        try Self.expect(open(), has: expected, "opened again")
    }
}

extension String {
    fileprivate var asID: VectorIndex.ID { VectorIndex.ID(self) }
}
