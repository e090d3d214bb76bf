import Foundation
import TestSupport
import Testing

/// Tests the options --exclude and --hidden.
@Suite struct ExcludeTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let files = FileManager.default
        for name in ["a.jpg", "s/b.jpg", ".h/c.jpg", "@eaDir/d.jpg", "s/e.jpg"] {
            let path = folder.path + "/photos/" + name
            try files.createDirectory(
                atPath: (path as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true)
            try files.copyItem(atPath: Fixtures.path("images/rgb.jpg"), toPath: path)
        }
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    private func indexed() throws -> Set<String> {
        let text = try clip("search", "x", "--index", "photos", "--paths").successful().text
        return Set(text.split(separator: "\n").map { String($0.dropFirst("photos/".count)) })
    }

    @Test func excludedImagesAreRemovedAndTheRuleIsRecorded() throws {
        let model = CommandTests.model
        _ = try clip("index", "photos", "-m", model).successful()
        #expect(try indexed() == ["a.jpg", "s/b.jpg", "s/e.jpg"])
        let changed = try clip("index", "photos", "--exclude", "/s/b*").successful()
        #expect(changed.errors.contains("1 image removed from the index"), "\(changed.errors)")
        #expect(try indexed() == ["a.jpg", "s/e.jpg"])
        // Later runs, checks and rebuilds use the same rule.
        for option in ["-q", "--verify", "--rebuild"] {
            _ = try clip("index", "photos", option).successful()
            #expect(try indexed() == ["a.jpg", "s/e.jpg"], "\(option)")
        }
        _ = try clip("index", "photos", "--hidden").successful()
        #expect(try indexed() == ["a.jpg", "s/e.jpg", ".h/c.jpg"])
        _ = try clip("index", "photos", "--no-exclude", "--no-hidden").successful()
        #expect(try indexed() == ["a.jpg", "s/b.jpg", "s/e.jpg"])
        let json = try clip("index", "photos", "--exclude", "s/", "--json").successful().json()
        #expect(json["excluded"] as? Int == 2)
    }

    @Test func collectionsTakeTheSameOptions() throws {
        let result = try clip(
            "encode", "photos", "-m", CommandTests.model, "--exclude", "e.*", "--hidden"
        ).successful()
        let names = try result.output.split(separator: 10).map {
            try #require(json(Data($0))["image"] as? String)
        }
        #expect(names == ["photos/.h/c.jpg", "photos/a.jpg", "photos/s/b.jpg"])
    }

    @Test func malformedPatternsAreWrongUsage() throws {
        expectFailure(
            try clip("index", "photos", "--exclude", ""), status: 2, says: "--exclude is empty")
        expectFailure(
            try clip("encode", "photos", "--exclude", "!a"), status: 2, says: "begins with !")
        expectFailure(
            try clip("index", "photos", "--exclude", "../a"), status: 2,
            says: "names no file or folder below")
        expectFailure(
            try clip("index", "photos", "--exclude", "a", "--list-errors"), status: 2,
            says: "--list-errors cannot be combined")
    }
}
