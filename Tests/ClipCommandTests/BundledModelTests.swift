import Foundation
import TestSupport
import Testing

/// Tests that `--model tiny` gives meaningful answers.
@Suite struct BundledModelTests {
    static let weights = Fixtures.root + "/Weights/tiny.safetensors"
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(
        _ arguments: [String], executable: URL = ClipBinary.built
    ) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder, executable: executable).run(arguments + ["--model", "tiny"])
    }

    private static func example(_ name: String) -> String {
        Fixtures.root + "/Examples/\(name).jpg"
    }

    /// The best label of an image, and its probability.
    private func best(
        _ image: String, _ labels: [String], _ options: String...
    ) throws -> (label: String, probability: Double) {
        let result = try clip(["zeroshot", Self.example(image), "--json"] + labels + options)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.isEmpty, "\(result.errors)")
        let output = try result.json()
        #expect(output["model"] as? String == "tiny")
        let first = try #require((output["predictions"] as? [[String: Any]])?.first)
        return (
            try #require(first["label"] as? String), try #require(first["probability"] as? Double)
        )
    }

    @Test func demoClassifiesCorrectly() throws {
        let labels = ["a man riding bicycle", "a man climbing mountain"]
        for (image, label) in zip(["bike", "mountain"], labels) {
            let found = try best(image, labels)
            #expect(found.label == label, "\(found)")
            #expect(found.probability >= 0.95, "\(found)")
        }
    }

    @Test(arguments: [
        ("bike", "bicycle"), ("mountain", "person climbing"), ("cat", "cat"), ("dog", "dog"),
        ("kitchen", "pot of food"), ("beach", "palm tree"), ("traffic", "bus"),
        ("fruit", "red apple"),
    ])
    func imagesGetTheirNames(_ image: String, _ name: String) throws {
        let others = [
            "guitar", "rocket", "crying face", "violin", "snowman", "umbrella", "octopus",
        ]
        let found = try best(image, others + [name], "--template", "an image of a {}")
        #expect(found.label == name, "\(found)")
    }

    @Test func sentencesDistinguishScenes() throws {
        let found = try best(
            "dog", ["a dog in a meadow", "a cat in a meadow", "a dog in a room", "a dog at night"])
        #expect(found.label == "a dog in a meadow")
    }

    @Test func everyImageMatchesItsText() throws {
        let pairs = [
            ("bike", "a man riding a bike on a road"), ("cat", "a cat in a room"),
            ("dog", "a puppy on the grass"), ("fruit", "a red apple, a banana and grapes"),
            ("traffic", "a bus, a traffic light and a car"), ("mountain", "a man climbing"),
        ]
        let result = try clip(
            ["similarity", "--json", "--image"] + pairs.map { Self.example($0.0) } + ["--text"]
                + pairs.map { $0.1 })
        let rows = try #require(result.json()["cosines"] as? [[Double]])
        for (index, row) in rows.enumerated() {
            #expect(row.firstIndex(of: row.max() ?? 0) == index, "\(pairs[index]): \(row)")
        }
    }

    @Test func binaryNeedsNoOtherFile() throws {
        // Outside the package, and beside a folder that has the model's name.
        let copy = try folder.copy(ClipBinary.built.path, as: "elsewhere")
        try FileManager.default.createDirectory(
            atPath: folder.path + "/tiny", withIntermediateDirectories: false)
        let found = try clip(
            ["zeroshot", Self.example("cat"), "a cat", "a rocket"],
            executable: URL(fileURLWithPath: copy))
        #expect(found.status == 0, "\(found.errors)")
        #expect(found.text.split(separator: "\n").dropFirst().first?.hasSuffix("a cat") == true)
    }

    @Test func corruptedBinaryIsDetected() throws {
        let weights = try Data(contentsOf: URL(fileURLWithPath: Self.weights))
        var binary = try Data(contentsOf: ClipBinary.built)
        let start = try #require(binary.range(of: weights.prefix(1 << 12))).lowerBound
        binary[start + weights.count / 2] ^= 1
        let path = folder.path + "/damaged"
        try binary.write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        expectFailure(
            try clip(["encode", "--text", "a cat"], executable: URL(fileURLWithPath: path)),
            status: 1, says: "the bundled model tiny is damaged")
    }

    /// With every precision, and with JPEGs decoded at a reduced size.
    @Test(arguments: [["--precision", "bf16"], ["--precision", "int8"], ["--decode", "fast"]])
    func lessExactArithmeticGivesTheSameLabels(_ options: [String]) throws {
        let labels = ["a man riding bicycle", "a man climbing mountain"]
        for (image, label) in zip(["bike", "mountain"], labels) {
            let result = try clip(
                ["zeroshot", Self.example(image), "--json", "--quiet"] + labels + options)
            let predictions = try result.json()["predictions"] as? [[String: Any]]
            #expect(predictions?.first?["label"] as? String == label)
        }
        let plain = try clip(["encode", Self.example("bike"), "--quiet"])
        let other = try clip(["encode", Self.example("bike"), "--quiet"] + options)
        #expect(plain.status == 0)
        #expect(other.status == 0)
        #expect(options[0] == "--precision" || plain.text != other.text)
    }

    @Test func infoDescribesTiny() throws {
        let info = try ClipBinary(folder: folder).run(["info", "tiny"])
        #expect(info.text.contains("quickgelu"))
        #expect(info.text.contains("64 pixels"))
        expectFailure(
            try clip(["encode", "--text", "a", "--activation", "gelu"]), status: 1,
            says: "quickgelu")
    }

    @Test func unknownModelMentionsTiny() throws {
        let result = try ClipBinary(folder: folder).run(["info", "tinny"])
        expectFailure(result, status: 1, says: "tiny")
    }
}
