import Foundation
import TestSupport
import Testing

/// Tests the outputs of `clip eval`: their places, and what is left of them after an error.
@Suite struct EvalOutputTests {
    let folder: TemporaryFolder
    let shell: ClipBinary

    init() throws {
        folder = try TemporaryFolder()
        shell = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/bin/sh"))
    }

    func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments + ["--model", "tiny"])
    }

    /// Writes a table with rows of two images in turn, and returns its name.
    func table(rows: Int = 2) throws -> String {
        for image in ["cat", "dog"] {
            try folder.copy("\(Fixtures.root)/Examples/\(image).jpg", as: "\(image).jpg")
        }
        let names = (0..<rows).map { $0 % 2 == 0 ? "cat" : "dog" }
        let lines = names.map { "\($0).jpg,a \($0)\n" }
        try folder.write("t.csv", ("path,label\n" + lines.joined()).utf8)
        return "t.csv"
    }

    @Test(arguments: ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "out.txt"])
    func pathOfStandardOutputIsStandardOutput(_ path: String) throws {
        let table = try table()
        func run(_ option: String) throws -> ClipBinary.Result {
            try shell.run([
                "-c",
                """
                '\(ClipBinary.built.path)' eval '\(table)' --model tiny \(option) \(path) > out.txt
                status=$?
                cat out.txt
                exit $status
                """,
            ])
        }
        expectFailure(try run("--predictions"), status: 2, says: "standard output")
        let shown = try run("--output").successful().text
        #expect(shown.hasPrefix("{\"dataset\": "), "\(shown.prefix(500))")
        #expect(shown.contains("\"task\": \"zeroshot_classification\""), "\(shown)")
        #expect(!shown.contains("95 % interval"), "\(shown)")
        let page = try run("--report").successful().text
        #expect(page.hasPrefix("<!doctype html>"), "\(page.prefix(500))")
        #expect(page.contains("</html>"), "\(page.suffix(500))")
    }

    @Test func errorsOnStandardOutputAreNotOverwritten() throws {
        let rows = try bytes(ofFile: folder.path + "/" + table())
        try folder.write("t.csv", rows + Array("no.jpg,a cat\n".utf8))
        let result = try shell.run([
            "-c",
            """
            '\(ClipBinary.built.path)' eval t.csv --model tiny --errors /dev/stdout > out.txt
            cat out.txt
            """,
        ]).successful()
        #expect(result.text.hasPrefix("{\"path\":"), "\(result.text)")
        #expect(result.text.contains("no.jpg\",\"reason\":"), "\(result.text)")
        #expect(result.text.contains("mean_per_class_recall"), "\(result.text)")
    }

    @Test func predictionsThatCannotBeWrittenAreRemoved() throws {
        let table = try table(rows: 60)
        let result = try shell.run([
            "-c",
            """
            ulimit -f 4
            exec '\(ClipBinary.built.path)' eval \(table) --model tiny --predictions p.jsonl
            """,
        ])
        expectFailure(result, status: 1, says: "cannot write p.jsonl")
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(!left.contains { $0.hasPrefix("p.jsonl") }, "\(left)")
    }

    @Test(arguments: [
        ("{foo}.json", "{foo}"), ("{dataset}_{Model}.json", "{Model}"), ("{}.json", "{}"),
        ("{task}{language}{{x}.json", "{x}"),
    ])
    func unknownPlaceholderIsRefused(output: String, placeholder: String) throws {
        let result = try clip(["eval", try table(), "--output", output])
        expectFailure(result, status: 2, says: "unknown placeholder \(placeholder);")
    }

    @Test func optionsWithoutEffectAreNoted() throws {
        let table = try table()
        let arguments = ["eval", table, "--recall_k", "1", "--samples", "3", "--seed", "0"]
        let result = try clip(arguments).successful()
        for words in [
            "--recall_k: no effect, because the data set has no captions",
            "--samples, --seed: no effect, because --report is not given",
        ] {
            #expect(result.errors.contains(words), "\(result.errors)")
        }
        let quiet = try clip(arguments + ["-q"]).successful()
        #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        let page = try clip(["eval", table, "--samples", "3", "--seed", "0", "--report", "p.html"])
            .successful()
        #expect(!page.errors.contains("no effect"), "\(page.errors)")
    }
}
