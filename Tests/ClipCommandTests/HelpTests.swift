import Foundation
import TestSupport
import Testing

/// Tests the texts of --help and their examples.
@Suite struct HelpTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// The subcommands, in the order of `clip --help`.
    private func commands() throws -> [String] {
        let help = try ClipBinary(folder: folder).run(["--help"]).text
        let list = try #require(help.components(separatedBy: "SUBCOMMANDS:\n").last)
        let lines = list.split(separator: "\n").filter {
            $0.hasPrefix("  ") && !$0.hasPrefix("   ")
        }
        var names: [String] = []
        for name in lines.compactMap({ $0.split(separator: " ").first.map(String.init) }) {
            if name != "See" && name != "help" { names.append(name) }
            if name == "probe" { names.append("probe train") }
        }
        return names
    }

    /// The help text of a subcommand, or of `clip` for an empty name.
    private func help(of command: String) throws -> String {
        let words = command.split(separator: " ").map(String.init)
        return try ClipBinary(folder: folder).run(words + ["--help"]).text
    }

    /// The lines below "Examples:", up to the next empty one.
    private func examples(in help: String) -> [String] {
        let lines = help.components(separatedBy: "\n")
        guard let start = lines.firstIndex(of: "Examples:") else { return [] }
        return lines[(start + 1)...].prefix { !$0.isEmpty }.map {
            $0.trimmingCharacters(in: .whitespaces)
        }
    }

    @Test func everyCommandHasAnExample() throws {
        let commands = try commands()
        #expect(commands.count >= 17, "\(commands)")
        #expect(commands.first == "zeroshot", "\(commands)")
        let general = examples(in: try ClipBinary(folder: folder).run(["--help"]).text)
        for command in commands {
            let help = try help(of: command)
            let own = (examples(in: help) + general).filter { $0.hasPrefix("clip \(command)") }
            #expect(!own.isEmpty, "clip \(command) --help has no example:\n\(help)")
        }
    }

    @Test func helpFitsInto80Columns() throws {
        for command in try [""] + commands() {
            let help = try help(of: command)
            for line in help.split(separator: "\n") {
                #expect(line.count <= 80, "clip \(command) --help: \(line)")
            }
        }
    }

    /// Runs every example in a shell, in a folder with the files of Examples/.
    ///
    /// The examples run in the order of the help texts. Only `clip pull` is left out, since it
    /// needs the network. Servers run on a free port for a short time.
    @Test func everyExampleExceptPullRunsAsPrinted() throws {
        let photos = folder.path + "/photos"
        try FileManager.default.copyItem(
            atPath: Fixtures.root + "/Examples", toPath: photos)
        var count = 0
        for command in try [""] + commands() {
            let help = try help(of: command)
            for example in examples(in: help) {
                #expect(example.hasPrefix("clip "), "clip \(command) --help: \(example)")
                guard !example.hasPrefix("clip pull ") else { continue }
                count += 1
                let isServer = example.hasPrefix("clip serve") && !example.contains("--systemd")
                let isEndless = isServer || example.contains("--watch")
                let started = isServer ? "\(example) --port 0" : example
                let line = isEndless ? "timeout --preserve-status 5 \(started)" : started
                let result = try shell(line, in: photos)
                #expect(result.status == 0, "\(example)\n\(result.errors)")
                let isSaid = result.errors.split(separator: "\n").allSatisfy {
                    $0.hasPrefix("clip: ") && !$0.hasPrefix("clip: error")
                }
                #expect(isSaid, "\(example)\n\(result.errors)")
            }
        }
        #expect(count >= 30, "\(count) examples")
    }

    private func shell(_ line: String, in place: String) throws -> ClipBinary.Result {
        let binary = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/bash"))
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        let tools = ClipBinary.built.deletingLastPathComponent().path
        return try binary.run(
            ["-c", "cd '\(place)' && { \(line)\n}"], environment: ["PATH": "\(tools):\(path)"])
    }

    @Test func helpNamesTheCommandsWithoutTinyAsDefault() throws {
        for command in [["probe", "train"], ["encode"], ["index"], ["eval"], ["worker"]] {
            let help = try ClipBinary(folder: folder).run(command + ["--help"]).text
            let words = help.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(
                words.contains("else tiny, except for clip index, probe, worker and encode -o)"),
                "clip \(command.joined(separator: " ")) --help: \(help)")
        }
    }

    @Test func versionsArePrinted() throws {
        let expected = try ClipBinary(folder: folder).run(["--version"]).text
        for arguments in [["version"], ["-V"]] {
            let result = try ClipBinary(folder: folder).run(arguments)
            #expect(result.status == 0, "\(arguments): \(result.text)")
            #expect(result.text == expected, "\(arguments): \(result.text)")
        }
    }

    @Test func helpSaysImage() throws {
        let otherWord = "pict" + "ure"
        for command in try [""] + commands() {
            let help = try help(of: command)
            let lines = help.split(separator: "\n").filter { $0.lowercased().contains(otherWord) }
            #expect(lines.isEmpty, "clip \(command) --help: \(lines)")
        }
    }
}
