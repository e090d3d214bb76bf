import Files
import CLIP
import Foundation
import Synchronization
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests values that many tasks use at once.
///
/// ThreadSanitizer does not see into SQLite, so results are compared.
@Suite struct SharedUseTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: FilePath { FilePath(folder.path + "/photos") }

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
    }

    private static func add(_ name: String, seed: Int, to path: FilePath) throws {
        try Data(SmallPNG.bytes(seed)).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
    }

    private static func update(_ path: FilePath, _ model: CLIPModel) throws {
        _ = try IndexUpdate(
            folder: path, model: model, modelName: "seeded", decoding: .init()
        ).run()
    }

    private static func queries() -> [[Float]] {
        (0..<16).map { query in (0..<16).map { Float(($0 * 7 + query * 5) % 11) - 5 } }
    }

    /// Runs `body` in 16 tasks.
    ///
    /// - Returns: The failures that they found.
    private func failures(
        _ body: @escaping @Sendable (_ task: Int) throws -> [String]
    ) async throws -> [String] {
        try await withThrowingTaskGroup(of: [String].self) { group in
            for task in 0..<16 { group.addTask { try body(task) } }
            return try await group.reduce([], +)
        }
    }

    @Test func sixteenTasksSearchOneIndex() async throws {
        for seed in 0..<40 { try Self.add("\(seed).png", seed: seed, to: path) }
        try Self.update(path, model)
        let index = try FolderIndex(folder: path)
        let queries = Self.queries()
        let expected = try queries.map { try index.search($0, top: 5) }
        let wrong = try await failures { task in
            var wrong: [String] = []
            for round in 0..<2000 {
                let query = (task + round) % 16
                let found = try index.search(queries[query], top: 5)
                if found != expected[query] {
                    wrong.append("query \(query): expected \(expected[query]), found \(found)")
                }
                if round % 500 == 0 {
                    let count = try index.contents().images.count
                    if count != 40 { wrong.append("expected 40 images, found \(count)") }
                }
            }
            return wrong
        }
        #expect(wrong.first == nil, "\(wrong.count) of 32,000 searches")
    }

    /// Images are added and removed and rows reused, while one opened index and new ones are
    /// searched.
    @Test func searchesStayCorrectDuringUpdates() async throws {
        for seed in 0..<40 { try Self.add("\(seed).png", seed: seed, to: path) }
        try Self.update(path, model)
        // The cosine of every image that exists at any time, by its name.
        let queries = Self.queries()
        let names = (0..<400).map { "\($0).png" }
        let all = try await model.encode(
            images: (0..<400).map { try RGBImage(decoding: SmallPNG.bytes($0)) })
        let cosines = try queries.map { query in
            let row = Embeddings(rows: query, dimension: 16)
            let found = try row.cosineSimilarities(to: all)[0]
            return Dictionary(uniqueKeysWithValues: zip(names, found))
        }
        let index = try FolderIndex(folder: path)
        let (folder, model, isOver) = (path, model, Flag())
        let writer = Task {
            defer { isOver.value.store(true, ordering: .relaxed) }
            for round in 1..<10 {
                let seeds = (40 * round)..<(40 * round + 40)
                for seed in seeds { try Self.add("\(seed).png", seed: seed, to: folder) }
                try Self.update(folder, model)
                for seed in seeds {
                    try FileManager.default.removeItem(atPath: "\(folder)/\(seed).png")
                }
                try Self.update(folder, model)
            }
        }
        let wrong = try await failures { task in
            var wrong: [String] = []
            var round = 0
            while !isOver.value.load(ordering: .relaxed) {
                let query = (task + round) % 16
                round += 1
                let searched = round % 8 == 0 ? try FolderIndex(folder: folder) : index
                let found = try searched.search(queries[query], top: 5)
                let isSorted = zip(found, found.dropFirst()).allSatisfy { $0.cosine >= $1.cosine }
                let isRight = found.allSatisfy { match in
                    let name = String(decoding: match.file.lastComponent, as: UTF8.self)
                    return abs((cosines[query][name] ?? 9) - match.cosine) < 1e-5
                }
                if !isSorted || !isRight || found.isEmpty {
                    wrong.append("query \(query), sorted: \(isSorted): \(found)")
                }
            }
            return wrong
        }
        try await writer.value
        #expect(wrong.first == nil, "\(wrong.count) results")
    }

    private final class Flag: Sendable {
        let value = Atomic(false)
    }

    @Test func sixteenTasksShareALabelCache() async throws {
        let cache = LabelCache(folder: path.appending("cache".utf8))
        let labels = (0..<8).map { set in (0..<5).map { "label \(set) \($0)" } }
        let model = model
        let expected = try labels.map {
            try ZeroShotClassifier(model: model, labels: $0, templates: ["a {}"]).labelEmbeddings
        }
        let wrong = try await failures { task in
            try (0..<20).compactMap { round in
                let set = (task + round) % 8
                let classifier = try cache.classifier(
                    model: model, labels: labels[set], templates: ["a {}"], truncating: false)
                return firstDifference(classifier.labelEmbeddings.values, expected[set].values)
                    .map { "\(labels[set]): \($0)" }
            }
        }
        #expect(wrong.first == nil, "\(wrong.count) results")
    }

    @Test func damagedLabelCacheIsRebuilt() throws {
        let cache = LabelCache(folder: path.appending("cache".utf8))
        func embeddings() throws -> Embeddings {
            try cache.classifier(
                model: model, labels: ["a", "b"], templates: ["{}"], truncating: false
            ).labelEmbeddings
        }
        let expected = try embeddings()
        let names = try FileManager.default.contentsOfDirectory(atPath: "\(path)/cache")
        let file = "\(path)/cache/\(try #require(names.first))"
        #expect(names.count == 1)
        let whole = try bytes(ofFile: file)
        for offset in whole.indices {
            var damaged = whole
            damaged[offset] ^= 1
            try Data(damaged).write(to: URL(fileURLWithPath: file))
            #expect(try embeddings() == expected, "byte \(offset)")
            #expect(try bytes(ofFile: file) == whole, "byte \(offset)")
        }
        for count in [0, 1, whole.count - 1] {
            try Data(whole.prefix(count)).write(to: URL(fileURLWithPath: file))
            #expect(try embeddings() == expected, "\(count) bytes")
        }
    }
}
