import Foundation
import TestSupport
import Testing

@testable import Tokenizers

/// Compares each step of text cleaning with ftfy and Python's `html` and `unicodedata`.
///
/// Scripts/parity/goldens_repair.py wrote the expected values.
@Suite struct TextRepairTests {
    /// A text and the result of each step that changes it.
    struct Case: Decodable {
        let text: String
        let unescaped, encoding, composed, repaired, lowercased, cleaned: String?
        let mojibake: Bool?
    }

    /// A step of text cleaning, and its golden result.
    enum Step: CaseIterable {
        case unescaped, encoding, composed, repaired, lowercased, cleaned

        func expected(_ entry: Case) -> String {
            let changed =
                switch self {
                case .unescaped: entry.unescaped
                case .encoding: entry.encoding
                case .composed: entry.composed
                case .repaired: entry.repaired
                case .lowercased: entry.lowercased
                case .cleaned: entry.cleaned
                }
            return changed ?? entry.text
        }

        func found(_ text: String) -> [Unicode.Scalar] {
            let scalars = Array(text.unicodeScalars)
            switch self {
            case .unescaped: return htmlUnescaped(scalars)
            case .encoding:
                var effort = RepairEffort()
                effort.begin(line: scalars.count)
                return decodedAnew(scalars, &effort)
            case .composed: return Tokenizers.composed(scalars)
            case .repaired: return Tokenizers.repaired(scalars)
            case .lowercased: return Tokenizers.lowercased(scalars)
            case .cleaned: return Tokenizers.cleaned(text)
            }
        }
    }

    private func cases() throws -> [Case] {
        let data = Data(try bytes(ofFile: Fixtures.path("text/repair.json")))
        return try #require(JSONDecoder().decode([String: [Case]].self, from: data)["cases"])
    }

    /// A text with its scalars, since many of them are invisible.
    private func shown(_ text: some Sequence<Unicode.Scalar>) -> String {
        let scalars = Array(text.prefix(80))
        let numbers = scalars.map { String($0.value, radix: 16) }.joined(separator: " ")
        return String(String.UnicodeScalarView(scalars)).debugDescription + " [\(numbers)]"
    }

    @Test(arguments: Step.allCases) func stepEqualsTheReference(_ step: Step) throws {
        let cases = try cases()
        #expect(cases.count >= 1500)
        let changed = cases.count {
            Array($0.text.unicodeScalars) != Array(step.expected($0).unicodeScalars)
        }
        #expect(changed >= 40, "\(step) changes few of the texts")
        var failures = 0
        for entry in cases {
            let (expected, found) = (step.expected(entry), step.found(entry.text))
            guard !found.elementsEqual(expected.unicodeScalars) else { continue }
            failures += 1
            if failures > 10 { continue }
            Issue.record(
                """
                \(step) of \(shown(entry.text.unicodeScalars)): expected \
                \(shown(expected.unicodeScalars)), found \(shown(found))
                """)
        }
        #expect(failures == 0, "of \(cases.count) texts")
    }

    @Test func mojibakeIsRecognised() throws {
        let cases = try cases()
        #expect(cases.count { $0.mojibake == true } >= 300)
        let wrong = cases.filter {
            isMojibake(Array($0.text.unicodeScalars)) != ($0.mojibake == true)
        }
        #expect(
            wrong.isEmpty,
            "\(wrong.prefix(10).map { ($0.mojibake, shown($0.text.unicodeScalars)) })"
        )
    }
}
