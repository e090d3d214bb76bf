import Foundation
import TestSupport
import Testing

/// Tests `clip search` in a folder without an index.
@Suite struct MissingIndexTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        try FileManager.default.createDirectory(
            atPath: folder.path + "/photos", withIntermediateDirectories: true)
        try FileManager.default.copyItem(
            atPath: Fixtures.path("images/rgb.jpg"), toPath: folder.path + "/photos/a.jpg")
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    private var hasIndex: Bool {
        FileManager.default.fileExists(atPath: folder.path + "/photos/.clip-index")
    }

    @Test func isAnErrorWithoutTerminalAndConsent() throws {
        let result = try clip("search", "x", "--index", "photos", "-m", CommandTests.model)
        expectFailure(result, status: 1, says: "create it with clip index photos, or give --yes")
        #expect(!hasIndex)
    }

    @Test func isCreatedWithConsent() throws {
        let result = try clip(
            "search", "x", "--index", "photos", "-m", CommandTests.model, "--yes"
        ).successful()
        #expect(result.text.hasSuffix("\tphotos/a.jpg\n"), "\(result.text)")
        #expect(result.errors.contains("indexing 1 image with"), "\(result.errors)")
        #expect(hasIndex)
    }

    @Test func isNotCreatedForAQueryOfAMissingFile() throws {
        let result = try clip(
            "search", "./none.jpg", "--index", "photos", "-m", CommandTests.model, "--yes")
        expectFailure(result, status: 1, says: "cannot read ./none.jpg")
        #expect(!hasIndex)
    }

    @Test func theDemonstrationModelNeedsItsOwnConsent() throws {
        let refused = try clip("search", "x", "--index", "photos", "--yes")
        expectFailure(refused, status: 2, says: "clip index photos --model tiny")
        #expect(refused.errors.contains("clip pull ViT-B/32"), "\(refused.errors)")
        #expect(!hasIndex)
        _ = try clip("search", "x", "--index", "photos", "--yes", "-m", "tiny").successful()
        #expect(hasIndex)
    }

    @Test func aFolderWithoutImagesGetsNone() throws {
        try FileManager.default.removeItem(atPath: folder.path + "/photos/a.jpg")
        let result = try clip("search", "x", "--index", "photos", "--yes", "-m", "tiny")
        expectFailure(result, status: 1, says: "no images to make one of")
        #expect(!hasIndex)
    }

    @Test(.enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/script")))
    func terminalsAreAsked() throws {
        let line = "'\(ClipBinary.built.path)' search x --index photos"
        let binary = ClipBinary(folder: folder, executable: URL(fileURLWithPath: "/usr/bin/script"))
        let variables = ["TERM": "xterm", "SHELL": "/bin/sh"]
        let no = try binary.run(["-qec", line, "/dev/null"], input: "n\n", environment: variables)
        #expect(no.text.contains("Index its 1 image with tiny now? [y/N]"), "\(no.text)")
        #expect(no.status == 2)
        #expect(!hasIndex)
        let yes = try binary.run(["-qec", line, "/dev/null"], input: "y\n", environment: variables)
        #expect(yes.text.contains("photos/a.jpg"), "\(yes.text)")
        #expect(hasIndex)
    }
}
