import Foundation
import TestSupport
import Testing

/// Tests commands with a small SigLIP: the scores of `clip zeroshot`, its tokens, and the
/// description of models.
@Suite struct SigLIPCommandTests {
    static let model = Fixtures.path("models/siglip-tokenizer")
    static let image = Fixtures.path("images/rgb.jpg")
    private let folder: TemporaryFolder
    private let expected: [String: Any]
    private let labels: [String]

    init() throws {
        folder = try TemporaryFolder()
        expected = try json(Data(contentsOf: URL(fileURLWithPath: Self.model + "/expected.json")))
        labels = try #require(expected["labels"] as? [String])
    }

    private func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    /// Classifies the first image of the fixture.
    private func zeroshot(_ options: String...) throws -> ClipBinary.Result {
        try clip(["zeroshot", Self.image] + labels + ["--model", Self.model] + options)
            .successful()
    }

    private func info(_ model: String) throws -> [String: Any] {
        try clip(["info", Fixtures.path("models/\(model)"), "--json"]).successful().json()
    }

    @Test func zeroshotPrintsFourScoresAsJSON() throws {
        let result = try zeroshot("--json", "--reference")
        let predictions = try #require(result.json()["predictions"] as? [[String: Any]])
        #expect(predictions.count == labels.count)
        for prediction in predictions {
            let label = try #require(prediction["label"] as? String)
            let column = try #require(labels.firstIndex(of: label))
            for (key, name) in [
                ("probability", "probabilities"), ("sigmoid", "sigmoids"), ("logit", "logits"),
                ("cosine", "cosines"),
            ] {
                let found = try #require(prediction[key] as? Double, "\(key)")
                let wanted = try #require(expected[name] as? [[Double]])[0][column]
                #expect(abs(found - wanted) < 1e-5, "\(key) of \(label)")
            }
        }
    }

    @Test func zeroshotPrintsSigmoidsInATable() throws {
        let lines = try zeroshot("--top", "2", "--reference").text.split(separator: "\n")
        #expect(lines[0] == "probability  sigmoid   cosine  label")
        #expect(lines[1] == "    32.40 %  43.14 %   0.1499  cat")
        #expect(lines[2] == "    27.85 %  39.47 %   0.1313  a man riding bicycle")
    }

    @Test func csvEndsWithTheSigmoid() throws {
        let file = try folder.write("labels", labels.joined(separator: "\n").utf8)
        let result = try clip([
            "zeroshot", Self.image, "--labels", file, "--model", Self.model, "--format", "csv",
            "--top", "1", "--reference",
        ]).successful()
        let lines = result.text.split(separator: "\n")
        #expect(lines[0] == "image,rank,label,probability,logit,cosine,sigmoid")
        let numbers = lines[1].split(separator: ",").suffix(4).compactMap { Double($0) }
        #expect(
            worstDifference(
                numbers, [0.3240220, -0.2761122, 0.1498729, 0.4314072], limit: 1e-5) == nil)
    }

    @Test func modelsWithoutABiasPrintNoSigmoid() throws {
        let arguments = ["zeroshot", Self.image, "a", "b", "--model", CommandTests.model]
        #expect(try !clip(arguments).successful().text.contains("sigmoid"))
        let shown = try clip(arguments + ["--json"]).successful().json()
        let predictions = try #require(shown["predictions"] as? [[String: Any]])
        #expect(Set(predictions[0].keys) == ["label", "probability", "logit", "cosine"])
    }

    @Test func tokenizeUsesTheTokenizerOfTheModel() throws {
        let rows = try #require(expected["tokens"] as? [[Int]])
        let found = try clip(["tokenize", "--model", Self.model] + labels).successful()
        #expect(
            found.text.split(separator: "\n").map(String.init)
                == rows.map { "[" + $0.map(String.init).joined(separator: ",") + "]" })
        let padded = try clip(["tokenize", "cat", "--pad", "--model", Self.model]).successful()
        let ones = [String](repeating: "1", count: 23).joined(separator: ",")
        #expect(padded.text == "[\(rows[2][0]),\(ones)]\n")
        let long = String(repeating: "cat ", count: 30)
        expectFailure(
            try clip(["tokenize", long, "--model", Self.model]), status: 1, says: "24")
    }

    @Test func infoNamesTokenizerRulesAndBias() throws {
        let text = try clip(["info", Self.model]).successful().text
        for line in [
            "layout:       open_clip with timm's image tower",
            "tokenizer:    SigLIP's pieces, \(Self.model)/spiece.model",
            "activation:   gelu, says \(Self.model)/open_clip_config.json",
            "resize:       bicubic, squash", "rules:        open_clip for texts, openai for images",
            "logit bias:   -1.5",
        ] {
            #expect(text.contains(line + "\n"), "\(line) in:\n\(text)")
        }
        #expect(text.contains("not causal, pooled at the last position\n"), "\(text)")

        let object = try info("siglip-tokenizer")
        #expect(object["layout"] as? String == "timm")
        #expect(object["logit_bias"] as? Double == -1.5)
        #expect(object["vocabulary"] as? String == "siglip")
        #expect(object["tokenizer_file"] as? String == Self.model + "/spiece.model")
        #expect(object["tokenizer_rules"] as? String == "open_clip")
        #expect(object["preprocessing_rules"] as? String == "openai")
        #expect(object["causal"] as? Bool == false)
        #expect(object["text_pooling"] as? String == "last")
        #expect(object["patch_limit"] is NSNull)
    }

    @Test func infoNeedsNoTokenizer() throws {
        let path = Fixtures.path("models/siglip2")
        let text = try clip(["info", path]).successful().text
        #expect(text.contains("tokenizer:    SigLIP 2's pieces, missing ("), "\(text)")
        #expect(
            text.contains("activation:   gelu for images, gelu_tanh for texts, says "), "\(text)")
        let object = try info("siglip2")
        #expect(object["tokenizer_file"] is NSNull)
        #expect(object["activation"] as? String == "gelu_tanh")
        #expect(object["image_activation"] as? String == "gelu")
    }

    @Test func infoDescribesPatchesOfAnyAspect() throws {
        let text = try clip(["info", Fixtures.path("models/siglip2-naflex-hf")]).successful().text
        #expect(
            text.contains("resize:       bilinear, patches (at most 25 of 8 x 8 pixels)\n"),
            "\(text)")
        #expect(text.contains("rules:        hf for texts, hf for images\n"), "\(text)")
        let object = try info("siglip2-naflex-hf")
        #expect(object["patch_size"] as? Int == 8)
        #expect(object["patch_limit"] as? Int == 25)
        #expect(object["resize_mode"] as? String == "patches")
    }

    @Test func infoDescribesCLIP() throws {
        let text = try clip(["info", CommandTests.model]).successful().text
        for line in [
            "layout:       OpenAI, open_clip", "tokenizer:    CLIP's byte pairs",
            "activation:   quickgelu, says \(CommandTests.model)/open_clip_config.json",
            "rules:        openai for texts, openai for images", "logit bias:   none",
        ] {
            #expect(text.contains(line + "\n"), "\(line) in:\n\(text)")
        }
        #expect(text.contains("49408 ids, causal, pooled at the largest id\n"), "\(text)")
        let object = try info("metaclip2")
        #expect(object["text_pooling"] as? String == "first_id")
        #expect(object["text_pooling_id"] as? Int == 2)
        #expect(object["logit_bias"] is NSNull)
    }

    @Test func infoReportsABrokenTokenizer() throws {
        try folder.copy(Self.model, as: "broken")
        try folder.write("broken/tokenizer.json", "[]".utf8)
        let path = folder.path + "/broken"
        let result = try clip(["info", path])
        #expect(result.status == 1)
        #expect(result.errors.contains("cannot use the tokenizer \(path)/tokenizer.json"))
        #expect(result.text.contains("tokenizer:    SigLIP's pieces, \(path)/tokenizer.json\n"))
        let object = try clip(["info", path, "--json"])
        #expect(object.status == 1)
        #expect(try (object.json()["tokenizer_error"] as? String)?.contains("JSON") == true)
    }

    @Test func labelWithoutTokensIsReported() throws {
        let arguments = ["zeroshot", Self.image, "!!!", "a cat", "--model", Self.model]
        let result = try clip(arguments).successful()
        #expect(result.errors.contains("the label \"!!!\" has no tokens"), "\(result.errors)")
        #expect(try clip(arguments + ["--quiet"]).successful().errors == "")
    }

    @Test func rulesOfOtherTokenizersAreWrongUsage() throws {
        expectFailure(
            try clip(["tokenize", "-m", Self.model, "--tokenizer", "openai", "cat"]), status: 2,
            says: "expected open_clip, hf, big_vision, sentencepiece")
    }

    @Test func verifyRejectsUnknownReferenceModels() throws {
        expectFailure(
            try clip(["verify", Self.model, "--as", "ViT-X"]), status: 2, says: "--as ViT-X")
        expectFailure(
            try clip(["verify", Self.model, "--as", "ViT-B/32"]), status: 1,
            says: "are not of ViT-B/32")
    }
}
