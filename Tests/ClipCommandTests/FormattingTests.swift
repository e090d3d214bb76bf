import Files
import CLIPSearch
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests functions of the command that need no process: numbers, times, shards, queries and
/// captions.
@Suite struct FormattingTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test(
        arguments: [
            (0, 2, "0.00"), (1, 0, "1"), (1.5, 0, "2"), (-1.5, 0, "-2"), (0.05, 1, "0.1"),
            (0.999, 2, "1.00"), (99.996, 2, "100.00"), (-0.001, 2, "0.00"), (-0.006, 2, "-0.01"),
            (12.3456, 4, "12.3456"), (0.000012, 4, "0.0000"), (1e11, 1, "100000000000.0"),
            (1e12, 1, "1000000000000.0"), (-.infinity, 2, "-inf"), (.nan, 2, "nan"),
        ] as [(Double, Int, String)])
    func numbersHaveFixedDecimals(_ value: Double, decimals: Int, expected: String) {
        #expect(fixed(value, decimals) == expected, "\(value) with \(decimals) decimals")
    }

    @Test func numbersMatchPrintf() {
        for value in (-500..<500).map({ Double($0) * 1.2345678 / 7 }) {
            for decimals in 0...4 {
                let expected = String(format: "%.\(decimals)f", value)
                // printf keeps the sign of a number that it rounds to zero.
                let isZero = !expected.contains { "123456789".contains($0) }
                let found = fixed(value, decimals)
                #expect(
                    found == (isZero ? expected.replacing("-", with: "") : expected),
                    "\(value) with \(decimals) decimals")
            }
        }
    }

    @Test(
        arguments: [
            (0, "0:00 left"), (0.9, "0:00 left"), (27, "0:27 left"), (65, "1:05 left"),
            (600, "10:00 left"), (3599, "59:59 left"), (3600, "1:00:00 left"),
            (36_061, "10:01:01 left"), (.infinity, "277777:46:40 left"),
        ] as [(Double, String)])
    func timesAreInHoursMinutesAndSeconds(_ seconds: Double, expected: String) {
        #expect(timeLeft(seconds) == expected, "\(seconds) seconds")
    }

    @Test(arguments: [
        ("Missing value.", "missing value"), ("cannot read .", "cannot read ."),
        ("cannot read ..", "cannot read .."), ("CLIP is set.", "CLIP is set"),
    ])
    func fullStopsOfTheParserAreRemoved(_ message: String, expected: String) {
        #expect(UsageErrors.line(message, ["map"]) == "\(expected) (see clip map --help)")
    }

    @Test func progressIsOneLine() {
        for (done, skipped, total, seconds, expected) in [
            (900, 0, 2000, 25, "encode   45 %  900 of 2000  36.0 a second  0:30 left"),
            (10, 90, 100, 5, "encode  100 %  100 of 100  2.0 a second  0:00 left"),
            (0, 50, 200, 3, "encode   25 %  50 of 200"), (0, 0, 0, 0, "encode  100 %  0 of 0"),
            (7, 0, nil, 2, "encode  7  3.5 a second"), (1, 0, 10, 0.1, "encode   10 %  1 of 10"),
            // More than were counted, because files were added meanwhile.
            (12, 0, 10, 6, "encode  12  2.0 a second"),
        ] as [(Int, Int, Int?, Double, String)] {
            let found = JobProgress.line(
                "encode", done: done, skipped: skipped, total: total, seconds: seconds)
            #expect(found == expected, "\(done) done, \(skipped) skipped, \(seconds) seconds")
        }
    }

    @Test func everyInputBelongsToOneShard() throws {
        for count in [1, 2, 7] {
            let shards = try (1...count).map {
                try #require(CollectionOptions.Shard(argument: "\($0)/\(count)"))
            }
            for number in 0..<20 {
                let owners = shards.filter { $0.contains(number) }.map(\.index)
                #expect(owners == [number % count + 1], "input \(number) of \(count) shards")
            }
        }
    }

    @Test(arguments: ["", "1", "0/2", "3/2", "1/0", "-1/2", "1/2/3", "a/2", "1/b", "/", "1 / 2"])
    func wrongShardsAreRefused(_ argument: String) {
        let shard = CollectionOptions.Shard(argument: argument)
        #expect(shard == nil, "\(argument.debugDescription): \(String(describing: shard))")
    }

    @Test(
        arguments: [
            (["a dog"], [(1, "a dog")]),
            (["a dog", "+", "pool.jpg"], [(1, "a dog"), (1, "pool.jpg")]),
            (["a", "-", "b", "+", "c"], [(1, "a"), (-1, "b"), (1, "c")]),
            (["2:a dog", "-", "0.5:b"], [(2, "a dog"), (-0.5, "b")]),
            // A prefix that is not a number belongs to the text, and so does the hour of a time
            // after midnight.
            (["note: a"], [(1, "note: a")]), (["0:30 a"], [(1, "0:30 a")]),
            (["00:15"], [(1, "00:15")]), (["Nan: a"], [(1, "Nan: a")]), (["0:"], [(1, "0:")]),
            (["1:0:a"], [(1, "0:a")]), (["12:30 a"], [(12, "30 a")]),
            (["1e2:a:b"], [(100, "a:b")]), (["1e15:a"], [(1e15, "a")]),
        ] as [([String], [(Float, String)])])
    func queriesAreSums(_ words: [String], expected: [(Float, String)]) throws {
        let terms = try search(words).terms()
        let expected = expected.map { SearchQuery.Term(weight: $0.0, operand: $0.1) }
        #expect(terms == expected, "\(words)")
    }

    @Test(arguments: [
        ["a", "+", "+", "b"], ["a", "b"], ["a", "-"], ["a", "+", " "], [" "], ["-", "-", "a"],
    ]) func brokenQueriesAreRefused(_ words: [String]) throws {
        let search = try search(words)
        #expect(throws: (any Error).self, "\(words)") { try search.terms() }
    }

    @Test(arguments: [
        "0:a", "0.0:a", "0:300", "inf:a", "-inf:a", "nan:a", "1e400:a", "1e16:a", "1e-16:a",
        "1e-400:a", "-2:a",
    ]) func invalidWeightsAreRefused(_ word: String) throws {
        let search = try search([word])
        let error = try #require(throws: (any Error).self, "\(word)") { try search.terms() }
        #expect("\(error)".contains("expected a number from 1e-15 to 1e+15"))
        let hint = word == "-2:a" ? "write - \"2:a\"" : "write \"1:\(word)\""
        #expect("\(error)".hasSuffix(hint))
    }

    private func search(_ words: [String]) throws -> Search {
        var search = try Search.parse(["a"])
        search.query = words
        return search
    }

    @Test(arguments: [
        ("plain", "plain"), ("", ""), ("two words", "two words"), ("a,b", "\"a,b\""),
        ("say \"a\"", "\"say \"\"a\"\"\""), ("a\nb", "\"a\nb\""), ("a\rb", "\"a\rb\""),
        ("\"", "\"\"\"\""), ("a;b\tc'd", "a;b\tc'd"),
    ]) func fieldsOfCSVAreQuotedWhereTheyNeedIt(_ field: String, expected: String) {
        let found = String(decoding: csvField(Array(field.utf8)), as: UTF8.self)
        #expect(found == expected, "\(field.debugDescription)")
    }

    private func pairs(_ name: String, _ content: String) throws -> [CaptionPair] {
        try CaptionPair.read(FilePath(folder.write(name, content.utf8)))
    }

    /// A pair in one line.
    private func shown(_ pairs: [CaptionPair]) -> [String] {
        pairs.map { "\($0.image) | \($0.text) | \($0.references.joined(separator: ", "))" }
    }

    @Test func pairsAreReadFromCSVAndJSON() throws {
        let expected = ["a.jpg | a cat, small | ", "b.jpg | a \"dog\" | "]
        #expect(
            try shown(
                pairs("a.csv", "image,text\na.jpg,\"a cat, small\"\nb.jpg,\"a \"\"dog\"\"\"\n"))
                == expected)
        #expect(
            try shown(
                pairs("a.tsv", "text\timage\na cat, small\ta.jpg\n\"a \"\"dog\"\"\"\tb.jpg\n"))
                == expected)
        let objects = """
            {"image": "a.jpg", "text": "a cat, small"}

            {"text": "a \\"dog\\"", "image": "b.jpg", "references": []}
            """
        #expect(try shown(pairs("a.jsonl", objects)) == expected)
    }

    @Test func referencesAreRead() throws {
        #expect(
            try shown(pairs("a.csv", "image,text,reference\na.jpg,a,one\nb.jpg,b,\n"))
                == ["a.jpg | a | one", "b.jpg | b | "])
        let object = #"{"image": "a.jpg", "text": "a", "references": ["one", "two"]}"#
        #expect(try shown(pairs("a.jsonl", object)) == ["a.jpg | a | one, two"])
    }

    @Test(arguments: [
        ("a.csv", "image,text\n"), ("a.csv", "image,text\n,a\n"), ("a.csv", "image\na.jpg\n"),
        ("a.csv", "text\na\n"), ("a.csv", ""), ("a.jsonl", ""), ("a.jsonl", "{}"),
        ("a.jsonl", #"{"image": "", "text": "a"}"#), ("a.jsonl", #"{"image": "a.jpg"}"#),
        ("a.jsonl", #"{"image": "a.jpg", "text": 1}"#), ("a.jsonl", "no JSON"),
        ("a.jsonl", #"{"image": "a.jpg", "text": "a", "references": "one"}"#),
        ("a.jsonl", #"{"image": "a.jpg", "text": "a", "references": [1]}"#),
    ]) func brokenPairsAreRefused(_ name: String, content: String) {
        #expect(throws: (any Error).self, "\(name): \(content)") { try pairs(name, content) }
    }
}
