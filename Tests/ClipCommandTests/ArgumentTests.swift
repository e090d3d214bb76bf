import Foundation
import TestSupport
import Testing

/// Tests arguments that are empty or contradict each other.
@Suite struct ArgumentTests {
    private static let bike = Fixtures.root + "/Examples/bike.jpg"
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments, environment: ["CLIP_MODEL": "tiny"])
    }

    @Test(arguments: [
        (["encode", ""], "an input"), (["encode", bike, ""], "an input"),
        (["encode", bike, "-o", ""], "--output"), (["encode", bike, "--errors", ""], "--errors"),
        (["encode", bike, "-m", ""], "--model"), (["encode", "--text-file", ""], "--text-file"),
        (["encode", "--files-from", ""], "--files-from"),
        (["zeroshot", "", "a", "b"], "an input"), (["zeroshot", bike, "--labels", ""], "--labels"),
        (["search", "a", "--index", ""], "--index"), (["search", "a", "--html", ""], "--html"),
        (["index", ""], "the folder"), (["index", ".", "--errors", ""], "--errors"),
        (["dedupe", ""], "the argument for vectors"),
        (["dedupe", ".", "--move-to", ""], "--move-to"),
        (["dedupe", ".", "--delete", "--log", ""], "--log"),
        (["cluster", "", "-k", "2"], "the argument for vectors"),
        (["map", ".", "-o", ""], "--output"), (["map", ".", "--json", "--labels", ""], "--labels"),
        (["similarity", "--image", "", "--text", "a"], "--image"),
        (["score", "--pairs", ""], "--pairs"), (["preprocess", "", "-o", "x.npy"], "the image"),
        (["info", ""], "the model"), (["convert", "tiny", ""], "the output"),
        (["convert", "", "x.safetensors"], "the model"), (["verify", ""], "the model"),
        (["pull", ""], "the model"), (["bench", "--tower", "search", "--index", ""], "--index"),
    ])
    func emptyPathsAreRefused(_ arguments: [String], role: String) throws {
        expectFailure(
            try clip(arguments), status: 2,
            says: "clip: error: \(role) is empty; is a shell variable unset? "
                + "(see clip \(arguments[0]) --help)"
        )
        let left = try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { name in ![".in", ".out", ".err"].contains { name.hasSuffix($0) } }
        #expect(left.isEmpty, "\(arguments) left \(left)")
    }

    @Test(arguments: [
        (["--decode", "fast"], "--decode fast"), (["--allow-truncated"], "--allow-truncated"),
        (["--reference"], "--reference"),
    ])
    func anIndexOfOtherDecodingNamesTheOption(_ options: [String], name: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/g", withIntermediateDirectories: false)
        try folder.copy(Self.bike, as: "g/bike.jpg")
        #expect(try clip(["index", "g", "-q"]).status == 0)
        expectFailure(
            try clip(["index", "g", "-q"] + options), status: 1,
            says: """
                cannot be compared with its vectors; run the command without \(name) as \
                before, or build the index anew: run clip index --rebuild g \(name)\n
                """)
        // The advice helps.
        #expect(try clip(["index", "--rebuild", "g", "-q"] + options).status == 0)
        #expect(try clip(["index", "g", "-q"] + options).status == 0)
        expectFailure(
            try clip(["index", "g", "-q"]), status: 1,
            says: """
                run the command with \(name) as before, or build the index anew: run clip index \
                --rebuild g\n
                """)
    }

    @Test(arguments: [
        (["zeroshot", bike, "a", "b", "--json", "--format", "csv"], "--json and --format csv"),
        (["search", "a", "--json", "--paths"], "--json and --paths"),
        (["search", "a", "--json", "-0"], "--json and -0"),
        (["score", "--pairs", "p.csv", "--top", "1"], "--top and --by apply to rankings"),
        (["score", "--pairs", "p.csv", "--by", "text"], "--top and --by apply to rankings"),
        (["encode", "-", "--text-file", "-"], "standard input (-) can be given only once"),
        (["encode", "-", "--files-from", "-"], "standard input (-) can be given only once"),
        (["zeroshot", "-", "--labels", "-"], "standard input (-) can be given only once"),
        (["score", "-", "--text-file", "-"], "standard input (-) can be given only once"),
    ])
    func contradictoryOptionsAreRefused(_ arguments: [String], says: String) throws {
        expectFailure(try clip(arguments), status: 2, says: says)
    }
}
