import Foundation
import TestSupport
import Testing

/// Tests the command lines of README and the DocC pages.
///
/// Their options exist. Scripts/tutorials.py runs them and compares the outputs that are shown. The
/// Swift code blocks are in CodeBlocks.swift, which Scripts/code_blocks.py writes.
@Suite struct DocumentationTests {
    private let folder: TemporaryFolder
    private let binary: ClipBinary

    init() throws {
        folder = try TemporaryFolder()
        binary = ClipBinary(folder: folder)
    }

    /// README.md and the DocC pages of all libraries, by path below the package.
    private func pages() throws -> [String: String] {
        let sources = try #require(
            FileManager.default.enumerator(atPath: Fixtures.root + "/Sources"))
        let names = sources.compactMap { $0 as? String }
            .filter { $0.contains(".docc/") && $0.hasSuffix(".md") }.map { "Sources/" + $0 }
        var pages: [String: String] = [:]
        for name in ["README.md"] + names {
            pages[name] = String(
                decoding: try bytes(ofFile: "\(Fixtures.root)/\(name)"), as: UTF8.self)
        }
        return pages
    }

    /// The code blocks of a page that are not in Swift, each as its lines.
    private func blocks(_ page: String) -> [[String]] {
        var blocks: [[String]] = []
        var isOpen = false
        var isKept = false
        for line in page.components(separatedBy: "\n") {
            if line.hasPrefix("```") {
                isOpen.toggle()
                isKept = isOpen && line != "```swift"
                if isKept { blocks.append([]) }
            } else if isKept {
                blocks[blocks.count - 1].append(line)
            }
        }
        return blocks
    }

    /// The code spans of a page outside its code blocks.
    private func spans(_ page: String) -> [String] {
        var isCode = false
        let prose = page.components(separatedBy: "\n").filter { line in
            if line.hasPrefix("```") { isCode.toggle() }
            return !isCode && !line.hasPrefix("```")
        }.joined(separator: " ")
        return prose.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }
            .map(\.element)
    }

    /// The command in a line of a block, without a prompt; nil if the line is output or a comment.
    private func command(_ line: String) -> String? {
        let line = line.hasPrefix("$ ") ? String(line.dropFirst(2)) : line
        return line.hasPrefix("clip ") ? line : nil
    }

    /// The options in a command line and its description: `--top`, `-k`.
    private func options(_ line: String) -> [String] {
        line.split { " ,;|()[]`".contains($0) }
            .filter { $0.wholeMatch(of: /-[A-Za-z0]|--[a-z][a-z0-9-]+(=.*)?/) != nil }
            .map { String($0.prefix { $0 != "=" }) }
    }

    @Test func commandsAndOptionsExist() throws {
        // Options of `clip` itself that no help lists.
        let hidden = ["--generate-completion-script", "--version", "-V"]
        var helps: [String: String] = [:]
        func help(_ command: String) throws -> String {
            if let help = helps[command] { return help }
            // A group of commands has no options of its own.
            let words = command == "probe" ? ["probe", "train"] : [command].filter { !$0.isEmpty }
            let arguments = words + ["--help"]
            let help = try binary.run(arguments).successful().text
            helps[command] = help
            return help
        }
        var count = 0
        for (name, page) in try pages() {
            let lines = blocks(page).joined().compactMap(command) + spans(page).compactMap(command)
            for line in lines {
                let words = line.split(separator: " ").dropFirst()
                guard let first = words.first else { continue }
                let subcommand = first.hasPrefix("-") ? "" : String(first)
                if !subcommand.isEmpty {
                    let list = try help("").components(separatedBy: "SUBCOMMANDS:").last ?? ""
                    #expect(list.contains("\n  \(subcommand) "), "\(name): \(line)")
                }
                // Options after a pipe are those of another command.
                let own = line.components(separatedBy: " | ")[0]
                for option in options(own) where !hidden.contains(option) {
                    count += 1
                    let text = try help(subcommand)
                    let isThere = text.split { " ,\n()[]".contains($0) }.contains { $0 == option }
                    #expect(isThere, "\(name): clip \(subcommand) has no \(option), in: \(line)")
                }
            }
        }
        #expect(count >= 20, "\(count) options in all pages")
    }

    @Test func filesExist() throws {
        for (name, page) in try pages() {
            for found in page.matches(of: /(Scripts|Examples|Weights|Tests|Sources)\/[\w.\/-]*\w/) {
                let path = "\(Fixtures.root)/\(found.output.0)"
                #expect(FileManager.default.fileExists(atPath: path), "\(name) names \(path)")
            }
        }
    }
}
