import Foundation
import TestSupport
import Testing

/// Tests `clip merge`: its output, its messages, and what it never replaces.
@Suite struct MergeTests {
    private static let image = Fixtures.path("images/rgb.jpg")
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    private func exists(_ name: String) -> Bool {
        FileManager.default.fileExists(atPath: "\(folder.path)/\(name)")
    }

    /// Copies a fixture model, with a changed configuration.
    private func copy(
        _ model: String, as name: String, replacing old: String = "", with new: String = ""
    ) throws {
        try folder.copy(Fixtures.path("models/\(model)"), as: name)
        let path = "\(name)/open_clip_config.json"
        let text = String(decoding: try bytes(ofFile: "\(folder.path)/\(path)"), as: UTF8.self)
        if !old.isEmpty { try folder.write(path, text.replacing(old, with: new).utf8) }
    }

    @Test func mergeOfAModelWithItselfEncodesAlike() throws {
        let merged = try clip("merge", "tiny", "tiny", "--alpha", "1", "-o", "m.safetensors")
            .successful()
        #expect(merged.output.isEmpty)
        #expect(merged.errors.contains("parameters to m.safetensors"), "\(merged.errors)")
        let vectors = try ["tiny", "m.safetensors"].map { model in
            try clip("encode", Self.image, "--format", "npy", "--model", model).successful().output
        }
        #expect(vectors[0] == vectors[1])
        let quiet = try clip("merge", "tiny", "tiny", "-o", "q.safetensors", "--quiet")
        #expect(quiet.successful().errors.isEmpty)
    }

    @Test func infoShowsBothModels() throws {
        _ = try clip("merge", "tiny", "tiny", "--alpha", "0.25", "-o", "m.safetensors", "-q")
            .successful()
        let text = try clip("info", "m.safetensors").successful().text
        #expect(text.contains("merge of:     0.7500 x tiny, fingerprint "), "\(text)")
        #expect(text.contains("merge of:     0.2500 x tiny, fingerprint "), "\(text)")
        let merge = try #require(
            clip("info", "m.safetensors", "--json").json()["merge"] as? [String: Any])
        #expect(merge["alpha"] as? Double == 0.25)
        let second = try #require(merge["second"] as? [String: Any])
        #expect(second["name"] as? String == "tiny")
        #expect((second["fingerprint"] as? String)?.count == 64)
        let plain = try clip("info", "tiny", "--json").json()
        #expect(plain["merge"] is NSNull, "\(plain)")
    }

    @Test(arguments: [("f32", "F32"), ("f16", "F16"), ("bf16", "BF16")])
    func formatsAreWritten(_ option: String, type: String) throws {
        _ = try clip("merge", "tiny", "tiny", "-o", "m.safetensors", "--dtype", option).successful()
        let info = try clip("info", "m.safetensors", "--json").json()
        #expect(info["types"] as? [String] == [type])
    }

    @Test func modelsThatDifferAreRefused() throws {
        try copy("seeded", as: "a")
        expectFailure(
            try clip("merge", "a", "tiny", "-o", "m.safetensors"), status: 1,
            says: "expected the image tower")
        let text = String(
            decoding: try bytes(ofFile: folder.path + "/a/open_clip_config.json"), as: UTF8.self)
        let isQuick = text.contains("\"quick_gelu\": true")
        try copy(
            "seeded", as: "b", replacing: "\"quick_gelu\": \(isQuick)",
            with: "\"quick_gelu\": \(!isQuick)")
        expectFailure(
            try clip("merge", "a", "b", "-o", "m.safetensors"), status: 1,
            says: "expected the activation \(isQuick ? "quickgelu, found gelu" : "gelu")")
        #expect(!exists("m.safetensors"))
    }

    @Test func inputsAreNeverReplaced() throws {
        _ = try clip("convert", "tiny", "a.safetensors").successful()
        let before = try bytes(ofFile: folder.path + "/a.safetensors")
        for arguments in [["a.safetensors", "tiny"], ["tiny", "a.safetensors"]] {
            expectFailure(
                try ClipBinary(folder: folder).run(
                    ["merge"] + arguments + ["-o", "./a.safetensors"]),
                status: 2, says: "it is a file of a model to be merged")
        }
        #expect(try bytes(ofFile: folder.path + "/a.safetensors") == before)
    }

    @Test(arguments: [
        (["tiny", "tiny", "--alpha", "1.5", "-o", "m.safetensors"], "--alpha must be 0 to 1"),
        (["tiny", "tiny", "--alpha", "-0.5", "-o", "m.safetensors"], "--alpha must be 0 to 1"),
        (["tiny", "tiny", "--alpha", "nan", "-o", "m.safetensors"], "--alpha must be 0 to 1"),
        (["tiny", "tiny", "-o", "-"], "merge cannot write to standard output"),
        (["tiny", "tiny", "-o", "m.npy"], "its suffix contradicts the format"),
        (["tiny", "tiny", "-o", "none/m.safetensors"], "the folder none does not exist"),
        (["tiny", "tiny", "-o", ""], "--output is empty"),
        (["tiny", "", "-o", "m.safetensors"], "the second model is empty"),
        (["tiny", "tiny"], "--output"),
    ])
    func wrongUsageIsRefused(_ arguments: [String], says: String) throws {
        expectFailure(
            try ClipBinary(folder: folder).run(["merge"] + arguments), status: 2, says: says)
    }
}
