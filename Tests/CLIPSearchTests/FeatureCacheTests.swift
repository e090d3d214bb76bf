import CLIP
import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests the cache of embeddings: exact numbers, damage, and several writers.
@Suite struct FeatureCacheTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: FilePath { FilePath(folder.path + "/features") }

    init() throws {
        folder = try TemporaryFolder()
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
    }

    private func open(
        _ decoding: RGBImage.DecodingOptions = .init(), _ other: CLIPModel? = nil
    ) throws -> FeatureCache {
        try FeatureCache(folder: path, model: other ?? model, decoding: decoding)
    }

    private func digest(_ seed: Int) -> [UInt8] { sha256([UInt8](repeating: 7, count: seed)) }

    private func vector(_ seed: Int) -> [Float] {
        (0..<model.configuration.embeddingDimension).map { Float($0 - seed) / 3 }
    }

    private func fill(_ count: Int) throws {
        let cache = try open()
        for seed in 0..<count { cache.add(vector(seed), for: digest(seed)) }
        try cache.close()
    }

    private var file: String {
        get throws {
            let names = try FileManager.default.contentsOfDirectory(atPath: "\(path)")
            return "\(path)/\(try #require(names.first))"
        }
    }

    @Test func vectorsKeepTheirBits() throws {
        let cache = try open()
        let zeros = [Float](repeating: -0.0, count: vector(0).count)
        cache.add(zeros, for: digest(9))
        cache.add(vector(1), for: digest(1))
        #expect(cache.vector(for: digest(9))?.map(\.bitPattern) == zeros.map(\.bitPattern))
        #expect(cache.vector(for: digest(1)) == vector(1))
        #expect(cache.vector(for: digest(2)) == nil)
    }

    @Test func laterProcessesReadWhatIsStored() throws {
        try fill(20)
        let cache = try open()
        #expect(!cache.isReadOnly)
        #expect(cache.count == 20)
        for seed in 0..<20 { #expect(cache.vector(for: digest(seed)) == vector(seed)) }
    }

    @Test func optionsHaveFilesOfTheirOwn() throws {
        try fill(1)
        var truncated = RGBImage.DecodingOptions()
        truncated.allowsTruncated = true
        var reduced = RGBImage.DecodingOptions()
        reduced.smallestSide = 64
        for decoding in [.reference, truncated, reduced] {
            #expect(try open(decoding).count == 0)
        }
        #expect(try open(.init(), model.following(preprocessing: .huggingFace)).count == 0)
        #expect(try open().count == 1)
    }

    @Test func endOfAKilledProcessIsRepaired() throws {
        try fill(3)
        let whole = try bytes(ofFile: file)
        for count in [whole.count - 1, whole.count - 50, 70, 63, 1, 0] {
            try Data(whole[..<count]).write(to: URL(fileURLWithPath: file))
            do {
                let cache = try open()
                for seed in 0..<3 {
                    let found = cache.vector(for: digest(seed))
                    #expect(found == nil || found == vector(seed), "\(count) bytes, \(seed)")
                    if found == nil { cache.add(vector(seed), for: digest(seed)) }
                }
                try cache.close()
            }
            let cache = try open()
            #expect(cache.count == 3)
            for seed in 0..<3 { #expect(cache.vector(for: digest(seed)) == vector(seed)) }
        }
    }

    @Test func damagedRecordsCountAsMissing() throws {
        try fill(3)
        let path = try file
        var content = try bytes(ofFile: path)
        let size = (content.count - 64) / 3
        content[64 + size + 40] ^= 1
        try Data(content).write(to: URL(fileURLWithPath: path))
        let cache = try open()
        #expect(cache.vector(for: digest(0)) == vector(0))
        #expect(cache.vector(for: digest(1)) == nil)
        cache.add(vector(1), for: digest(1))
        #expect(cache.vector(for: digest(1)) == vector(1))
        #expect(cache.vector(for: digest(2)) == vector(2))
    }

    @Test func otherFilesAreNotReplaced() throws {
        try fill(1)
        let path = try file
        let text = Array(String(repeating: "not a cache\n", count: 20).utf8)
        try Data(text).write(to: URL(fileURLWithPath: path))
        #expect(throws: FileError.self) { try open() }
        #expect(try bytes(ofFile: path) == text)
    }

    @Test func secondWriterOnlyReads() throws {
        try fill(2)
        let first = try open()
        let second = try open()
        #expect(!first.isReadOnly)
        #expect(second.isReadOnly)
        #expect(second.vector(for: digest(1)) == vector(1))
        second.add(vector(2), for: digest(2))
        try second.close()
        first.add(vector(3), for: digest(3))
        try first.close()
        #expect(first.count == 3)
        #expect(second.vector(for: digest(2)) == nil)
    }

    @Test func truncationWhileOpenIsNoError() throws {
        try fill(2000)
        let writer = try open()
        let reader = try open()
        #expect(reader.isReadOnly && reader.count == 2000)
        let size = (try bytes(ofFile: file).count - 64) / 2000
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: file))
        try handle.truncate(atOffset: UInt64(64 + 10 * size + 5))
        try handle.close()
        for cache in [writer, reader] {
            for seed in 0..<10 { #expect(cache.vector(for: digest(seed)) == vector(seed)) }
            for seed in 10..<2000 { #expect(cache.vector(for: digest(seed)) == nil) }
        }
        // What is stored after that is never read as another image.
        writer.add(vector(5000), for: digest(5000))
        try writer.close()
        let found = writer.vector(for: digest(5000))
        #expect(found == nil || found == vector(5000))
    }

    @Test func removedCacheIsMadeAgain() throws {
        try fill(3)
        let cache = try open()
        try FileManager.default.removeItem(atPath: file)
        #expect(cache.vector(for: digest(1)) == vector(1))
        cache.add(vector(7), for: digest(7))
        try cache.close()
        let new = try open()
        #expect(new.count == 0 && !new.isReadOnly)
    }

    @Test func threadsMayShareIt() async throws {
        let cache = try open()
        let (vectors, digests) = ((0..<50).map(vector), (0..<50).map(digest))
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for (vector, digest) in zip(vectors, digests) {
                        cache.add(vector, for: digest)
                        #expect(cache.vector(for: digest) == vector, "\(task)")
                        cache.commit()
                    }
                }
            }
        }
        #expect(cache.count == 50)
    }
}
