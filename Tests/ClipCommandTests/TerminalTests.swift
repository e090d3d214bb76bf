import Foundation
import TestSupport
import Testing

/// Tests the output at a terminal, which the program `script` provides.
@Suite struct TerminalTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Standard output and standard error of a command line at a terminal.
    private func terminal(
        _ line: String, columns: Int = 100, type: String = "xterm"
    ) throws -> String {
        let binary = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        let result = try binary.run(
            [
                "-qec", "stty cols \(columns) rows 40; '\(ClipBinary.built.path)' \(line)",
                "/dev/null",
            ],
            environment: ["TERM": type, "CLIP_MODEL": "tiny", "SHELL": "/bin/sh"])
        return result.text.replacingOccurrences(of: "\r\n", with: "\n")
    }

    /// Creates a folder with an image whose name has an escape code.
    private func makePhotos() throws -> String {
        let photos = folder.path + "/photos"
        try FileManager.default.createDirectory(atPath: photos, withIntermediateDirectories: true)
        for (name, source) in [("esc\u{1B}[31m'red'.jpg", "bike"), ("dog.jpg", "dog")] {
            try FileManager.default.copyItem(
                atPath: Fixtures.root + "/Examples/\(source).jpg", toPath: "\(photos)/\(name)")
        }
        return photos
    }

    @Test func namesWithEscapeCodesAreQuoted() throws {
        let photos = try makePhotos()
        try folder.write("labels", "a bicycle\na \u{1B}[31mdog\n".utf8)
        let indexed = try ClipBinary(folder: folder).run(["index", photos, "-m", "tiny", "-q"])
        #expect(indexed.status == 0, "\(indexed.errors)")
        try folder.write("photos/bad\u{1B}[32m.jpg", "x".utf8)
        for line in [
            "search bicycle --index photos", "search bicycle --index photos --paths",
            "cluster photos -k 1", "dedupe photos --threshold 0 -q",
            "zeroshot photos --labels labels", "index photos -m tiny",
            "score --by text --text x --image photos/*",
            "similarity --text x --image photos/esc*",
        ] {
            // The escape codes of the progress line are not those of the name.
            let shown = try terminal(line).replacingOccurrences(of: "\u{1B}[K", with: "")
            #expect(!shown.contains("\u{1B}"), "clip \(line): \(shown.debugDescription)")
            let isQuoted =
                shown.contains("esc\\033[31m\\'red\\'.jpg'") || shown.contains("\\u001b")
            #expect(isQuoted, "clip \(line): \(shown.debugDescription)")
        }
        // A pipe gets the unquoted name.
        let piped = try ClipBinary(folder: folder).run(
            ["search", "bicycle", "--index", photos, "--paths", "--top", "1"])
        #expect(piped.text == "\(photos)/esc\u{1B}[31m'red'.jpg\n")
    }

    @Test func dumbTerminalsAreNotDrawnOn() throws {
        let photos = try makePhotos()
        let dumb = try terminal("encode '\(photos)' -o x.npy -m tiny", type: "dumb")
        #expect(!dumb.contains("\u{1B}"), "\(dumb.debugDescription)")
        #expect(!dumb.contains("\r"), "\(dumb.debugDescription)")
    }

    @Test func severalImagesPrintATable() throws {
        let photos = try makePhotos()
        try folder.write("labels", "a bicycle\na dog on the grass\n".utf8)
        let line = "zeroshot '\(photos)/dog.jpg' '\(photos)/dog.jpg' --labels labels"
        let shown = try terminal(line + " -q").split(separator: "\n").map(String.init)
        #expect(shown.count == 3, "\(shown)")
        #expect(shown.first == "probability   cosine  label               image", "\(shown)")
        let row = try #require(shown.last)
        #expect(
            row.contains(" %   0."),
            "\(row)")
        #expect(
            row.hasSuffix("  a dog on the grass  \(photos)/dog.jpg"),
            "\(row)")
        // JSON Lines on request, and for pipes.
        #expect(try terminal(line + " -q --json").hasPrefix("{\"image\""))
        let piped = try ClipBinary(folder: folder).run([
            "zeroshot", photos, "--labels", "labels", "-m", "tiny", "-q",
        ])
        #expect(piped.text.hasPrefix("{\"image\""))
    }

    @Test(arguments: [70, 80, 100, 120, 200])
    func modelsFitIntoTheTerminal(_ columns: Int) throws {
        let lines = try terminal("models", columns: columns).split(separator: "\n")
        #expect(lines.count == 115)
        for line in lines { #expect(line.count <= columns, "\(columns) columns: \(line)") }
        #expect(lines[0].hasPrefix("name") && lines[0].hasSuffix("installed"), "\(lines[0])")
        #expect(lines[0].contains("embedding") == (columns >= 120), "\(lines[0])")
    }
}
