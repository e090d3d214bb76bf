import TestSupport
import Testing

@testable import Files
@testable import Tokenizers

extension JSONValue {
    /// The strings of an array.
    fileprivate var strings: [String]? { array?.compactMap(\.string) }
}

/// The ids that sentencepiece, tokenizers, transformers and open_clip give, from
/// Scripts/parity/goldens_tokenizers.py.
struct TokenizerGoldens {
    struct Result: CustomTestStringConvertible {
        let file: String
        let kind: String
        let rules: String
        let ids: [[Int]]

        var testDescription: String { "\(file), \(kind), \(rules)" }

        var format: SentencePieceTokenizer.Format {
            switch kind {
            case "siglip2": .siglip2
            case "metaclip2": .metaCLIP2
            default: .siglip
            }
        }
    }

    let texts: [String]
    let json: JSONValue

    init() throws {
        json = try JSONValue(parsing: bytes(ofFile: Fixtures.path("tokenizers/ids.json")))
        texts = try #require(json["texts"]?.strings)
    }

    var results: [Result] {
        (json["results"]?.array ?? []).map { result in
            Result(
                file: result["file"]?.string ?? "", kind: result["kind"]?.string ?? "",
                rules: result["rules"]?.string ?? "",
                ids: (result["ids"]?.array ?? []).map { $0.array?.compactMap(\.integer) ?? [] })
        }
    }
}

@Suite struct SentencePieceTests {
    private static let results = (try? TokenizerGoldens().results) ?? []

    @Test func thereAreGoldens() { #expect(Self.results.count == 12) }

    @Test(arguments: results) func idsAreThoseOfTheReference(
        _ result: TokenizerGoldens.Result
    ) throws {
        let texts = try TokenizerGoldens().texts
        let rules = try #require(SentencePieceTokenizer.Rules(rawValue: result.rules))
        let file = try bytes(ofFile: Fixtures.path("tokenizers/\(result.file)"))
        let tokenizer = try SentencePieceTokenizer(
            bytes: result.kind == "metaclip2" ? Self.likeXLMRoBERTa(file) : file,
            format: result.format, rules: rules)
        try #require(texts.count == result.ids.count)
        let isSlow = result.kind == "siglip" && result.rules == "hf"
        for (text, expected) in zip(texts, result.ids) {
            let found = isSlow ? tokenizer.row(of: text) : tokenizer.encode(text)
            #expect(found == expected, "\(text.debugDescription)")
        }
    }

    /// Returns a Unigram model with the first three pieces of XLM-RoBERTa's vocabularies.
    static func likeXLMRoBERTa(_ model: [UInt8]) -> [UInt8] {
        var file = ProtobufWriter()
        file.piece("<unk>", type: 2)
        file.piece("<s>", type: 3)
        file.piece("</s>", type: 3)
        // Each piece is a field of less than 128 bytes.
        var start = 0
        for _ in 0..<3 { start += 2 + Int(model[start + 1]) }
        return file.bytes + model[start...]
    }

    /// Returns the ids that the reference gives with a file, kind of model and rules.
    private static func ids(_ file: String, _ kind: String, _ rules: String) throws -> [[Int]] {
        let result = results.first { $0.file == file && $0.kind == kind && $0.rules == rules }
        return try #require(result).ids
    }

    /// GemmaTokenizer and Siglip2Tokenizer give the same ids from both files.
    @Test(arguments: ["bpe.model", "bpe.json"]) func lowerCaseDependsOnTheTokenizersClass(
        _ file: String
    ) throws {
        let texts = try TokenizerGoldens().texts
        for (convertsToLowerCase, expected) in [
            (true, try Self.ids("bpe.model", "siglip2", "hf")),
            (false, try Self.ids("bpe.json", "siglip2", "sentencepiece")),
        ] {
            var format = SentencePieceTokenizer.Format.siglip2
            format.convertsToLowerCase = convertsToLowerCase
            let tokenizer = try SentencePieceTokenizer(
                contentsOf: Fixtures.path("tokenizers/\(file)"), format: format,
                rules: .huggingFace)
            for (text, ids) in zip(texts, expected) {
                #expect(tokenizer.encode(text) == ids, "\(text.debugDescription)")
            }
        }
    }

    @Test func textsForTokenizerJSONOfSigLIPAreCleanedLikeThoseForItsModel() throws {
        let json = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/unigram.json"), format: .siglip,
            rules: .huggingFace)
        let model = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/unigram.model"), format: .siglip,
            rules: .huggingFace)
        for text in ["A Photo, of a Cat!", "hello_world!", "don't  stop", "", "the Quick"] {
            #expect(json.row(of: text) == model.row(of: text), "\(text)")
        }
        #expect(
            json.encode("A Photo, of a Cat!") == [262, 260, 399, 271, 291, 260, 291, 368, 262, 478])
    }

    @Test func cleaningOfOpenCLIPCanBeChosen() throws {
        var format = SentencePieceTokenizer.Format.siglip
        #expect(format.cleaning == .canonicalize)
        #expect(SentencePieceTokenizer.Format.metaCLIP2.cleaning == .whitespace)
        format.cleaning = .whitespace
        let path = Fixtures.path("tokenizers/unigram.json")
        let tokenizer = try SentencePieceTokenizer(contentsOf: path, format: format)
        let plain = try SentencePieceTokenizer(
            contentsOf: path, format: format, rules: .sentencePiece)
        let text = "A Photo,  of a Cat!"
        #expect(tokenizer.encode(text) == plain.encode("A Photo, of a Cat!"))
        format.cleaning = .canonicalize
        let other = try SentencePieceTokenizer(contentsOf: path, format: format)
        #expect(other.encode(text) == plain.encode("a photo of a cat"))
    }

    @Test func fileThatTheReferenceReadsIsPreferred() {
        func first(_ rows: Int, _ rules: SentencePieceTokenizer.Rules) -> String? {
            SentencePieceTokenizer.fileNames(.init(tokenRows: rows), rules).first
        }
        #expect(first(32_000, .huggingFace) == "spiece.model")
        #expect(first(250_000, .huggingFace) == "spiece.model")
        #expect(first(32_000, .openCLIP) == "tokenizer.json")
        #expect(first(256_000, .huggingFace) == "tokenizer.model")
        #expect(first(901_629, .openCLIP) == "sentencepiece.bpe.model")
        #expect(first(1000, .openCLIP) == "tokenizer.json")
        for rules in SentencePieceTokenizer.Rules.allCases {
            #expect(Set(SentencePieceTokenizer.fileNames(.siglip, rules)).count == 4)
        }
    }

    @Test func textsAreCleanedAsByOpenCLIP() throws {
        let goldens = try TokenizerGoldens()
        for (key, clean) in [
            ("canonicalized", canonicalized), ("whitespace", withCleanWhitespace),
        ] {
            let expected = try #require(goldens.json[key]?.strings)
            try #require(expected.count == goldens.texts.count)
            for (text, expected) in zip(goldens.texts, expected) {
                let found = clean(text).utf8
                #expect(found == Array(expected.utf8), "\(key), \(text.debugDescription)")
            }
        }
    }

    @Test(arguments: ["unigram", "bpe"]) func idsAreDecoded(_ name: String) throws {
        let goldens = try TokenizerGoldens()
        let expected = try #require(goldens.json["decoded"]?[name]?.strings)
        let tokenizer = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/\(name).model"), format: .siglip,
            rules: .sentencePiece)
        for (text, expected) in zip(goldens.texts, expected) {
            let found = tokenizer.decode(tokenizer.encode(text))
            #expect(Array(found.utf8) == Array(expected.utf8), "\(text.debugDescription)")
        }
        #expect(tokenizer.decode([-1, 1_000_000, 0, 1]).isEmpty)
    }

    @Test func rowsHaveTheFrameOfTheModel() throws {
        let path = Fixtures.path("tokenizers/unigram.model")
        let siglip = try SentencePieceTokenizer(contentsOf: path, format: .siglip)
        let ids = siglip.encode("a cat")
        #expect(siglip.row(of: "a cat") == ids + [1])
        #expect(
            siglip.padded(siglip.row(of: "a cat")) == ids + [1]
                + Array(repeating: 1, count: 63 - ids.count))
        #expect(siglip.row(of: "") == [1])
        let long = String(repeating: "cat ", count: 100)
        #expect(siglip.row(of: long) == siglip.encode(long) + [1])
        let metaCLIP = try SentencePieceTokenizer(
            bytes: Self.likeXLMRoBERTa(bytes(ofFile: path)), format: .metaCLIP2)
        #expect(metaCLIP.row(of: "") == [0, 2])
        #expect(metaCLIP.padded([0, 2], to: 4) == [0, 2, 1, 1])
        let siglip2 = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/bpe.model"), format: .siglip2)
        #expect(siglip2.padded(siglip2.row(of: ""), to: 3) == [1, 0, 0])
        #expect(siglip2.vocabularySize > 600)
    }

    @Test(
        .timeLimit(.minutes(5)),
        arguments: ["unigram.model", "bpe.model", "unigram.json", "bpe.json"])
    func longTextsTakeLinearTime(_ file: String) throws {
        let tokenizer = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/\(file)"), format: .siglip2,
            rules: .sentencePiece)
        for part in ["a", "ab", " ", "\n", "\u{2581}", "the ", "字", "e\u{301}", "<h1>", "</s>"] {
            let length = ["a", "ab"].contains(part) ? 100_000 : 10_000
            let text = String(repeating: part, count: length / part.utf8.count)
            let ids = tokenizer.encode(text)
            #expect(ids.allSatisfy((0..<tokenizer.vocabularySize).contains), "\(part)")
        }
    }

    @Test func manyTasksShareATokenizer() async throws {
        let tokenizer = try SentencePieceTokenizer(
            contentsOf: Fixtures.path("tokenizers/bpe.model"), format: .siglip2)
        let expected = tokenizer.encode("a photo of a cat")
        await withTaskGroup(of: [Int].self) { group in
            for _ in 0..<64 { group.addTask { tokenizer.encode("a photo of a cat") } }
            for await ids in group { #expect(ids == expected) }
        }
    }

    @Test func unusedPiecesAreTakenApart() throws {
        var file = ProtobufWriter()
        file.piece("<pad>", type: 3)
        file.piece("</s>", type: 3)
        file.piece("<unk>", type: 2)
        for letter in ["a", "b", "c"] { file.piece(letter, -9) }
        file.piece("ab", -1)
        file.piece("abc", -2, type: 5)
        file.trainer(algorithm: 2)
        file.normalizer(dummyPrefix: false)
        let tokenizer = try SentencePieceTokenizer(
            bytes: file.bytes, format: .siglip, rules: .sentencePiece)
        #expect(tokenizer.encode("abc") == [6, 5])
        #expect(tokenizer.encode("aab") == [3, 6])
        #expect(tokenizer.encode("axxb") == [3, 2, 4])
    }

    @Test func userDefinedPiecesAreMatchedWhole() throws {
        for algorithm in [1, 2] {
            var file = ProtobufWriter()
            file.piece("<pad>", type: 3)
            file.piece("</s>", type: 3)
            file.piece("<unk>", type: 2)
            for letter in ["a", "b", "c", "d"] { file.piece(letter, -2) }
            file.piece("cd", -1)
            file.piece("bc", 0, type: 4)
            file.piece("bcb", 0, type: 4)
            file.trainer(algorithm: algorithm)
            file.normalizer(dummyPrefix: false)
            let tokenizer = try SentencePieceTokenizer(
                bytes: file.bytes, format: .siglip, rules: .sentencePiece)
            #expect(tokenizer.encode("abcd") == [3, 8, 6], "algorithm \(algorithm)")
            #expect(tokenizer.encode("abcbcd") == [3, 9, 7], "algorithm \(algorithm)")
        }
    }
}
