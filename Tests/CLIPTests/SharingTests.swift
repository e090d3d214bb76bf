import Foundation
import TestSupport
import Testing

@testable import CLIP

/// Tests that shared and precomputed work gives the same results: token tries, groups of inputs,
/// classifiers, precisions.
@Suite struct SharingTests {
    @Test func tokenTrieSharesPrefixes() {
        let texts = [[1, 2, 3, 9], [1, 2, 4, 9], [1, 2, 4, 9], [1, 5, 9], [6, 9]]
        let trie = TokenTrie(texts.map { $0[...] })
        #expect(trie.ids == [1, 2, 3, 9, 4, 9, 5, 9, 6, 9])
        #expect(trie.positions == [0, 1, 2, 3, 2, 3, 1, 2, 0, 1])
        #expect(trie.ends == [3, 5, 5, 7, 9])
        #expect(trie.sequences.own == [0..<4, 4..<6, 6..<6, 6..<8, 8..<10])
        #expect(
            trie.sequences.all == [
                [0..<4], [0..<2, 4..<6], [0..<2, 4..<6], [0..<1, 6..<8], [8..<10],
            ])
        #expect(TokenTrie(texts.map { $0[...] }, shares: false).ids == texts.flatMap { $0 })
    }

    @Test(arguments: [0, 1, 2, 3, 7, 8, 31, 500], [1, 2, 3, 16])
    func groupsOfImages(count: Int, threads: Int) {
        let groups = EncodingGroups(count: count, threads: threads, largest: 5)
        #expect(groups.ranges.flatMap { Array($0) } == Array(0..<count))
        #expect(groups.ranges.allSatisfy { (1...5).contains($0.count) })
        #expect(groups.ranges.dropFirst(groups.separate).joined().count < threads)
        #expect(count < threads || groups.separate >= threads)
    }

    @Test(arguments: [1, 5, 64, 400], [1, 2, 4])
    func groupsOfTexts(count: Int, threads: Int) {
        let texts = (0..<count).map { [1, 2, $0 / 3, $0, 9][...] }
        let groups = EncodingGroups(texts, threads: threads)
        #expect(groups.ranges.flatMap { Array($0) } == Array(0..<count))
        #expect(groups.separate == 0 || groups.separate == groups.ranges.count)
    }

    @Test func classifierAveragesItsPrompts() throws {
        let model = try CLIPModel(path: Fixtures.root + "/Weights/tiny.safetensors", threads: 2)
        let labels = ["cat", "dog", "palm tree"]
        let templates = ["a {}", "an image of a {}", "{} and {}"]
        let image = try RGBImage(contentsOfFile: Fixtures.root + "/Examples/dog.jpg")
        let found = try ZeroShotClassifier(model: model, labels: labels, templates: templates)
            .classify([image])[0]
        let vector = try model.encode(images: [image]).normalized()[0]
        for label in labels {
            let prompts = templates.map { $0.replacing("{}", with: label) }
            // One at a time, so that nothing is shared.
            let rows = try prompts.map { try model.encode(texts: [$0]).normalized()[0] }
            let mean = Embeddings(
                rows: vector.indices.map { i in rows.reduce(0) { $0 + $1[i] } / 3 },
                dimension: vector.count
            ).normalized()[0]
            let cosine = zip(mean, vector).reduce(0) { $0 + $1.0 * $1.1 }
            let prediction = try #require(found.first { $0.label == label })
            #expect(abs(prediction.cosine - cosine) < 1e-5)
        }
    }

    @Test func unreadableFileDoesNotStopTheOthers() throws {
        let model = try CLIPModel(path: Fixtures.root + "/Weights/tiny.safetensors", threads: 2)
        let names = ["dog", "cat", "nowhere", "bus", "bike", "beach"]
        let files = names.map { Fixtures.root + "/Examples/\($0).jpg" }
        var results: [Result<[Float], CLIPError>] = []
        try model.encode(files: files) { index, result in
            #expect(index == results.count)
            results.append(result)
        }
        #expect(results.count == files.count)
        for (file, result) in zip(files, results) {
            guard FileManager.default.fileExists(atPath: file) else {
                #expect(throws: CLIPError.self) { try result.get() }
                continue
            }
            let alone = try model.encode(images: [RGBImage(contentsOfFile: file)])
            #expect(try result.get() == alone[0])
        }
        try model.encode(files: []) { index, _ in Issue.record("a row \(index) of nothing") }
    }

    @Test(arguments: Precision.allCases.filter(\.isSupported))
    func otherPrecisionsAreCloseToFloat32(_ precision: Precision) throws {
        let exact = try CLIPModel(path: Fixtures.root + "/Weights/tiny.safetensors", threads: 2)
        let model = try exact.at(precision: precision)
        #expect(model.precision == precision)
        let files = ["dog", "bike", "beach", "fruit"].map {
            Fixtures.root + "/Examples/\($0).jpg"
        }
        let images = try files.map { try RGBImage(contentsOfFile: $0) }
        let texts = ["a dog in a meadow", "a man riding bicycle", "a palm tree", "a red apple"]
        let pairs = [
            (try exact.encode(images: images), try model.encode(images: images)),
            (try exact.encode(texts: texts), try model.encode(texts: texts)),
        ]
        for (a, b) in pairs {
            let cosines = try a.cosineSimilarities(to: b)
            for row in cosines.indices {
                #expect(cosines[row][row] > 0.98)
                #expect(precision == .fp32 ? a[row] == b[row] : a[row] != b[row])
            }
        }
    }

    /// Permanently packed weights give the same result as weights packed for one product.
    @Test(arguments: Precision.allCases.filter(\.isSupported))
    func packedWeightsGiveTheSameEmbeddings(_ precision: Precision) throws {
        let model = try CLIPModel(path: Fixtures.path("models/vit"), threads: 2)
            .at(precision: precision)
        let count = 3 * 3 * 32 * 32
        let pixels = (0..<count).map { (i: Int) -> Float in Float(i * 7919 % 1000) / 500 - 1 }
        let first = try model.encode(pixels: pixels)
        #expect(try model.encode(pixels: pixels) == first)
        #expect(try model.encode(pixels: pixels) == first)
    }
}
