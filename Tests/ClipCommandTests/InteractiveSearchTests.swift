import CLIPSearch
import Foundation
import TestSupport
import Testing

/// Tests `clip search --interactive`.
@Suite struct InteractiveSearchTests {
    private let folder: TemporaryFolder
    private static let model = CommandTests.model

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        for name in ["rgb.jpg", "grey.jpg"] {
            try FileManager.default.copyItem(
                atPath: Fixtures.path("images/\(name)"), toPath: "\(folder.path)/photos/\(name)")
        }
        _ = try clip(["index", "photos", "-m", Self.model, "-q"]).successful()
    }

    private func clip(_ arguments: [String], input: String = "") throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, input: input)
    }

    private func session(_ input: String, _ options: String...) throws -> ClipBinary.Result {
        try clip(["search", "--interactive", "--index", "photos"] + options, input: input)
    }

    @Test func linesAreAnsweredLikeCommands() throws {
        let one = try clip(["search", "a dog", "--index", "photos"]).successful().text
        let two = try clip(["search", "2:a dog", "-", "fruit", "--index", "photos"]).text
        let result = try session("a dog\n2:\"a dog\" - fruit\n\n:quit\na dog\n").successful()
        #expect(result.text == "\(one)\n\(two)\n")
        #expect(result.errors.isEmpty, "\(result.errors)")
    }

    @Test func errorsDoNotEndTheSession() throws {
        let lines = [
            "a + + b", "\"a", ":like 1", ":top 0", ":nonsense", "a - a", "./none.jpg", "x",
        ]
        let result = try session(lines.joined(separator: "\n"), "--top", "1").successful()
        #expect(result.text.split(separator: "\n").count == 1, "\(result.text)")
        let errors = result.errors.split(separator: "\n")
        #expect(errors.count == 7, "\(result.errors)")
        for (error, says) in zip(
            errors,
            [
                "two signs", "no partner", "no result yet", "at least 1", ":help", "cancel",
                "none.jpg",
            ])
        {
            #expect(error.hasPrefix("clip: error: ") && error.contains(says), "\(error)")
        }
    }

    @Test func commandsRefineTheSearch() throws {
        let result = try session("a dog\n:top 1\n:like 2\n:help\n", "--paths").successful()
        let lines = result.text.components(separatedBy: "\n")
        #expect(lines.count > 6)
        // The image most similar to an image is the image itself.
        #expect(lines[3] == lines[1] && lines[4].isEmpty, "\(lines)")
        #expect(result.text.contains(":quit"))
    }

    @Test func jsonNamesTheQuery() throws {
        let result = try session("a dog\n", "--json", "--top", "1").successful()
        #expect(try result.json()["query"] as? String == "a dog")
    }

    @Test func excludesOtherInputsAndOutputs() throws {
        expectFailure(
            try clip(["search", "x", "-i", "--index", "photos"]), status: 2, says: "a query")
        expectFailure(
            try clip(["search", "--index", "photos"]), status: 2, says: "expected argument")
    }

    @Test func quotedOperandsKeepSignsAndSpaces() throws {
        let cases: [(String, [String])] = [
            ("a dog", ["a dog"]), ("a dog's bed", ["a dog's bed"]),
            ("\"a + b\" - c", ["a + b", "-", "c"]), ("2:'x  y' + z", ["2:x  y", "+", "z"]),
            ("t-shirt +  red  hat ", ["t-shirt", "+", "red hat"]), ("  ", []),
            ("- \"a\"", ["-", "a"]), ("5\"-screen", ["5\"-screen"]),
        ]
        for (line, words) in cases {
            #expect(try SearchQuery.quotedWords(ofLine: line) == words, "\(line)")
        }
        #expect(throws: SearchQuery.SyntaxError.missingQuote) {
            try SearchQuery.quotedWords(ofLine: "\"a dog")
        }
    }
}
