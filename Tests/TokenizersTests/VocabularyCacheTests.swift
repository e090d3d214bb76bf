import TestSupport
import Testing

@testable import Files
@testable import Tokenizers

#if canImport(Glibc)
    import Glibc
#elseif canImport(Darwin)
    import Darwin
#endif

@Suite struct VocabularyCacheTests {
    private let folder: TemporaryFolder
    private let path: String
    private var cache: String { "\(folder.path)/cache/tokenizers" }

    init() throws {
        folder = try TemporaryFolder()
        path = try folder.copy(Fixtures.path("tokenizers/bpe.model"), as: "tokenizer.model")
    }

    private func ids(cacheFolder: String? = nil) throws -> [Int] {
        try SentencePieceTokenizer(
            contentsOf: path, format: .siglip2, cacheFolder: cacheFolder ?? cache
        ).encode("A photo of a cat, the quick_brown fox")
    }

    /// The paths of the files in the cache with a suffix.
    private func files(_ suffix: String) throws -> [String] {
        try folderListing(cache).filter { $0.hasSuffix(suffix) }.map { "\(cache)/\($0)" }
    }

    private func folderListing(_ path: String) throws -> [String] {
        var names: [String] = []
        let directory = try #require(opendir(path))
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            names.append(
                withUnsafeBytes(of: entry.pointee.d_name) { name in
                    String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        return names
    }

    @Test func secondUseReadsTheCompactForm() throws {
        let expected = try ids()
        let cached = try #require(files(".vocabulary").first)
        let before = try FileStatus(path: Array(cached.utf8))
        #expect(try ids() == expected)
        #expect(try FileStatus(path: Array(cached.utf8)).inode == before.inode)
        #expect(try files(".vocabulary").count == 1)
    }

    @Test func otherRulesHaveTheirOwnForm() throws {
        _ = try ids()
        _ = try SentencePieceTokenizer(
            contentsOf: path, format: .siglip2, rules: .huggingFace, cacheFolder: cache)
        #expect(try files(".vocabulary").count == 2)
    }

    @Test func damagedCacheIsRebuilt() throws {
        let expected = try ids()
        let cached = try #require(files(".vocabulary").first)
        let whole = try bytes(ofFile: cached)
        var damaged: [[UInt8]] = [[], Array(whole[..<100]), whole + [0], Array(whole.dropLast())]
        for position in [0, 8, 16, 24, 40, 60, 100, 180, 200, 223, 224, 300, whole.count - 1] {
            var bytes = whole
            bytes[position] ^= 0x41
            damaged.append(bytes)
        }
        for bytes in damaged {
            try writeFile(bytes, to: Array(cached.utf8))
            #expect(try ids() == expected)
            // The multiplier of the tables is random, so the new form differs from the old one.
            #expect(try TestSupport.bytes(ofFile: cached) != bytes)
        }
    }

    @Test func changedFileIsReadAgain() throws {
        _ = try ids()
        try folder.write(
            "tokenizer.model", bytes(ofFile: Fixtures.path("tokenizers/bpe.model")) + [0x2A, 0])
        _ = try ids()
        #expect(try files(".vocabulary").count == 2)
    }

    @Test func damagedRecordIsIgnored() throws {
        let expected = try ids()
        let record = try #require(files(".source").first)
        try writeFile([UInt8](repeating: 0x20, count: 90), to: Array(record.utf8))
        #expect(try ids() == expected)
    }

    @Test func worksWithoutAWritableCache() throws {
        let expected = try ids()
        try folder.write("file", [])
        #expect(try ids(cacheFolder: "\(folder.path)/file") == expected)
        #expect(try ids(cacheFolder: "/proc/nowhere") == expected)
    }
}
