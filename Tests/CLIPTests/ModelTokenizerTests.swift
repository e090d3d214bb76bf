import TestSupport
import Testing

@testable import CLIP

/// Tests which file a model's tokenizer is read from, and whether it is of the model.
@Suite struct ModelTokenizerTests {
    private let folder: TemporaryFolder
    private let text: CLIPConfiguration.Text

    init() throws {
        folder = try TemporaryFolder()
        text = try CLIPModel(path: Fixtures.path("models/siglip-tokenizer")).configuration.text
    }

    /// Copies a file of Tests/Fixtures/tokenizers beside the weights.
    private func install(_ file: String, as name: String) throws {
        try folder.copy(Fixtures.path("tokenizers/\(file)"), as: name)
    }

    private func tokenizer(
        _ vocabulary: CLIPConfiguration.Vocabulary, rows: Int, _ rules: Tokenizer.Rules,
        cleaning: SentencePieceTokenizer.Format.Cleaning? = nil, keepsAspectRatio: Bool = false
    ) -> ModelTokenizer {
        var text = text
        text.vocabulary = vocabulary
        text.vocabularySize = rows
        return ModelTokenizer(
            text, folder: folder.path + "/", rules: rules, cleaning: cleaning,
            keepsAspectRatio: keepsAspectRatio)
    }

    @Test func fileThatTheReferenceReadsIsRead() throws {
        try install("unigram.json", as: "tokenizer.json")
        #expect(tokenizer(.siglip, rows: 625, .huggingFace).path?.hasSuffix(".json") == true)
        try install("unigram.model", as: "spiece.model")
        let slow = tokenizer(.siglip, rows: 625, .huggingFace)
        #expect(slow.path == folder.path + "/spiece.model")
        #expect(slow.with(rules: .openCLIP).path == folder.path + "/tokenizer.json")
        #expect(slow.with(rules: .bigVision).path == folder.path + "/spiece.model")
        #expect(try slow.value.encode("A CAT!") == slow.value.encode("a cat"))
    }

    @Test func tokenizerOfAnotherModelIsAnError() throws {
        try install("unigram.model", as: "spiece.model")
        for rows in [32_000, 626, 500] {
            #expect(
                throws: CLIPError.malformedTokenizer(
                    path: folder.path + "/spiece.model", part: "the vocabulary",
                    expected: "\(rows) ids, one for each row of the model's token table",
                    found: "625")
            ) { try tokenizer(.siglip, rows: rows, .openCLIP).value }
        }
        // The vocabulary mC4 has 100 ids without a row.
        let mC4 = tokenizer(.siglipMultilingual, rows: 525, .openCLIP)
        #expect(try mC4.value.vocabularySize == 625)
    }

    @Test func lowerCaseDependsOnTheTokenizersClass() throws {
        try install("bpe.model", as: "tokenizer.model")
        var siglip2 = tokenizer(.siglip2, rows: 656, .huggingFace)
        #expect(siglip2.variant == "hf")
        #expect(try siglip2.value.encode("A CAT") == siglip2.value.encode("a cat"))
        for name in ["GemmaTokenizer", "GemmaTokenizerFast", "PreTrainedTokenizerFast"] {
            try folder.write(
                "tokenizer_config.json", "{\"tokenizer_class\": \"\(name)\"}".utf8)
            siglip2 = tokenizer(.siglip2, rows: 656, .huggingFace)
            #expect(siglip2.variant == "hf, cased" && siglip2.rules == .huggingFace)
            #expect(try siglip2.value.encode("A CAT") != siglip2.value.encode("a cat"))
            #expect(try siglip2.value.encode("a <eos> b") == [582, 580, 1, 377])
            // transformers knows that the class of NaFlex models is wrong.
            let naFlex = tokenizer(.siglip2, rows: 656, .huggingFace, keepsAspectRatio: true)
            #expect(naFlex.variant == "hf")
            #expect(try naFlex.value.encode("A CAT") == naFlex.value.encode("a cat"))
        }
    }

    @Test func cleaningOfTheConfigurationIsFollowed() throws {
        try install("unigram.json", as: "tokenizer.json")
        let own = try tokenizer(.siglip, rows: 625, .openCLIP).value
        let other = tokenizer(.siglip, rows: 625, .openCLIP, cleaning: .whitespace)
        #expect(own.encode("A CAT!") == own.encode("a cat"))
        #expect(try other.value.encode("A CAT!") != own.encode("a cat"))
        #expect(other.variant == "open_clip, whitespace")
    }
}
