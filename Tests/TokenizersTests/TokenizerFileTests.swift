import TestSupport
import Testing

@testable import Files
@testable import Tokenizers

/// Malformed and hostile tokenizer files, which must give an error.
@Suite struct TokenizerFileTests {
    private func error(
        of bytes: [UInt8], _ format: SentencePieceTokenizer.Format = .siglip
    ) -> TokenizerFileError? {
        do {
            _ = try SentencePieceTokenizer(
                bytes: bytes, name: "file", format: format, rules: .sentencePiece)
            return nil
        } catch {
            return error
        }
    }

    private func expectError(_ bytes: [UInt8], _ text: String) {
        let found = error(of: bytes).map { "\($0)" } ?? "no error"
        #expect(found.contains(text), "expected \(text), found \(found)")
    }

    @Test(arguments: ["spiece.model", "tokenizer.json"])
    func emptyFilesAreRejected(_ name: String) throws {
        let folder = try TemporaryFolder()
        let path = try folder.write(name, [])
        #expect(throws: TokenizerFileError.self) {
            try SentencePieceTokenizer(
                contentsOf: path, format: .siglip, cacheFolder: folder.path + "/cache")
        }
    }

    @Test func smallModelIsValid() {
        #expect(error(of: ProtobufWriter.small.bytes) == nil)
    }

    @Test func errorsSayWhatWasExpectedAndFound() {
        var file = ProtobufWriter.small
        file.piece("a", -3)
        #expect(
            error(of: file.bytes)
                == .malformed(
                    path: "file", part: "piece 5", expected: "a piece that occurs once",
                    found: "\"a\", as piece 3"))
        file = .small
        file.trainer(algorithm: 3)
        #expect(
            error(of: file.bytes)
                == .unsupported(
                    path: "file", part: "trainer_spec.model_type",
                    expected: "1 (Unigram) or 2 (BPE)", found: "3"))
    }

    @Test func invalidPiecesAreRejected() {
        var file = ProtobufWriter.small
        file.piece("c", .nan)
        expectError(file.bytes, "the score of piece 5: expected a finite number")
        file = .small
        file.piece("c", -.infinity)
        expectError(file.bytes, "the score of piece 5: expected a finite number")
        file = .small
        file.piece("")
        expectError(file.bytes, "the length of piece 5: expected 1 to 1024 bytes, found 0")
        file = .small
        file.piece(String(repeating: "a", count: 2000))
        expectError(file.bytes, "the length of piece 5")
        file = .small
        file.piece("c", type: 9)
        expectError(file.bytes, "the type of piece 5: expected 1 to 6, found 9")
        file = .small
        file.piece("<unk2>", type: 2)
        expectError(file.bytes, "one of the type unknown, found 2 and 5")
        file = .small
        file.piece("</s>", type: 3)
        expectError(file.bytes, "a piece that occurs once")
        file = .small
        file.piece("<0x41>", type: 6)
        expectError(file.bytes, "byte_fallback is false")
        file.trainer(algorithm: 1, byteFallback: true)
        expectError(file.bytes, "the byte pieces: expected 256, because byte_fallback is true")
        file = ProtobufWriter()
        file.piece("a")
        expectError(file.bytes, "one of the type unknown, found none")
        expectError([], "at least one piece")
        file = .small
        var message = ProtobufWriter()
        message.field(1, [0xC3, 0x28])
        file.field(1, message.bytes)
        expectError(file.bytes, "valid UTF-8")
        file = .small
        message = ProtobufWriter()
        message.field(1, [0xA9])
        file.field(1, message.bytes)
        expectError(file.bytes, "valid UTF-8")
    }

    @Test func invalidWireFormatIsRejected() {
        let small = ProtobufWriter.small.bytes
        expectError(small + [0x0B], "the wire type 0, 1, 2 or 5")
        expectError(small + [0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "the length at byte")
        expectError(
            small + [0x0A] + [UInt8](repeating: 0xFF, count: 9) + [0x7F], "at most 64 bits")
        expectError(small + [0x80], "a varint")
        expectError(small + [0x00], "a field number")
        expectError(small + [0x08, 0x01], "field 1: expected a message")
        expectError(small + [0x4D, 0x01], "expected 4 bytes, found 1")
    }

    @Test(.timeLimit(.minutes(2)), arguments: ["unigram.model", "unigram.json", "bpe.json"])
    func cutAndChangedFilesDoNoHarm(_ name: String) throws {
        let whole = try bytes(ofFile: Fixtures.path("tokenizers/\(name)"))
        for count in stride(from: 0, to: whole.count, by: 97) {
            _ = error(of: Array(whole[..<count]))
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<300 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count)] = UInt8.random(in: 0...255)
            }
            guard
                let tokenizer = try? SentencePieceTokenizer(
                    bytes: bytes, format: .siglip, rules: .sentencePiece)
            else { continue }
            let ids = tokenizer.encode("a photo of a \u{2122}cat \u{1} </s> 字")
            #expect(ids.allSatisfy((0..<tokenizer.vocabularySize).contains))
        }
    }

    // MARK: - The map of characters

    /// Returns a map with these units and texts.
    private func map(_ units: [UInt32], _ texts: [UInt8] = [0x61, 0]) -> [UInt8] {
        var map: [UInt8] = []
        map.append(littleEndian: UInt32(4 * units.count))
        for unit in units { map.append(littleEndian: unit) }
        return map + texts
    }

    private func expectError(map: [UInt8], _ text: String) {
        var file = ProtobufWriter.small
        file.normalizer(map: map)
        expectError(file.bytes, text)
    }

    @Test func invalidMapsAreRejected() {
        expectError(map: [1, 2, 3], "expected 5 to 4194304 bytes, found 3")
        expectError(map: [0xFF, 0xFF, 0xFF, 0xFF, 0, 0], "expected a trie of")
        expectError(map: map([0], [0x61]), "zero-terminated texts")
        expectError(map: map([0], [0xFF, 0]), "zero-terminated texts")
        // The root's children begin at unit 0: byte 1 leads to unit 1, with the label 1.
        let cycle: [UInt32] = [0, 1 << 10 | 1]
        #expect((1 ^ 1 << 0) == 0)
        expectError(map: map(cycle), "no cycle")
        // A leaf beyond the last unit.
        expectError(map: map([0, 512 << 10 | 1 << 8 | 1]), "expected units below 2")
        // A leaf whose text begins behind the texts.
        expectError(map: map([0, 2 << 10 | 1 << 8 | 1, 0, 0x8000_0009]), "offsets of texts")
        // A text that is too long.
        let long = [UInt8](repeating: 0x61, count: 300) + [0]
        expectError(
            map: map([0, 2 << 10 | 1 << 8 | 1, 0, 0x8000_0000], long), "texts of at most 256 bytes")
    }

    @Test func mapIsApplied() throws {
        var file = ProtobufWriter.small
        // The byte 1 becomes "a".
        file.normalizer(map: map([0, 2 << 10 | 1 << 8 | 1, 0, 0x8000_0000]), dummyPrefix: false)
        let tokenizer = try SentencePieceTokenizer(
            bytes: file.bytes, format: .siglip, rules: .sentencePiece)
        #expect(tokenizer.encode("b\u{1}b") == [4, 3, 4])
    }

    // MARK: - tokenizer.json

    private func json(_ model: String, _ rest: String = "") -> [UInt8] {
        Array("{\"version\":\"1.0\",\(rest)\"model\":{\(model)}}".utf8)
    }

    private static let unigram =
        #""type":"Unigram","unk_id":2,"vocab":[["<pad>",0],["</s>",0],["<unk>",0],["a",-1.5]]"#
    private static let bpe =
        #""type":"BPE","unk_token":"c","vocab":{"a":0,"b":1,"ab":2,"c":3},"merges":[["a","b"]]"#

    @Test func smallJSONIsValid() throws {
        #expect(error(of: json(Self.unigram)) == nil)
        let tokenizer = try SentencePieceTokenizer(
            bytes: json(Self.bpe), format: .siglip, rules: .sentencePiece)
        #expect(tokenizer.encode("abba") == [2, 1, 0])
        let old = Self.bpe.replacing(#"["a","b"]"#, with: #""a b""#)
        let other = try SentencePieceTokenizer(
            bytes: json(old), format: .siglip, rules: .sentencePiece)
        #expect(other.encode("abba") == [2, 1, 0])
        let none = try SentencePieceTokenizer(
            bytes: json(Self.bpe.replacing(#"["a","b"]"#, with: "")), format: .siglip,
            rules: .sentencePiece)
        #expect(none.encode("abba") == [0, 1, 1, 0])
    }

    @Test(
        arguments: [
            (#""normalizer":{"type":"NFKC"},"#, "found \"NFKC\""),
            (#""normalizer":{"type":"Precompiled","precompiled_charsmap":"?"},"#, "Base64"),
            (
                #""normalizer":{"type":"Replace","pattern":{"Regex":"a+"},"content":"b"},"#,
                "the expression \" {2,}\""
            ),
            (#""normalizer":{},"#, "a type"),
            (#""normalizer":{"type":"Lowercase","locale":"tr"},"#, "found \"locale\""),
            (#""pre_tokenizer":{"type":"ByteLevel"},"#, "found \"ByteLevel\""),
            (
                #""pre_tokenizer":{"type":"Metaspace","replacement":"ab"},"#, "one character"
            ),
            (
                #""pre_tokenizer":{"type":"Metaspace","replacement":"_","prepend_scheme":"x"},"#,
                "first, always or never"
            ),
            (#""unknown":1,"#, "found \"unknown\""),
            (#""added_tokens":[{"id":7,"content":"a"}],"#, "the id 3, as in the vocabulary"),
            (#""added_tokens":[{"id":3,"content":"x"}],"#, "an id of its own"),
            (#""added_tokens":5,"#, "an array"),
            (#""version":"2","#, "\"version\" twice"),
        ]) func unsupportedJSONIsRejected(_ rest: String, _ text: String)
    {
        expectError(json(Self.unigram, rest), text)
    }

    @Test(
        arguments: [
            (#""type":"WordPiece","vocab":{"a":0}"#, "Unigram or BPE"),
            (#""type":"BPE","vocab":[["a",0]]"#, "expected an object"),
            (#""type":"BPE","vocab":{"a":0,"a":1}"#, "a piece that occurs once"),
            (#""type":"BPE","vocab":{"a":0,"b":0}"#, "each with its own id"),
            (#""type":"BPE","vocab":{"a":99999999}"#, "found 99999999"),
            (#""type":"BPE","vocab":{"a":-1}"#, "found -1"),
            (#""type":"BPE","vocab":{"a":0},"merges":[["a","a"]]"#, "together are a piece"),
            (#""type":"BPE","merges":[["a","a"]],"vocab":{"a":0}"#, "together are a piece"),
            (#""type":"BPE","merges":[["a","a"],["a","a"]],"vocab":{"a":0,"aa":1}"#, "a pair that"),
            (#""type":"BPE","dropout":0.1,"vocab":{"a":0}"#, "dropout"),
            (#""type":"BPE","end_of_word_suffix":"</w>","vocab":{"a":0}"#, "end_of_word_suffix"),
            (#""type":"BPE","other":1,"vocab":{"a":0}"#, "found \"other\""),
            (#""type":"BPE","unk_token":"x","vocab":{"a":0}"#, "unk_token"),
            (#""type":"Unigram","unk_id":9,"vocab":[["a",0]]"#, "an id below 1"),
            (#""type":"Unigram","vocab":[["a",1e999]]"#, "a finite number"),
            (#""type":"Unigram","vocab":[["a",nan]]"#, "a finite number"),
            (#""type":"Unigram","vocab":[["\ud800",0]]"#, "surrogate"),
            (#""type":"Unigram","vocab":[["",0]]"#, "1 to 1024 bytes"),
            (#""type":"Unigram","vocab":[]"#, "an id below 0"),
            (#""type":"Unigram","vocab":[["a",0]]"#, "unk_id"),
            (#""type":"Unigram""#, "the key vocab"),
            (#""vocab":[["a",0]],"vocab":[]"#, "twice"),
        ]) func invalidModelInJSONIsRejected(_ model: String, _ text: String)
    {
        expectError(json(model), text)
    }

    @Test func invalidJSONIsRejected() {
        expectError(Array("{}".utf8), "the key model")
        expectError(json(Self.unigram) + [0x7D], "the end")
        expectError(Array("{\"a\":".utf8) + [UInt8](repeating: 0x5B, count: 100_000), "64 levels")
        expectError(Array("{\"a\":[}".utf8), "a value")
        expectError(Array("{\"a\":\"b".utf8), "the end of a string")
    }

    @Test func textsDoNotExplode() {
        let step = #"{"type":"Replace","pattern":{"String":"a"},"content":"aaaaaaaaaaaaaaaa"}"#
        let steps = Array(repeating: step, count: 10).joined(separator: ",")
        expectError(
            json(
                Self.unigram,
                "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[\(steps)]},"),
            "64 times as long")
    }

    @Test func stringsThatTakeLongToFindAreRejected() {
        let long = String(repeating: "a", count: 1025)
        let flags = #""single_word":false,"lstrip":false,"rstrip":false,"special":true"#
        for rest in [
            #""normalizer":{"type":"Replace","pattern":{"String":"\#(long)"},"content":"b"},"#,
            #""normalizer":{"type":"Replace","pattern":{"String":"a"},"content":"\#(long)"},"#,
            #""normalizer":{"type":"Prepend","prepend":"\#(long)"},"#,
            #""pre_tokenizer":{"type":"Split","pattern":{"String":"\#(long)"},"#
                + #""behavior":"MergedWithPrevious","invert":false},"#,
            #""added_tokens":[{"id":4,"content":"\#(long)","normalized":false,\#(flags)}],"#,
        ] {
            expectError(json(Self.unigram, rest), "at most 1024 bytes, found 1025")
        }
        let step = #"{"type":"Replace","pattern":{"String":"a"},"content":"\#(long.prefix(40))"}"#
        let token = #"{"id":4,"content":"\#(long.prefix(500))","normalized":true,\#(flags)}"#
        expectError(
            json(Self.unigram, "\"normalizer\":\(step),\"added_tokens\":[\(token)],"),
            "at most 4096 bytes after normalising")
    }

    @Test(.timeLimit(.minutes(1))) func longestStringsAreFoundInLinearTime() throws {
        let long = String(repeating: "a", count: 1023) + "b"
        let tokenizer = try SentencePieceTokenizer(
            bytes: json(
                Self.unigram,
                #""normalizer":{"type":"Replace","pattern":{"String":"\#(long)"},"content":"b"},"#),
            format: .siglip, rules: .sentencePiece)
        #expect(tokenizer.encode(String(repeating: "a", count: 10_000)).count == 10_000)
    }

    @Test func vocabulariesOfXLMRoBERTaBeginWithTheirReservedPieces() {
        func found(_ bytes: [UInt8]) -> TokenizerFileError? {
            do {
                _ = try SentencePieceTokenizer(bytes: bytes, name: "file", format: .metaCLIP2)
                return nil
            } catch {
                return error
            }
        }
        let small = ProtobufWriter.small.bytes
        #expect(found(SentencePieceTests.likeXLMRoBERTa(small)) == nil)
        #expect(
            found(small)
                == .malformed(
                    path: "file", part: "piece 0",
                    expected: "\"<unk>\", as in vocabularies of XLM-RoBERTa",
                    found: "\"<pad>\""))
        var file = ProtobufWriter()
        file.piece("<unk>", type: 2)
        #expect(found(file.bytes) != nil)
    }

    @Test func idsOfTheFormatMustExist() {
        var file = ProtobufWriter()
        file.piece("<unk>", type: 2)
        expectError(file.bytes, "the ids [1, 1] of siglip")
    }

    @Test func missingFileIsAnError() {
        #expect(throws: TokenizerFileError.self) {
            try SentencePieceTokenizer(contentsOf: "/nonexistent/tokenizer.json", format: .siglip)
        }
        #expect(throws: TokenizerFileError.self) {
            try SentencePieceTokenizer(contentsOf: "/", format: .siglip)
        }
    }
}
