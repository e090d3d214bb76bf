import Files
import TestSupport
import Testing

@testable import CLIP

/// Tests the scores of a small SigLIP, from texts and image files, and compares them with
/// open_clip's.
@Suite struct ScoreTests {
    private let model: CLIPModel
    private let expected: JSONValue
    private let labels: [String]

    init() throws {
        let folder = Fixtures.path("models/siglip-tokenizer")
        model = try CLIPModel(path: folder)
        expected = try JSONValue(parsing: bytes(ofFile: folder + "/expected.json"))
        labels = try #require(expected["labels"]?.array).compactMap(\.string)
    }

    private func matrix(_ name: String) throws -> [[Double]] {
        try #require(expected[name]?.array).map { try #require($0.array).compactMap(\.number) }
    }

    private func images() throws -> [RGBImage] {
        try #require(expected["images"]?.array).compactMap(\.string).map {
            try RGBImage(contentsOfFile: Fixtures.path("images/\($0)"), options: .reference)
        }
    }

    @Test func tokensAreThoseOfOpenCLIP() throws {
        let found = try labels.map { try model.tokenizer.tokenize($0, contextLength: 24) }
        #expect(try found.map { $0.map(Double.init) } == matrix("tokens"))
        #expect(try model.tokenizer.rules == .openCLIP)
    }

    @Test func scoresAreThoseOfOpenCLIP() throws {
        let cosines = try model.encode(images: images())
            .cosineSimilarities(to: model.encode(texts: labels))
        let sigmoids = try cosines.map { try #require(model.sigmoidProbabilities(ofCosines: $0)) }
        for (name, found) in [
            ("cosines", cosines), ("logits", cosines.map { model.logits(ofCosines: $0) }),
            ("sigmoids", sigmoids),
            ("probabilities", cosines.map { model.probabilities(ofCosines: $0) }),
        ] {
            let wanted = try matrix(name)
            #expect(
                worstDifference(found.flatMap(\.self), wanted.flatMap(\.self), limit: 1e-5)
                    == nil, "\(name)")
        }
        #expect(model.logitBias == -1.5)
    }

    @Test func predictionsHaveLogitsWithTheBiasAndSigmoids() throws {
        let classifier = try ZeroShotClassifier(model: model, labels: labels)
        for (row, predictions) in try classifier.classify(images()).enumerated() {
            #expect(predictions.count == labels.count)
            #expect(predictions.map(\.probability) == predictions.map(\.probability).sorted(by: >))
            for found in predictions {
                let column = try #require(labels.firstIndex(of: found.label))
                let wanted = try ["cosines", "logits", "sigmoids", "probabilities"].map {
                    try matrix($0)[row][column]
                }
                let sigmoid = try #require(found.sigmoid)
                #expect(
                    worstDifference(
                        [found.cosine, found.logit, sigmoid, found.probability], wanted,
                        limit: 1e-5) == nil, "\(found.label), image \(row)")
            }
        }
    }

    @Test func biasIsAddedToLogits() throws {
        let model = try CLIPModel(path: Fixtures.path("models/siglip"))
        #expect(model.logitBias == -3.5)
        let cosines: [Float] = [-1, 0, 0.25, 1]
        #expect(
            model.logits(ofCosines: cosines) == cosines.map { model.logitScale * $0 - 3.5 })
    }

    /// The bits of models without a bias are those of the product.
    @Test func modelsWithoutABiasHaveNoSigmoid() throws {
        let model = try CLIPModel(path: Fixtures.path("models/seeded"))
        let cosines: [Float] = [0.3, -0.0, -0.2]
        #expect(model.logitBias == nil)
        #expect(model.sigmoidProbabilities(ofCosines: cosines) == nil)
        #expect(
            model.logits(ofCosines: cosines).map(\.bitPattern)
                == cosines.map { (model.logitScale * $0).bitPattern })
        let predictions = try ZeroShotClassifier(model: model, labels: ["cat", "dog"])
            .classify(images()[0])
        #expect(predictions.allSatisfy { $0.sigmoid == nil })
        #expect(predictions.allSatisfy { $0.logit == model.logitScale * $0.cosine })
    }

    @Test func sigmoidsOfExtremeLogitsAreFinite() throws {
        let found = try #require(model.sigmoidProbabilities(ofCosines: [-1e6, -12, 12, 1e6]))
        #expect(found[0] == 0 && found[3] == 1)
        #expect(found[1] > 0 && found[1] < 1e-40)
        #expect(found[2] == 1)
    }
}
