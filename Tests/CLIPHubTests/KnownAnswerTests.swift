import CLIP
import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPHub

/// Tests the published outputs that `clip verify` compares with those of weights.
@Suite struct KnownAnswerTests {
    @Test func allEntriesAreAnswersOfKnownModels() throws {
        let answers = KnownAnswer.all
        #expect(
            answers.count == Registry.answers.reduce(0) { $0 + ($1["models"]?.array?.count ?? 0) })
        #expect(Set(answers.map { $0.model + $0.description }).count == answers.count)
        for name in KnownAnswer.models where name != "tiny" {
            let model = try #require(
                HubModel.named(name) ?? HubModel.inRepository(name), "\(name) is unknown")
            let names = [model.name, model.transformersRepository, model.official?.name]
            #expect(names.contains { $0 == name }, "\(name)")
            #expect(KnownAnswer.model(named: name) == name)
        }
        for answer in answers {
            #expect(answer.tolerance >= 0 && answer.relativeTolerance >= 0)
            #expect(!answer.source.isEmpty && !answer.description.isEmpty)
        }
    }

    @Test(
        arguments: [
            ("vit-b/32", "ViT-B/32"), ("openai/clip-vit-base-patch32", "ViT-B/32"),
            ("timm/ViT-B-16-SigLIP2", "ViT-B-16-SigLIP2:webli"),
            ("ViT-B-16-SigLIP2", "ViT-B-16-SigLIP2:webli"),
            ("hf-hub:google/siglip2-base-patch16-224", "google/siglip2-base-patch16-224"),
            ("google/siglip2-base-patch16-naflex", "google/siglip2-base-patch16-naflex"),
            (
                "ViT-H-14-worldwide-quickgelu:metaclip2_worldwide",
                "ViT-H-14-worldwide:metaclip2_worldwide"
            ),
            // Other rules, and so other embeddings than those of the open_clip name.
            ("facebook/metaclip-2-worldwide-huge-quickgelu", nil),
            ("PE-Core-B-16:meta", nil), ("owner/name", nil),
        ] as [(String, String?)])
    func answersAreFoundByEveryNameOfAModel(name: String, model: String?) {
        #expect(KnownAnswer.model(named: name) == model)
    }

    @Test(
        arguments: [
            #"{"what": "text", "values": [1], "tolerance": 1}"#,
            #"{"source": "a", "what": "colour", "values": [1], "tolerance": 1}"#,
            #"{"source": "a", "what": "text", "tolerance": 1}"#,
            #"{"source": "a", "what": "text", "values": [1]}"#,
            #"{"source": "a", "what": "text", "values": [[]], "tolerance": 1}"#,
            #"{"source": "a", "what": "tokens", "rules": "b", "values": [1], "tolerance": 1}"#,
            #"{"source": "a", "what": "image", "circles": [1], "values": [1], "tolerance": 1}"#,
            #"{"source": "a", "what": "image", "circles": [[9, 9]], "sum": [1], "tolerance": 1}"#,
        ])
    func incompleteEntriesAreRejected(json: String) throws {
        #expect(KnownAnswer(try JSONValue(parsing: Array(json.utf8)), model: "m") == nil)
    }

    // MARK: Comparison

    private static func answer(_ json: String) throws -> KnownAnswer {
        let entry = try JSONValue(parsing: Array(#"{"source": "a", \#(json)}"#.utf8))
        return try #require(KnownAnswer(entry, model: "m"))
    }

    @Test func everyIDOfATextIsCompared() throws {
        let model = try CLIPModel(path: Fixtures.path("models/seeded"))
        func outcome(_ ids: String) throws -> KnownAnswer.Outcome {
            try Self.answer(
                #""what": "tokens", "texts": ["a cat", ""], "tolerance": 0, "values": [\#(ids)]"#
            ).check(model)
        }
        let right = try outcome("[49406, 320, 2368, 49407], [49406, 49407]")
        #expect(right.isRight && right.difference == 0)
        #expect(right.found == [49406, 320, 2368, 49407, 49406, 49407])
        let wrong = try outcome("[49406, 320, 2369, 49407], [49406, 49407]")
        #expect(!wrong.isRight && wrong.difference == 1)
        // As many ids, but in other rows; fewer ids of the first text.
        #expect(try !outcome("[49406, 320, 2368], [49407, 49406, 49407]").isRight)
        let shorter = try outcome("[49406, 320, 2368], [49406, 49407]")
        #expect(!shorter.isRight && shorter.difference == .infinity)
    }

    @Test func biasedLogitsOfDrawingsAreCompared() throws {
        for name in ["siglip", "siglip2-naflex"] {
            let model = try CLIPModel(path: Fixtures.path("models/\(name)"))
            let bias = try #require(model.logitBias, "\(name) has no bias")
            let circles = [(40, 40), (64, 48)].compactMap(CircleDrawing.init)
            let rows = [[3, 4, 1], [5, 1]]
            let cosines = try model.encode(tokens: rows).cosineSimilarities(
                to: model.encode(images: circles.map { try $0.image() }))
            let logits = cosines.joined().map { Double($0 * model.logitScale + bias) }
            func outcome(_ change: Double, _ relative: Double) throws -> KnownAnswer.Outcome {
                try Self.answer(
                    """
                    "what": "logits", "ids": \(rows), "circles": [[40, 40], [64, 48]], \
                    "values": [[\(logits[0] + change), \(logits[1])], [\(logits[2]), \
                    \(logits[3])]], "tolerance": 1e-5, "relative": \(relative)
                    """
                ).check(model)
            }
            #expect(try outcome(0, 0).isRight, "\(name)")
            #expect(try !outcome(0.001 * abs(logits[0]), 0).isRight, "\(name)")
            #expect(try outcome(0.001 * abs(logits[0]), 0.002).isRight, "\(name)")
            let scale = try Self.answer(
                #""what": "logit scale", "values": [\#(model.logitScale)], "tolerance": 1e-4"#)
            #expect(try scale.check(model).isRight)
            let other = try Self.answer(
                #""what": "logit bias", "values": [\#(bias + 1)], "tolerance": 0.5"#)
            #expect(try !other.check(model).isRight)
        }
        let plain = try CLIPModel(path: Fixtures.path("models/seeded"))
        let bias = try Self.answer(#""what": "logit bias", "values": [0], "tolerance": 1"#)
        #expect(try !bias.check(plain).isRight)
    }

    @Test func lastNumbersOfANormalisedEmbeddingAreCompared() throws {
        let model = try CLIPModel(path: Fixtures.path("models/seeded"))
        let row = try model.encode(texts: ["a cat"]).normalized().values
        let first = row.count - 3
        let values = row[first...].map { "\($0)" }.joined(separator: ", ")
        let answer = try Self.answer(
            """
            "what": "text", "normalized": true, "texts": ["a cat"], "first": \(first), \
            "values": [[\(values)]], "tolerance": 1e-6
            """)
        let outcome = try answer.check(model)
        #expect(outcome.isRight, "expected \(outcome.expected), found \(outcome.found)")
        #expect(outcome.found.count == 3)
    }

    // MARK: Drawings

    private struct Golden: Decodable {
        let width: Int
        let height: Int
        let sha256: String
        let rows: [String]?
    }

    @Test func circlesEqualThoseOfPillow() throws {
        let file = URL(fileURLWithPath: Fixtures.path("images/circles.json"))
        let goldens = try JSONDecoder().decode([Golden].self, from: Data(contentsOf: file))
        #expect(goldens.count == 8)
        for golden in goldens {
            let circle = try #require(CircleDrawing(width: golden.width, height: golden.height))
            if let rows = golden.rows { #expect(Self.runs(circle) == rows, "\(circle)") }
            #expect(hexadecimal(sha256(circle.pixels)) == golden.sha256, "\(circle)")
            let image = try circle.image()
            #expect((image.width, image.height) == (golden.width, golden.height))
        }
    }

    /// Returns the runs of colours of each row, such as "12r3g5b3g11r".
    private static func runs(_ circle: CircleDrawing) -> [String] {
        let pixels = circle.pixels
        return (0..<circle.height).map { y in
            var runs: [(letter: String, count: Int)] = []
            for x in 0..<circle.width {
                let start = 3 * (y * circle.width + x)
                let letter =
                    switch Array(pixels[start..<(start + 3)]) {
                    case [255, 0, 0]: "r"
                    case [0, 128, 0]: "g"
                    case [0, 0, 255]: "b"
                    default: "?"
                    }
                if runs.last?.letter == letter {
                    runs[runs.count - 1].count += 1
                } else {
                    runs.append((letter, 1))
                }
            }
            return runs.map { "\($0.count)\($0.letter)" }.joined()
        }
    }
}
