import Files
import Tensors
import TestSupport
import Testing

@testable import CLIP

/// Compares ids with OpenAI's and open_clip's `SimpleTokenizer.encode` and transformers'
/// `CLIPTokenizerFast`.
@Suite struct TokenTests {
    private typealias Case = (text: String, ids: [Int])

    /// The strings and their ids; ids that differ from OpenAI's have a list of their own.
    private func cases(_ rules: BPETokenizer.Rules) throws -> [Case] {
        let json = try JSONValue(parsing: bytes(ofFile: Fixtures.path("text/tokens.json")))
        return try #require(json["cases"]?.array).map { entry in
            let ids = entry[rules.rawValue] ?? entry["ids"]
            return (
                try #require(entry["text"]?.string),
                try #require(ids?.array).compactMap(\.integer)
            )
        }
    }

    @Test(arguments: BPETokenizer.Rules.allCases)
    func equalsTheReference(_ rules: BPETokenizer.Rules) throws {
        let tokenizer = BPETokenizer(rules: rules)
        let cases = try cases(rules)
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
        #expect(wrong == 0, "of \(cases.count) texts")
    }
}
