import Tensors
import TestSupport
import Testing

@testable import CLIP

/// Ids against OpenAI's `SimpleTokenizer.encode`.
@Suite struct TokenTests {
    private func cases(_ list: String) throws -> [(text: String, ids: [Int])] {
        let json = try JSONValue(parsing: bytes(ofFile: Fixtures.path("text/tokens.json")))
        return try #require(json[list]?.array).map { entry in
            (
                try #require(entry["text"]?.string),
                try #require(entry["ids"]?.array).compactMap(\.integer)
            )
        }
    }

    @Test func equalsTheReference() throws {
        let tokenizer = BPETokenizer()
        let cases = try cases("cases")
        #expect(cases.count >= 2000)
        var wrong = 0
        for (text, ids) in cases where tokenizer.encode(text) != ids {
            wrong += 1
            if wrong <= 20 {
                let scalars = text.unicodeScalars.map { String($0.value, radix: 16) }
                Issue.record(
                    "\(text.debugDescription) \(scalars): \(tokenizer.encode(text)), not \(ids)")
            }
        }
        #expect(wrong == 0)
    }
}
