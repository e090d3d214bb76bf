import Foundation
import TestSupport
import Testing

/// Tests `clip encode --resume` with outputs that do not belong to the job.
@Suite struct ResumeTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["a.jpg", "b.jpg", "c.jpg"] {
            try folder.copy(Fixtures.root + "/Examples/bike.jpg", as: name)
        }
    }

    private func encode(_ arguments: [String], model: String = "tiny") throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(["encode"] + arguments + ["--model", model])
    }

    @Test(arguments: ["x.npy", "x.jsonl", "shards/"])
    func completeOutputOfAnotherModelIsRejected(_ output: String) throws {
        let arguments = ["a.jpg", "-o", output]
        let made = try encode(arguments)
        #expect(made.status == 0, "\(made.errors)")
        let again = try encode(arguments + ["--resume"])
        #expect(again.status == 0, "\(again.errors)")
        #expect(
            again.errors.contains("clip: \(output) is already complete; nothing to do")
                || output == "shards/", "\(again.errors)")
        let file = folder.path + "/" + (output == "shards/" ? "shards/00000.npy" : output)
        let before = try bytes(ofFile: file)
        expectFailure(
            try encode(arguments + ["--resume"], model: Fixtures.path("models/seeded")), status: 1,
            says: "it is complete and was made with the model tiny")
        #expect(try firstDifference(bytes(ofFile: file), before) == nil)
    }

    @Test func completeOutputOfOtherNormalisationIsRejected() throws {
        let arguments = ["a.jpg", "-o", "x.npy"]
        #expect(try encode(arguments).status == 0)
        let record = try json(Data(bytes(ofFile: folder.path + "/x.model.json")))
        #expect(record["normalized"] as? Bool == true, "\(record)")
        expectFailure(
            try encode(arguments + ["--resume", "--no-normalize"]), status: 1,
            says: "it is complete and was made without --no-normalize")
        let raw = ["a.jpg", "-o", "y.npy", "--no-normalize"]
        #expect(try encode(raw).status == 0)
        #expect(try encode(raw + ["--resume"]).status == 0)
        expectFailure(
            try encode(["a.jpg", "-o", "y.npy", "--resume"]), status: 1,
            says: "it is complete and was made with --no-normalize")
    }

    @Test(arguments: ["x.npy", "x.jsonl", "shards/"])
    func outputOfAnotherProcessIsReported(_ output: String) throws {
        let first = ClipBinary(folder: folder).process(
            ["encode", "-", "-o", output, "-q", "--model", "tiny"])
        let input = Pipe()
        first.standardInput = input
        try first.run()
        // The process has opened its files and waits for names.
        let job = folder.path + "/" + (output == "shards/" ? "shards/.job" : output + ".job")
        while first.isRunning && !FileManager.default.fileExists(atPath: job) { usleep(1000) }
        for resuming in [[], ["--resume"]] {
            expectFailure(
                try encode(["a.jpg", "-o", output] + resuming), status: 1,
                says: "another process is writing it")
        }
        try input.fileHandleForWriting.write(contentsOf: Data("b.jpg\n".utf8))
        try input.fileHandleForWriting.close()
        first.waitUntilExit()
        #expect(first.terminationStatus == 0)
    }

    @Test(arguments: [
        ("x.npy", "x.names.jsonl"), ("x.npy", "x.model.json"), ("s/", "s/00000.names.jsonl"),
        ("s/", "s/clip-model.json"),
    ])
    func linksBesideAnOutputAreNamed(_ output: String, link: String) throws {
        try FileManager.default.createDirectory(
            atPath: folder.path + "/s", withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder.path)/\(link)", withDestinationPath: "none")
        expectFailure(
            try encode(["a.jpg", "-o", output]), status: 1,
            says: "cannot write \(link): it is a symbolic link, which is not replaced")
    }

    /// Nothing is encoded, so inputs that the output lacks must not be passed over silently.
    @Test(arguments: ["x.npy", "x.jsonl", "shards/"])
    func inputsWithoutRowInACompleteOutputAreCounted(_ output: String) throws {
        let texts = ["--text", "a cat", "-o", output]
        #expect(try encode(["a.jpg", "b.jpg"] + texts).status == 0)
        for (arguments, says) in [
            (["a.jpg", "b.jpg"] + texts, "clip: \(output) is already complete; nothing to do\n"),
            (
                ["b.jpg", "c.jpg"] + texts + ["--text", "a dog"],
                "\(output) is already complete, but 2 of the 4 inputs have no row in it (they"
            ),
            (["c.jpg", "-o", output], "but 1 of the 1 input has no row in it"),
            (["-", "-o", output], "complete; its rows were not compared with these inputs\n"),
        ] {
            let result = try encode(arguments + ["--resume"])
            #expect(result.status == 0, "\(result.errors)")
            #expect(result.errors.contains(says), "\(arguments): \(result.errors)")
            let quiet = try encode(arguments + ["--resume", "-q"])
            #expect(quiet.status == 0)
            #expect(quiet.errors.isEmpty, "\(quiet.errors)")
        }
        guard output == "x.npy" else { return }
        try FileManager.default.removeItem(atPath: folder.path + "/x.names.jsonl")
        let nameless = try encode(["a.jpg", "-o", output, "--resume"])
        #expect(nameless.errors.contains("were not compared"), "\(nameless.errors)")
    }

    @Test(arguments: ["x.npy", "x.jsonl"])
    func rowsOfOtherInputsAreCounted(_ output: String) throws {
        try folder.write("bad.jpg", "no image".utf8)
        let stopped = try encode(["a.jpg", "b.jpg", "bad.jpg", "-o", output, "--strict"])
        #expect(stopped.status == 1, "\(stopped.errors)")
        let other = try encode(["b.jpg", "c.jpg", "-o", output, "--resume"])
        #expect(other.status == 0, "\(other.errors)")
        #expect(
            other.errors.contains(
                "clip: encode: 1 of the 3 rows in \(output) match none of the inputs"),
            "\(other.errors)")
    }
}
