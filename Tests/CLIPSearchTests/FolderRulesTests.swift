import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests the patterns and rules of skipped files.
@Suite struct FolderRulesTests {
    private func matches(_ pattern: String, _ path: String, isFolder: Bool = false) throws -> Bool {
        try GlobPattern(pattern).matches(FilePath(path), isFolder: isFolder)
    }

    @Test(arguments: [
        ("*.png", "a/b.png", true), ("*.png", "b.PNG", false), ("*", "a/b", true),
        ("b?d.jpg", "bäd.jpg", true), ("b?d.jpg", "bd.jpg", false),
        ("[a-c]1", "b1", true), ("[!a-c]1", "b1", false), ("[]x]1", "]1", true),
        ("[1", "[1", true), ("\\*", "*", true), ("\\*", "a", false),
        ("a/*.jpg", "a/b.jpg", true), ("a/*.jpg", "a/b/c.jpg", false), ("/b", "a/b", false),
        ("/b", "b", true), ("**/b", "x/y/b", true), ("**/b", "b", true),
        ("a/**", "a/x/y", true), ("a/**", "a", false), ("a/**/z", "a/z", true),
        ("a/**/z", "a/b/c/z", true), ("a/**/z", "b/z", false), ("*a*b*c", "xaybzc", true),
        ("*a*b*c", "xaybz", false), ("IMG_*_x*", "IMG_1_2_x9", true),
    ])
    func patternsMatch(_ pattern: String, _ path: String, _ isExpected: Bool) throws {
        #expect(try matches(pattern, path) == isExpected, "\(pattern) and \(path)")
    }

    @Test func slashAtTheEndRestrictsToFolders() throws {
        #expect(try matches("cache/", "a/cache", isFolder: true))
        #expect(try !matches("cache/", "a/cache"))
        #expect(try matches("a/cache/", "a/cache", isFolder: true))
        #expect(try !matches("a/cache/", "b/a/cache", isFolder: true))
    }

    @Test func bytesThatAreNoUTF8AreCharacters() throws {
        let path = FilePath(Array("a".utf8) + [0xFF] + Array("b".utf8))
        #expect(try GlobPattern("a?b").matches(path, isFolder: false))
        #expect(try GlobPattern("a[!x]b").matches(path, isFolder: false))
        #expect(try !GlobPattern("ab").matches(path, isFolder: false))
    }

    @Test func malformedPatternsAreRejected() {
        #expect(throws: GlobPattern.SyntaxError.empty) { try GlobPattern("") }
        #expect(throws: GlobPattern.SyntaxError.empty) { try GlobPattern("//") }
        #expect(throws: GlobPattern.SyntaxError.negated) { try GlobPattern("!a") }
        #expect(throws: GlobPattern.SyntaxError.unsupportedCharacter) { try GlobPattern("a\nb") }
    }

    @Test func manyStarsTakeNoExponentialTime() throws {
        let pattern = String(repeating: "*a", count: 200) + "b"
        #expect(try !matches(pattern, String(repeating: "a", count: 5000)))
    }

    private func walk(_ folder: TemporaryFolder, _ rules: FolderRules) -> [String] {
        FolderWalk(FilePath(folder.path), rules: rules).compactMap { element in
            guard case .file(let path) = element else { return nil }
            return String(path.description.dropFirst(folder.path.count + 1))
        }
    }

    @Test func walksSkipWhatTheRulesSay() throws {
        let folder = try TemporaryFolder()
        try folder.touch(
            "a.jpg", ".h.jpg", "._a.jpg", "@eaDir/t.jpg", ".git/g.jpg", "node_modules/n.jpg",
            ".clip-index/x.jpg", ".d/e.jpg", "s/b.png", "s/b.jpg", "t/s/c.jpg")
        #expect(walk(folder, FolderRules()) == ["a.jpg", "s/b.jpg", "s/b.png", "t/s/c.jpg"])
        #expect(
            walk(folder, FolderRules(includesHidden: true)) == [
                ".d/e.jpg", ".h.jpg", "a.jpg", "s/b.jpg", "s/b.png", "t/s/c.jpg",
            ])
        func without(_ patterns: String...) throws -> [String] {
            let rules = FolderRules(excluded: try patterns.map { try GlobPattern($0) })
            let found = walk(folder, rules)
            let all = walk(folder, FolderRules())
            for path in all {
                #expect(rules.skipsFile(at: FilePath(path)) == !found.contains(path), "\(path)")
            }
            return found
        }
        #expect(try without("s") == ["a.jpg"])
        #expect(try without("/s") == ["a.jpg", "t/s/c.jpg"])
        #expect(try without("*.png", "a.jpg") == ["s/b.jpg", "t/s/c.jpg"])
        #expect(try without("t/**") == ["a.jpg", "s/b.jpg", "s/b.png"])
        // The folder of the walk itself is never excluded.
        #expect(try without("*").isEmpty)
    }
}
