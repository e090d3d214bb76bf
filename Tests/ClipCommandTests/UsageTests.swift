import Foundation
import TestSupport
import Testing

/// Tests the messages about wrong command lines.
@Suite struct UsageTests {
    private static let bike = Fixtures.root + "/Examples/bike.jpg"
    private static let dog = Fixtures.root + "/Examples/dog.jpg"
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: [String], input: String = ""
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(
            arguments, input: input, environment: ["CLIP_MODEL": "tiny"])
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result { try clip(arguments) }

    @Test(arguments: [
        (["encdoe", bike], "unknown command 'encdoe'; did you mean 'encode'? (see clip --help)"),
        (["help", "zeroshto"], "unknown command 'zeroshto'; did you mean 'zeroshot'?"),
        (["Search", "dog"], "unknown command 'Search'; did you mean 'search'?"),
        (["xyzzy"], "unknown command 'xyzzy'; the commands are zeroshot, encode"),
        ([bike], "did you mean clip encode \(bike)?"),
    ])
    func unknownCommandsAreNamed(_ arguments: [String], says: String) throws {
        expectFailure(try clip(arguments), status: 2, says: says)
    }

    @Test(arguments: ["-2:a dog", "- a dog", "-0.5:a"])
    func aMinusSignInOneWordWithItsTermIsExplained(_ term: String) throws {
        for query in [[term], ["a", "+", term]] {
            expectFailure(
                try clip(["search"] + query), status: 2,
                says: "\"\(term)\" is taken for an option: expected a minus sign")
        }
    }

    @Test func helpThatCannotBeWrittenIsAnError() throws {
        let shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
        for arguments in [["--help"], ["search", "--help"], ["help", "index"], []] {
            let line = ["-c", "exec \"$0\" \"$@\" >&-", ClipBinary.built.path]
            expectFailure(
                try shell.run(line + arguments), status: 1,
                says: "cannot write to standard output")
        }
    }

    @Test(arguments: ["encode", "zeroshot", "index"])
    func aFolderWithoutImagesIsNoted(_ command: String) throws {
        let files = FileManager.default
        let path = folder.path + "/empty"
        try files.createDirectory(atPath: path, withIntermediateDirectories: true)
        let result = try clip(
            [command, "empty", "-m", "tiny"] + (command == "zeroshot" ? ["a", "b"] : []))
        #expect(result.status == 0)
        #expect(result.output.isEmpty, "\(result.text)")
        let says = command == "index" ? "0 encoded" : "no inputs found"
        #expect(result.errors.contains("clip: \(command): \(says)"), "\(result.errors)")
    }

    @Test func helpOfACommandIsPrinted() throws {
        let help = try clip("help", "zeroshot")
        #expect(help.status == 0)
        #expect(help.text.contains("--template"))
        #expect(try clip().text.contains("SUBCOMMANDS"))
    }

    @Test(arguments: [
        (["zeroshot", bike, "a", "b", "--bogus"], "clip zeroshot --help"),
        (["zeroshot", bike], "clip zeroshot --help"),
        (["search", "dog", "--top", "0"], "clip search --help"),
        (["map", "."], "clip map --help"),
        (["encode", "--text", "a", "--threads", "0"], "clip encode --help"),
        (["encode"], "clip encode --help"), (["--bogus"], "clip --help"),
    ])
    func usageErrorsPointToTheHelpOfTheCommand(_ arguments: [String], help: String) throws {
        expectFailure(try clip(arguments), status: 2, says: "(see \(help))")
    }

    @Test func mistypedOptionsAreReportedFirst() throws {
        for (arguments, says) in [
            (["search", "dog", "--limit", "3"], "unknown option '--limit'"),
            (["similarity", "--images", Self.bike, "--text", "a"], "did you mean '--image'"),
            (["score", "--imgae", Self.bike, "--text", "a"], "'--image'"),
        ] {
            let result = try clip(arguments)
            #expect(
                result.status == 2,
                "\(arguments): \(result.errors)")
            #expect(
                result.errors.lowercased().contains(says),
                "\(arguments): \(result.errors)")
        }
        expectFailure(
            try clip("search", "dog", "--top", "-1"), status: 2,
            says: "--top must be at least 1, not -1")
    }

    /// A number that begins with - is a value, not an option.
    @Test(arguments: [
        (["bench", "--tower", "text", "--batch", "-1"], "--batch must be 1 to 10000, not -1"),
        (["bench", "--tower", "text", "--repetitions", "-1"], "--repetitions must be 1 to 10000"),
        (["bench", "--tower", "text", "--tokens", "-1"], "--tokens must be at least 2, not -1"),
        (["cluster", ".", "-k", "2", "--seed", "-1"], "the value '-1' is invalid for '--seed"),
        (["similarity", "--sample", "2", "--seed", "-1"], "the value '-1' is invalid for '--seed"),
        (["dedupe", ".", "--threshold", "-2"], "--threshold"),
    ])
    func negativeNumbersAreValues(_ arguments: [String], says: String) throws {
        expectFailure(try clip(arguments), status: 2, says: says)
    }

    // MARK: labels and templates

    @Test(arguments: [
        (["", "dog"], "label 1 is empty"), (["dog", "  "], "label 2 is empty"),
        (["cat", "dog", "cat"], "the label \"cat\" is given twice"),
        ([dog, "cat", "dog"], "\(dog) is an image file, not a label; to classify several images"),
        (["dog", "cat", "--template", "a photo"], "--template \"a photo\" has no {}"),
        (["dog"], "at least two labels after the image; found 1"),
    ])
    func senselessLabelsAreRejected(_ labels: [String], says: String) throws {
        expectFailure(try clip(["zeroshot", Self.bike] + labels), status: 2, says: says)
    }

    @Test func duplicateLabelsInAFileAreAWarning() throws {
        let file = try folder.write("labels", "cat\ndog\n\ncat\n".utf8)
        let result = try clip("zeroshot", Self.bike, "--labels", file, "--json")
        #expect(result.status == 0)
        #expect((try result.json()["predictions"] as? [Any])?.count == 3)
        #expect(
            result.errors.contains("warning: \(file) has \"cat\" more than once"),
            "\(result.errors)")
        let quiet = try clip("zeroshot", Self.bike, "--labels", file, "-q")
        #expect(quiet.status == 0)
        #expect(quiet.errors.isEmpty)
        expectFailure(
            try clip("zeroshot", Self.bike, "--labels", "/dev/null"), status: 2,
            says: "expected at least two labels in /dev/null, one per line; found 0")
    }

    @Test func secondTemplateTakenAsLabelIsAWarning() throws {
        let result = try clip(
            "zeroshot", Self.bike, "--template", "a {}", "the {}", "cat", "dog")
        #expect(result.status == 0)
        #expect(result.errors.contains("needs its own --template"), "\(result.errors)")
    }

    // MARK: outputs

    @Test(arguments: [
        ["encode", bike, "-o", "x.npy", "--format", "jsonl"],
        ["encode", bike, "-o", "x.jsonl", "--format", "npy"],
        ["encode", bike, "-o", "x.npy", "--format", "shards"],
        ["preprocess", bike, "-o", "x.png"], ["map", ".", "-o", "x.png"],
        ["convert", "tiny", "x.bin"], ["search", "a", "--html", "x.json"],
        ["cluster", ".", "-k", "2", "--html", "x.svg"],
    ])
    func suffixesOfOtherFormatsAreRefused(_ arguments: [String]) throws {
        let result = try clip(arguments)
        expectFailure(result, status: 2, says: "its suffix contradicts the format")
        let files = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!files.contains { $0.hasPrefix("x.") }, "\(files)")
    }

    @Test(arguments: ["x.arrow", "x.txt", "x.npz"])
    func unsupportedSuffixIsRejected(_ output: String) throws {
        expectFailure(
            try clip("encode", Self.bike, "-o", output), status: 2,
            says: """
                -o \(output): unsupported suffix; end the name in .jsonl, .json, .npy or \
                .parquet, or in / for a folder
                """)
    }

    @Test func meaninglessSuffixesAreAccepted() throws {
        for arguments in [
            ["encode", Self.bike, "-o", "x.2026"], ["encode", Self.bike, "-o", "x"],
            ["encode", Self.bike, "-o", "x.txt", "--format", "jsonl"],
            ["encode", Self.bike, "-o", "/dev/null"], ["preprocess", Self.bike, "-o", "y"],
            ["convert", "tiny", "z"],
        ] {
            let result = try clip(arguments + ["-q"])
            #expect(result.status == 0, "\(arguments): \(result.errors)")
        }
    }

    /// The error is reported before any work: the index and the image do not exist either.
    @Test(arguments: [
        ["map", "none", "-o", "/nope/m.html"], ["encode", "none.jpg", "-o", "/nope/x.npy"],
        ["encode", "none.jpg", "-o", "/dev/null/x/"],
        ["encode", "none.jpg", "--errors", "/nope/e"],
        ["convert", "none", "/nope/x"], ["search", "a", "--html", "/nope/x.html"],
        ["cluster", "none", "-k", "2", "--html", "/nope/x.html"],
        ["similarity", "--image", "none.jpg", "--text", "a", "--heatmap", "/nope/h.svg"],
        ["zeroshot", "none.jpg", "a", "b", "--errors", "/nope/e"],
        ["preprocess", "none.jpg", "-o", "/nope/x.npy"],
    ])
    func unwritableOutputIsReportedFirst(_ arguments: [String]) throws {
        expectFailure(try clip(arguments), status: 2, says: "cannot write /")
    }

    @Test func unwritableCurrentFolderIsNamed() throws {
        guard geteuid() != 0 else { return }  // root writes everywhere
        try FileManager.default.createDirectory(
            atPath: folder.path + "/locked", withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o555])
        expectFailure(
            try ClipBinary(folder: folder).run(
                ["encode", Self.bike, "-o", "x.npy", "-m", "tiny"], in: "locked"),
            status: 2, says: "cannot write x.npy: Permission denied in the current folder (see")
    }

    // MARK: several values

    @Test func optionsWithSeveralValuesMayBeRepeated() throws {
        let (a, b) = (Self.bike, Self.dog)
        for (together, repeated) in [
            (
                ["similarity", "--json", "--image", a, b, "--text", "x", "y"],
                ["similarity", "--json", "--image", a, "--text", "x", "--image", b, "--text", "y"]
            ),
            (
                ["score", "--json", "--image", a, "--text", "x", "y", "--references", "z", "w"],
                [
                    "score", "--json", "--text", "x", "--references", "z", "--image", a, "--text",
                    "y", "--references", "w",
                ]
            ),
        ] {
            let (one, other) = (try clip(together), try clip(repeated))
            #expect(one.status == 0, "\(one.text)\n\(other.text)")
            #expect(one.output == other.output, "\(one.text)\n\(other.text)")
        }
        for name in ["a", "b"] { try folder.write(name, "\(name == "a" ? a : b)\n".utf8) }
        let encoded = try clip("encode", "--files-from", "a", "--files-from", "b", "-q")
        #expect(encoded.text.split(separator: "\n").count == 2, "\(encoded.errors)")
        for command in ["encode", "zeroshot", "similarity", "score"] {
            let help = try clip(command, "--help").text
                .split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(help.lowercased().contains("repeat the option"), "\(help)")
        }
    }

    @Test func textTakenForAFileGetsAHint() throws {
        let result = try clip("encode", "--text", "a cat", "a dog")
        #expect(result.status == 1)
        #expect(
            result.errors.contains("--text \"a cat\" --text \"a dog\""), "\(result.errors)")
        let missing = try clip("encode", "--text", "a cat", "dog.jpg")
        #expect(missing.status == 1, "\(missing.errors)")
        #expect(!missing.errors.contains("repeat"), "\(missing.errors)")
    }

    // MARK: inputs

    @Test(arguments: [
        (
            ["encode", "https://example.org/a.jpg"],
            "is a URL; run curl -sL https://example.org/a.jpg | clip encode -"
        ),
        (["preprocess", "http://example.org/a.jpg", "-o", "x.npy"], "curl -LO http://example.org"),
        (["encode", "my data.tar.gz"], "zcat 'my data.tar.gz' | clip encode -"),
        (["zeroshot", "x.tgz", "--labels", "l"], "zcat x.tgz | clip zeroshot --labels FILE -"),
    ])
    func unreadableInputsSuggestACommand(_ arguments: [String], says: String) throws {
        expectFailure(try clip(arguments), status: 2, says: says)
    }

    /// The shell's `*.jpg` gives such names.
    @Test func fileTakenForAnOptionIsNamed() throws {
        try folder.copy(Self.bike, as: "-x.jpg")
        for arguments in [["-x.jpg"], ["-x.jpg", Self.bike], [Self.bike, "-x.jpg"]] {
            expectFailure(
                try clip(["encode"] + arguments), status: 2,
                says: "file -x.jpg is taken for an option; write ./-x.jpg, or ./*.jpg for *.jpg")
        }
        for arguments in [["./-x.jpg"], ["--", "-x.jpg"], ["*.jpg"]] {
            let result = try clip(["encode", "-q"] + arguments)
            #expect(result.status == 0, "\(arguments): \(result.errors)")
        }
    }

    @Test func hiddenStatesReportNoMissingImages() throws {
        let result = try clip("encode", "--hidden-states", "last", "--text", "a dog")
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.isEmpty, "\(result.errors)")
        #expect(try result.json()["model"] as? String == "tiny")
    }

    @Test func collectionLinesNameTheModel() throws {
        let labels = try folder.write("labels", "a bicycle\na dog\n".utf8)
        for arguments in [
            ["encode", Self.bike, Self.dog], ["encode", Self.bike, Self.dog, "-o", "x.jsonl"],
            ["zeroshot", Self.bike, Self.dog, "--labels", labels],
            ["score", "--json", "--image", Self.bike, Self.dog, "--text", "x"],
            ["score", "--json", "--image", Self.bike, "--text", "x", "y", "--by", "text"],
        ] {
            var text = try clip(arguments).text
            if arguments.contains("-o") {
                text = try String(contentsOfFile: folder.path + "/x.jsonl", encoding: .utf8)
            }
            let lines = text.split(separator: "\n")
            #expect(lines.count == 2, "\(arguments): \(text)")
            for line in lines {
                let model = try json(Data(line.utf8))["model"] as? String
                #expect(model == "tiny", "\(arguments): \(line)")
            }
        }
    }

    @Test func shortTextsHeadTheColumns() throws {
        try folder.copy(Self.bike, as: "bike.jpg")
        func lines(_ texts: String...) throws -> [String] {
            try clip(["similarity", "--image", "bike.jpg", "--text"] + texts).text
                .split(separator: "\n").map(String.init)
        }
        let columns = try lines("a bicycle", "a dog")
        try #require(columns.count == 2, "\(columns)")
        #expect(columns[0] == "  a bicycle   a dog  image", "\(columns)")
        #expect(columns.last?.hasSuffix("  bike.jpg") == true, "\(columns)")
        let long = String(repeating: "a very long text ", count: 3)
        let numbered = try lines("a bicycle", long)
        #expect(
            numbered.prefix(3) == ["[1] a bicycle", "[2] \(long)", "     [1]     [2]  image"],
            "\(numbered)")
    }

    @Test func resultsOfASearchNameTheModel() throws {
        let photos = folder.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: photos, withIntermediateDirectories: false)
        try FileManager.default.copyItem(atPath: Self.dog, toPath: photos + "/dog.jpg")
        #expect(try clip("index", photos, "-q").status == 0)
        let found = try json(clip("search", "a dog", "--index", photos, "--json").output)
        #expect(found["model"] as? String == "tiny", "\(found)")
        #expect(found["path"] != nil, "\(found)")
        let clusters = try json(clip("cluster", photos, "-k", "1", "--json").output)
        #expect(clusters["model"] as? String == "tiny", "\(clusters)")
        for (query, says) in [
            (["https://example.org/a.jpg"], "is a URL"), ([""], "is empty"),
            (["a dog", "+", " "], "is empty"),
        ] {
            expectFailure(
                try clip(["search"] + query + ["--index", photos]), status: 2, says: says)
        }
        for arguments in [["search", "a", "--index", "nope"], ["dedupe", "nope"]] {
            expectFailure(
                try clip(arguments), status: 1, says: "cannot read nope: No such file or directory")
        }
    }

    @Test func shortOptionsEqualLongOnes() throws {
        let labels = ["a bicycle", "a dog", "a cat"]
        let long = try clip(["zeroshot", Self.bike] + labels + ["--model", "tiny", "--top", "1"])
        let short = try clip(["zeroshot", Self.bike] + labels + ["-m", "tiny", "-t", "1"])
        #expect(short.status == 0, "\(short.errors)")
        #expect(short.output == long.output, "\(short.errors)")
        let ended = try clip(["tokenize", "--null"], input: "a cat\0a dog\0")
        #expect(ended.text.split(separator: "\n").count == 2, "\(ended.errors)")
    }

    @Test func unindexableFolderIsNamed() throws {
        expectFailure(try clip("index", "nope"), status: 1, says: "cannot index nope: No such file")
        expectFailure(
            try clip("index", Self.bike), status: 1, says: "it is a file; give the folder")
    }
}
