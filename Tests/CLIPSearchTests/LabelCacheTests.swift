import Files
import CLIP
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests cached embeddings of labels: their keys, and the handling of existing files.
@Suite struct LabelCacheTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: String { folder.path + "/cache" }

    init() throws {
        folder = try TemporaryFolder()
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 2)
    }

    private func classifier(
        _ labels: [String], _ templates: [String] = ["{}"], truncating: Bool = false,
        model: CLIPModel? = nil
    ) throws -> ZeroShotClassifier {
        try LabelCache(folder: FilePath(path)).classifier(
            model: model ?? self.model, labels: labels, templates: templates,
            truncating: truncating)
    }

    private var files: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }

    @Test func cachedEmbeddingsEqualTheModels() throws {
        let expected = try ZeroShotClassifier(
            model: model, labels: ["a", "b"], templates: ["{}", "the {}"]
        ).labelEmbeddings
        for round in 1...2 {
            let found = try classifier(["a", "b"], ["{}", "the {}"])
            #expect(found.labels == ["a", "b"])
            #expect(
                firstDifference(found.labelEmbeddings.values, expected.values) == nil,
                "round \(round)")
            #expect(try files.count == 1, "round \(round)")
        }
    }

    /// A file with other numbers and a valid checksum is read: nothing is computed.
    @Test func cachedEmbeddingsAreRead() throws {
        _ = try classifier(["a", "b"])
        let name = try #require(files.first)
        let numbers = (0..<32).map { Float($0) - 7 }
        let content = numbers.flatMap { number in
            (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * $0)) }
        }
        let digest = try sha256sum(folder.write("sum", content + name.utf8))
        let sum = stride(from: 0, to: 64, by: 2).compactMap {
            UInt8(digest.dropFirst($0).prefix(2), radix: 16)
        }
        try Data(content + sum).write(to: URL(fileURLWithPath: "\(path)/\(name)"))
        let found = try classifier(["a", "b"]).labelEmbeddings.values
        #expect(firstDifference(found, numbers) == nil)
    }

    @Test func keyDependsOnEverythingThatMatters() throws {
        let calls: [(String, () throws -> ZeroShotClassifier)] = [
            ("labels", { try classifier(["a {}", "b", "c"]) }),
            ("their order", { try classifier(["b", "a {}", "c"]) }),
            ("templates", { try classifier(["a {}", "b", "c"], ["the {}"]) }),
            ("the place between both", { try classifier(["b", "c"], ["{}", "a {}"]) }),
            ("truncation", { try classifier(["a {}", "b", "c"], truncating: true) }),
            (
                "the model",
                {
                    try classifier(
                        ["a", "b"],
                        model: CLIPModel(path: Fixtures.root + "/Weights/tiny.safetensors"))
                }
            ),
        ]
        for (index, call) in calls.enumerated() {
            _ = try call.1()
            #expect(try files.count == index + 1, "\(call.0)")
        }
        for call in calls { _ = try call.1() }
        #expect(try files.count == calls.count)
    }

    @Test func unwritableCacheIsIgnored() throws {
        let file = try folder.write("cache", "not a folder".utf8)
        let expected = try ZeroShotClassifier(
            model: model, labels: ["a", "b"], templates: ["{}"]
        ).labelEmbeddings
        let found = try classifier(["a", "b"]).labelEmbeddings
        #expect(firstDifference(found.values, expected.values) == nil)
        #expect(try bytes(ofFile: file) == Array("not a folder".utf8))
    }

    @Test func tooLongLabelsAreNotCached() throws {
        let long = String(repeating: "a ", count: 100)
        #expect(throws: CLIPError.self) { try classifier([long, "b"]) }
        #expect(!FileManager.default.fileExists(atPath: path))
        #expect(try classifier([long, "b"], truncating: true).labels == [long, "b"])
        #expect(try files.count == 1)
    }
}
