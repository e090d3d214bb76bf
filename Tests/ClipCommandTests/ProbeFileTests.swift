import CLIP
import CLIPAnalysis
import CLIPSearch
import Files
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests the files of probes: exact numbers, damage, and other models.
@Suite struct ProbeFileTests {
    private let folder: TemporaryFolder
    private let model: CLIPModel
    private var path: String { folder.path + "/p.probe.safetensors" }

    init() throws {
        folder = try TemporaryFolder()
        model = try CLIPModel(path: Fixtures.path("models/seeded"), threads: 1)
    }

    private var dimension: Int { model.configuration.embeddingDimension }

    private func rows(_ count: Int, seed: Int) throws -> Embeddings {
        try Embeddings(
            values: (0..<(count * dimension)).map { sin(Float($0 * 7 + seed)) * 3 },
            dimension: dimension)
    }

    private func probe(
        _ method: StoredProbe.Method,
        _ decoding: IndexedDecoding? = IndexedDecoding(
            stored: "hf, orientation false, 16 bits false, truncated true, smallest side 32")
    ) throws -> StoredProbe {
        let content: StoredProbe.Content
        let classifier = try LinearClassifier(
            weights: rows(3, seed: 1), biases: [0.1, -0.0, .leastNonzeroMagnitude])
        switch method {
        case .linear: content = .linear(classifier)
        case .zslinear: content = .zeroShotLinear(classifier)
        case .tip:
            let examples = try LabelledVectors(
                rows(4, seed: 2), labels: [2, 0, 1, 2], classCount: 3)
            content = .tipAdapter(
                try .init(
                    examples: examples, labelEmbeddings: rows(3, seed: 3), alpha: 0.3, beta: 7))
        }
        return StoredProbe(
            content: content, classNames: ["a \"cat\"", "Hündin\n", "a \"cat\""],
            templates: method == .linear ? [] : ["a photo of a {}."],
            model: ModelRecord(model, name: "seeded"), decoding: decoding)
    }

    @Test(arguments: StoredProbe.Method.allCases)
    func filesKeepEverything(_ method: StoredProbe.Method) throws {
        let probe = try probe(method)
        try probe.write(to: path)
        let read = try StoredProbe.read(FilePath(path))
        #expect(read.method == method)
        #expect(read.classNames == probe.classNames)
        #expect(read.templates == probe.templates)
        #expect(read.model == probe.model)
        #expect(read.decoding == probe.decoding && read.decoding?.rules == .huggingFace)
        #expect(read.fingerprint == model.fingerprint)
        switch (read.content, probe.content) {
        case (.linear(let found), .linear(let expected)),
            (.zeroShotLinear(let found), .zeroShotLinear(let expected)):
            #expect(found.weights.map(\.bitPattern) == expected.weights.map(\.bitPattern))
            #expect(found.biases.map(\.bitPattern) == expected.biases.map(\.bitPattern))
        case (.tipAdapter(let found), .tipAdapter(let expected)):
            #expect(found.examples == expected.examples)
            #expect(found.adapter == expected.adapter)
        default: Issue.record("\(read.method) instead of \(method)")
        }
        // The same content gives the same bytes.
        let before = try bytes(ofFile: path)
        try read.write(to: path)
        #expect(try bytes(ofFile: path) == before)
    }

    @Test(arguments: StoredProbe.Method.allCases)
    func everyChangedByteIsFound(_ method: StoredProbe.Method) throws {
        try probe(method).write(to: path)
        let whole = try bytes(ofFile: path)
        for place in stride(from: 0, to: whole.count, by: 11) {
            var changed = whole
            changed[place] ^= 4
            try folder.write("changed.safetensors", changed)
            #expect(throws: ProbeFileError.self, "byte \(place)") {
                try StoredProbe.read(FilePath(folder.path + "/changed.safetensors"))
            }
        }
        for count in stride(from: 0, to: whole.count, by: 31) {
            try folder.write("cut.safetensors", whole[..<count])
            #expect(throws: ProbeFileError.self, "\(count) bytes") {
                try StoredProbe.read(FilePath(folder.path + "/cut.safetensors"))
            }
        }
    }

    @Test func logitsTakeEmbeddingsOfAnyNorm() throws {
        let images = try rows(2, seed: 9)
        for method in [StoredProbe.Method.zslinear, .tip] {
            let probe = try probe(method)
            let (a, b) = (
                try probe.logits(of: images), try probe.logits(of: images.normalized())
            )
            #expect(worstDifference(a.joined(), b.joined(), limit: 1e-3) == nil, "\(method)")
        }
    }

    @Test func otherModelsAreRefused() throws {
        let probe = try probe(.linear)
        try probe.check(model, name: "seeded", of: "p")
        let other = try CLIPModel(path: Fixtures.path("models/vit"), threads: 1)
        let error = try #require(throws: ProbeFileError.self) {
            try probe.check(other, name: "vit", of: "p")
        }
        #expect("\(error)".hasPrefix("the probe p was trained with the model seeded"), "\(error)")
    }

    @Test func halvesKeepEveryExample() throws {
        let labels = [0, 0, 0, 0, 0, 1, 1, 2, 0, 1]
        let examples = try LabelledVectors(
            rows(labels.count, seed: 4), labels: labels, classCount: 3)
        for share in [0.01, 0.2, 0.5, 0.99] {
            let (training, validation) = try ProbeTraining.divided(examples, share: share, seed: 3)
            #expect((training.labels + validation.labels).sorted() == labels.sorted())
            #expect(Set(training.labels) == [0, 1, 2], "\(share)")
            #expect(Set(validation.labels) == [0, 1], "\(share)")
            let again = try ProbeTraining.divided(examples, share: share, seed: 3)
            #expect(again.training == training)
        }
    }
}
