import Testing

import CLIP

@testable import Tokenizers

@Suite struct TokenizerTests {
    private let tokenizer = BPETokenizer()

    @Test func textIsFramedByStartAndEnd() throws {
        #expect(try tokenizer.tokenize("") == [49406, 49407])
        #expect(
            try tokenizer.tokenize("a photo of a cat") == [49406, 320, 1125, 539, 320, 2368, 49407])
    }

    @Test func longTextIsTruncated() throws {
        let text = String(repeating: "a ", count: 80)
        #expect(throws: CLIPError.textTooLong(text: text, tokens: 82, limit: 77)) {
            try tokenizer.tokenize(text)
        }
        let row = try tokenizer.tokenize(text, truncating: true)
        try #require(row.count == 77)
        #expect(row.last == 49407)
        #expect(row[75] == 320)
        #expect(
            try tokenizer.tokenize("a b c", contextLength: 2, truncating: true) == [49406, 49407])
    }

    @Test func idsAreDecoded() throws {
        for text in ["a photo of a cat", "naïve café 東京 😀", "don ' t 1 2"] {
            let ids = tokenizer.encode(text)
            let expected = text == "don ' t 1 2" ? "don ' t 1 2 " : nil
            let decoded = tokenizer.decode(ids)
            #expect(expected.map { $0 == decoded } ?? (tokenizer.encode(decoded) == ids))
        }
        #expect(tokenizer.decode([49406, 320, 49407]) == "<|startoftext|>a <|endoftext|>")
        #expect(tokenizer.decode([-1, 320, 99_999]) == "a ")
    }

    @Test(.timeLimit(.minutes(15))) func longWordTakesLinearTime() {
        // Quadratic merging would take hours.
        let word = String(repeating: "abcdefghijklmnopqrstuvwxyz", count: 20_000)
        let ids = tokenizer.encode(word)
        #expect(tokenizer.decode(ids) == word + " ")
    }

    @Test(.timeLimit(.minutes(15))) func longGarbleIsCleanedInTime() {
        // Each of these could make a repair step start again at every character.
        for part in ["Ã¢â‚¬â„¢", "Ã ", "&amp;", "a\u{301}\u{327}", "â€", "\u{1A}Ã", "&", "ÃƒÂ"] {
            let ids = tokenizer.encode(String(repeating: part, count: 4_000))
            #expect(!ids.isEmpty)
        }
        // These change by one character per round.
        #expect(!tokenizer.encode("Ã" + String(repeating: "ƒ", count: 8_000)).isEmpty)
        let wide = "&" + String(repeating: "#65286;", count: 3_000)
        #expect(!tokenizer.encode(wide).isEmpty)
    }

    @Test(
        .timeLimit(.minutes(15)),
        arguments: [
            ("&amp;", 200_000), ("&AMP;", 200_000), ("&#38;", 200_000), ("&eacute;", 100_000),
        ]) func aMegabyteOfEntitiesIsReplaced(_ entity: String, count: Int)
    {
        // One copy of the text per entity would take minutes.
        let text = String(repeating: entity, count: count)
        let expected: Unicode.Scalar = entity == "&eacute;" ? "é" : "&"
        let found = cleaned(text)
        #expect(
            found.count == count,
            """
            \(count) times \(entity): expected \(expected), \
            found \(found.prefix(8)), \(found.count)
            """
        )
        #expect(
            found.allSatisfy { $0 == expected },
            """
            \(count) times \(entity): expected \(expected), \
            found \(found.prefix(8)), \(found.count)
            """
        )
    }

    @Test(.timeLimit(.minutes(15))) func entityMayBeginWithItsOwnResult() {
        for (text, expected) in [
            ("&" + String(repeating: "amp;", count: 250_000), "&"), ("&amp;amp;lt;x", "<x"),
            ("&amp;nosuch;", "&nosuch;"), ("&#38;#38;eacute;", "é"), ("&amp;&amp;", "&&"),
            ("&amp;", "&"), ("&amp;#38", "&"), ("&nosuch;amp;", "&nosuch;amp;"),
        ] {
            let found = String(String.UnicodeScalarView(cleaned(text)))
            #expect(found == expected, "\(text.prefix(40)): \(expected), not \(found.prefix(40))")
        }
    }

    @Test func repairsOfALongTextAreBounded() {
        var effort = RepairEffort()
        func rounds(of count: Int) -> Int {
            effort.begin(line: count)
            return (0..<10_000).prefix { _ in effort.spend(count) }.count
        }
        // 64 rounds per line, and 50 million characters that all lines share.
        #expect(rounds(of: 1_000_000) == 64 + 50)
        #expect(rounds(of: 1_000_000) == 64)
        #expect(rounds(of: 10) == 64)
    }

    @Test func errorShowsTheTextOnOneLine() {
        let error = CLIPError.textTooLong(text: "a\nb\tc", tokens: 99, limit: 77)
        #expect(!"\(error)".contains("\n"))
        #expect("\(error)".contains("99 tokens"))
    }
}
