import Files
import Foundation
import TestSupport
import Testing

/// Tests `clip index --watch`: what it notices, and how it ends.
@Suite(.enabled(if: FolderWatch.isSupported)) struct IndexWatchTests {
    private let folder: TemporaryFolder
    private let files = FileManager.default

    init() throws {
        folder = try TemporaryFolder()
        try files.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        try folder.copy(Fixtures.path("images/tall.png"), as: "photos/first.png")
    }

    /// Runs the command while `body` changes files, and sends it a signal.
    ///
    /// - Parameters:
    ///   - arguments: The arguments after `index --watch photos`.
    ///   - number: The signal.
    ///   - body: Called when the first update has ended.
    /// - Returns: The exit status, nil if the signal itself ended the process, and the output.
    /// - Throws: An error if the first update or the end does not come within 20 seconds.
    private func watch(
        _ arguments: [String] = [], until number: Int32, _ body: () throws -> Void
    ) throws -> (status: Int32?, output: String, errors: String) {
        let process = ClipBinary(folder: folder).process(
            ["index", "--watch", "photos", "--model", "tiny"] + arguments)
        for name in ["out", "err"] { try folder.write(name, []) }
        process.standardOutput = FileHandle(forWritingAtPath: folder.path + "/out")
        process.standardError = FileHandle(forWritingAtPath: folder.path + "/err")
        try process.run()
        defer { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }
        try wait("the first update") { try text("err").contains("watching 1 folder ") }
        try body()
        kill(process.processIdentifier, number)
        try wait("the end") { !process.isRunning }
        let status = process.terminationReason == .exit ? process.terminationStatus : nil
        return (status, try text("out"), try text("err"))
    }

    private func text(_ name: String) throws -> String {
        String(decoding: try bytes(ofFile: "\(folder.path)/\(name)"), as: UTF8.self)
    }

    private func wait(_ name: String, until condition: () throws -> Bool) throws {
        for _ in 0..<200 where try !condition() { usleep(100_000) }
        let (isMet, errors) = (try condition(), try text("err"))
        try #require(isMet, "\(name) did not come; standard error: \(errors)")
    }

    /// The names of the images in the index.
    private func indexed() throws -> Set<String> {
        let result = try ClipBinary(folder: folder).run(
            ["search", "a cat", "--index", "photos", "--top", "100", "--paths"])
        let lines = result.text.split(separator: "\n")
        return Set(lines.compactMap { $0.split(separator: "/").last.map(String.init) })
    }

    @Test func newImagesAndFoldersAreIndexed() throws {
        let result = try watch(until: SIGTERM) {
            try folder.copy(Fixtures.path("images/wide.png"), as: "photos/second.png")
            try folder.touch("photos/deep/er/notes.txt")
            try folder.copy(Fixtures.path("images/wide.png"), as: "photos/deep/er/third.png")
            try wait("the new images") {
                try indexed() == ["first.png", "second.png", "third.png"]
            }
            // The folder that came after the start is watched too.
            try folder.copy(Fixtures.path("images/tall.png"), as: "photos/deep/er/fourth.png")
            try files.removeItem(atPath: folder.path + "/photos/first.png")
            try wait("the changes in the new folder") {
                try indexed() == ["second.png", "third.png", "fourth.png"]
            }
        }
        #expect(result.status == 0, "\(result.errors)")
        #expect(!result.errors.contains("error"), "\(result.errors)")
    }

    @Test func fileBeingWrittenIsIndexedWhenItIsClosed() throws {
        let image = try bytes(ofFile: Fixtures.path("images/wide.png"))
        let result = try watch(["--json"], until: SIGINT) {
            let path = try folder.write("photos/.hidden", image[..<100])
            try folder.copy(Fixtures.path("images/tall.png"), as: "photos/.clip-indexed")
            let file = try #require(
                FileHandle(forUpdatingAtPath: try folder.write("photos/slow.png", [])))
            try file.write(contentsOf: image[..<100])
            sleep(3)
            try file.write(contentsOf: image[100...])
            try file.close()
            try wait("the image") { try indexed() == ["first.png", "slow.png"] }
            try files.removeItem(atPath: path)
        }
        #expect(result.status == 130, "\(result.errors)")
        #expect(!result.errors.contains("error"), "\(result.errors)")
        let lines = result.output.split(separator: "\n")
        #expect(lines.count == 2, "\(result.output)")
        for line in lines {
            #expect(try json(Data(line.utf8))["encoded"] as? Int == 1, "\(line)")
        }
    }

    @Test func removedFolderEndsTheCommandWithAnError() throws {
        let result = try watch(until: 0) {
            try files.removeItem(atPath: folder.path + "/photos")
        }
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.errors.contains("clip: error: "), "\(result.errors)")
    }

    @Test func listOfErrorsIsRefused() throws {
        expectFailure(
            try ClipBinary(folder: folder).run(["index", "--watch", "--list-errors", "photos"]),
            status: 2, says: "--watch and --list-errors cannot be combined")
    }
}
