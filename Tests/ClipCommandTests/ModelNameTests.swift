import Foundation
import TestSupport
import Testing

/// Tests the values of --model, and `clip models`.
@Suite struct ModelNameTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    @Test func otherSpellingsOfNamesAreAccepted() throws {
        for name in ["vit-b/32", "ViT-B-32", "ViT-B-32-quickgelu"] {
            expectFailure(
                try clip("encode", "--text", "a", "--model", name), status: 1,
                says: "are not on this machine; run clip pull \(name),")
        }
        expectFailure(
            try clip("encode", "--text", "a", "--model", "hf-hub:me/model"), status: 1,
            says: "clip pull hf-hub:me/model")
    }

    @Test func folderMayHoldAFileWithAnOpenAIName() throws {
        let model = Fixtures.path("models/seeded")
        try folder.copy(model + "/open_clip_model.safetensors", as: "ViT-B-32.safetensors")
        try folder.copy(model + "/open_clip_config.json", as: "open_clip_config.json")
        let found = try clip("encode", "--text", "a", "--model", folder.path)
        let expected = try clip("encode", "--text", "a", "--model", model)
        #expect(found.status == 0, "\(found.errors)")
        let embedding = { (data: Data) in try json(data)["embedding"] as? [Double] }
        #expect(try embedding(found.output) == embedding(expected.output))

        // With two files it is unknown which one is meant.
        try folder.copy(model + "/open_clip_model.safetensors", as: "RN50.safetensors")
        expectFailure(
            try clip("encode", "--text", "a", "--model", folder.path), status: 1,
            says: "or with the weights of a single OpenAI model")
    }

    @Test func filesThatAreNotWeightsAreIdentified() throws {
        let jpeg = Fixtures.root + "/Examples/bike.jpg"
        let page = try folder.write("a.safetensors", "<!DOCTYPE html><html></html>".utf8)
        let pointer = try folder.write(
            "b.safetensors", "version https://git-lfs.github.com/spec/v1\n".utf8)
        let packed = try folder.write("c.pt", [0x1F, 0x8B, 8, 0])
        for (path, says) in [
            (jpeg, "unsupported weights: \(jpeg) is a JPEG image"),
            (Fixtures.path("images/rgb.png"), "a PNG image"), (page, "an HTML page"),
            (pointer, "git lfs pull"), (packed, "a gzip archive"),
        ] {
            expectFailure(
                try clip("encode", "--text", "a", "--model", path), status: 1, says: says)
        }
    }

    @Test func modelsAreFiltered() throws {
        func names(_ pattern: String) throws -> [String] {
            let result = try clip("models", pattern, "--json")
            let all = try JSONSerialization.jsonObject(with: result.output) as? [[String: Any]]
            return try #require(all).compactMap { $0["name"] as? String }
        }
        let large = try names("vit-l")
        #expect(large.count == 18, "\(large)")
        #expect(large.allSatisfy { $0.hasPrefix("ViT-L") }, "\(large)")
        #expect(try names("RN50x*") == ["RN50x4:openai", "RN50x16:openai", "RN50x64:openai"])
        #expect(try names("tiny") == ["tiny"])
        #expect(try names("laion/CLIP-ViT-g").count == 2)
        let none = try clip("models", "nope")
        #expect(none.status == 1)
        #expect(none.output.isEmpty)
        #expect(none.errors == "clip: no model matches nope\n")
        // A pipe gets every column, whatever the width of the terminal.
        let lines = try clip("models").text.split(separator: "\n")
        try #require(lines.count == 115)
        #expect(lines[0].contains("embedding"))
    }

    @Test func theLicenceOfTheBundledModelIsKnown() throws {
        let info = try json(clip("info", "tiny", "--json").output)
        #expect(info["license"] as? String == "MIT")
        #expect(try clip("info", "tiny").text.contains("licence:      MIT"))
    }

    @Test func sizesAreRoundedTheSameWayEverywhere() throws {
        let listed = try clip("models", "ViT-B-32:openai").text
        let missing = try clip("encode", "--text", "a", "--model", "ViT-B/32").errors
        #expect(listed.contains("605 MB"), "\(listed)\(missing)")
        #expect(missing.contains("605 MB"), "\(listed)\(missing)")
    }
}
