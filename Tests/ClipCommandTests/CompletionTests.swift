import Foundation
import TestSupport
import Testing

/// Tests the scripts that complete command lines in shells.
@Suite struct CompletionTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func script(_ shell: String) throws -> String {
        let result = try ClipBinary(folder: folder).run(["--generate-completion-script", shell])
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.isEmpty, "\(result.errors)")
        return result.text
    }

    /// The completion of an argument.
    private enum Kind: String {
        case file, folder, npy, vectors, html, choices, model, names

        /// The bash script's words for it.
        var bash: String {
            switch self {
            case .file: "_completions -f"
            case .folder: "_completions -d"
            case .npy: "-o plusdirs -fX '!*.@(npy)'"
            case .vectors: "-o plusdirs -fX '!*.@(npy|parquet)'"
            case .html: "-o plusdirs -fX '!*.@(html)'"
            case .choices: "_completions -W 'fp32'$'\\n''bf16'$'\\n''int8'"
            case .model, .names: "_custom_complete ---completion"
            }
        }
    }

    private static let expected: [(command: String, argument: String, kind: Kind)] = [
        ("zeroshot", "*", .file), ("zeroshot", "--labels", .file), ("zeroshot", "--model", .model),
        ("zeroshot", "--precision", .choices), ("zeroshot", "--files-from", .file),
        ("zeroshot", "--errors", .file), ("encode", "*", .file), ("encode", "--output", .file),
        ("encode", "--text-file", .file), ("encode", "--model", .model), ("index", "1", .folder),
        ("index", "--model", .model), ("search", "*", .file), ("search", "--index", .vectors),
        ("search", "--html", .html), ("dedupe", "1", .vectors), ("dedupe", "--move-to", .folder),
        ("cluster", "1", .vectors), ("cluster", "--labels", .file), ("cluster", "--html", .html),
        ("map", "1", .vectors), ("export", "1", .vectors), ("map", "--output", .html),
        ("map", "--labels", .file),
        ("similarity", "*", .file), ("similarity", "--image", .file),
        ("similarity", "--text-file", .file), ("score", "*", .file), ("score", "--image", .file),
        ("eval", "1", .file), ("eval", "--dataset_root", .folder), ("eval", "--report", .html),
        ("eval", "--classes", .file), ("eval", "--model", .model), ("serve", "--model", .model),
        ("serve", "--index", .folder), ("serve", "--api-key-file", .file),
        ("serve", "--precision", .choices), ("preprocess", "1", .file),
        ("preprocess", "--output", .npy), ("pull", "1", .names),
        ("info", "1", .model), ("verify", "1", .model), ("convert", "1", .model),
        ("bench", "--image", .file), ("bench", "--index", .folder), ("bench", "--model", .model),
    ]

    @Test func everyPathIsCompletedInBash() throws {
        let script = try script("bash")
        for (command, argument, kind) in Self.expected {
            let start = try #require(script.range(of: "\n_clip_\(command)() {")).upperBound
            let end = try #require(script[start...].range(of: "\n}\n")).lowerBound
            // '--output'|'-o'), or the number of a positional argument.
            let lines = script[start..<end].split(separator: "\n")
            let place = lines.firstIndex { line in
                let words = line.trimmingCharacters(in: .whitespaces)
                return words.hasSuffix(")")
                    && words.dropLast().split(separator: "|")
                        .contains { $0 == "'\(argument)'" || $0 == argument }
            }
            let next = try #require(place, "\(command) \(argument) is not completed") + 1
            #expect(lines[next].contains(kind.bash), "\(command) \(argument): \(lines[next])")
        }
    }

    /// Every option and argument that takes a path has a completion.
    @Test func everyPathArgumentIsCompleted() throws {
        let result = try ClipBinary(folder: folder).run(["--experimental-dump-help"])
        let root = try #require(result.json()["command"] as? [String: Any])
        let paths: Set<String> = [
            "file", "folder", "input", "vectors", "query", "name|path", "file|folder/", "out",
            "image",
        ]
        var seen = 0
        for command in root["subcommands"] as? [[String: Any]] ?? [] {
            let name = command["commandName"] as? String ?? "?"
            for argument in command["arguments"] as? [[String: Any]] ?? [] {
                guard let value = argument["valueName"] as? String, paths.contains(value),
                    argument["kind"] as? String != "flag"
                else { continue }
                seen += 1
                #expect(argument["completionKind"] != nil, "\(name) <\(value)>: \(argument)")
            }
        }
        #expect(seen > 50, "\(seen)")
    }

    @Test func zshAndFishCompleteThem() throws {
        let zsh = try script("zsh")
        #expect(zsh.contains("'--labels=["))
        #expect(zsh.contains(":file:_files'"))
        #expect(zsh.contains(":folder:_files -/'"), "clip index FOLDER")
        #expect(zsh.contains(":vectors:_files -g '\\''*.npy *.parquet'\\'''"), "clip dedupe FOLDER")
        #expect(zsh.contains("---completion encode -- --model"))
        let fish = try script("fish")
        for (line, ending) in [
            ("\"clip zeroshot\" -ge 1'", "-F"), ("clip zeroshot\" labels'", "-rF"),
            ("\"clip index\" -eq 1'", "-fa '(__clip_complete_directories)'"),
            ("clip encode\" m model'", "---completion encode -- --model"),
        ] {
            let lines = fish.split(separator: "\n").filter { $0.contains(line) }
            try #require(lines.count == 1, "\(line): \(lines)")
            #expect(lines[0].contains(ending), "\(line): \(lines)")
        }
    }

    /// Runs real shells, with the script that also checks zsh and fish if they are installed.
    @Test func bashCompletes() throws {
        let result = try ClipBinary(
            folder: folder, executable: URL(fileURLWithPath: "/usr/bin/env")
        ).run(["bash", Fixtures.root + "/Scripts/completions.sh", ClipBinary.built.path, "bash"])
        #expect(result.status == 0, "\(result.text)\(result.errors)")
    }

    @Test func installedRepositoriesAreCompleted() throws {
        let snapshot = ".cache/huggingface/hub/models--me--my--model/snapshots/0"
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/\(snapshot)", withIntermediateDirectories: true)
        try folder.write("\(snapshot)/model.safetensors", [0])
        let result = try ClipBinary(folder: folder).run([
            "---completion", "pull", "--", "positional@0", "2", "0", "clip", "pull", "",
        ])
        let names = result.text.split(separator: "\n").map(String.init)
        for name in ["tiny", "ViT-B/32", "ViT-B-32:openai", "me/my--model"] {
            #expect(names.contains(name), "\(name): \(result.text)\(result.errors)")
        }
        #expect(Set(names).count == names.count)
    }
}
