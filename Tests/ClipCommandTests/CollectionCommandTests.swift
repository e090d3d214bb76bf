import Foundation
import TestSupport
import Testing

/// Tests the built command on whole collections.
@Suite struct CollectionCommandTests {
    private let folder: TemporaryFolder
    private static let model = CommandTests.model
    private static let images = ["rgb.jpg", "rgb.png"].map { Fixtures.path("images/\($0)") }
    private static let bad = ["text.jpg", "truncated.png", "empty.png"]

    init() throws { folder = try TemporaryFolder() }

    private func clip(_ arguments: [String], input: String = "") throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments + ["--model", Self.model], input: input)
    }

    /// Creates a folder of readable and unreadable images.
    private func collection(_ count: Int, bad: [String] = []) throws -> String {
        let path = folder.path + "/photos"
        try FileManager.default.createDirectory(
            atPath: path + "/sub", withIntermediateDirectories: true)
        for index in 0..<count {
            let source = Self.images[index % 2]
            let place = index % 3 == 0 ? "sub/" : ""
            let name = "\(place)image \(index).\((source as NSString).pathExtension)"
            try FileManager.default.copyItem(atPath: source, toPath: "\(path)/\(name)")
        }
        for name in bad {
            try FileManager.default.copyItem(
                atPath: Fixtures.path("images/bad/\(name)"), toPath: "\(path)/\(name)")
        }
        return path
    }

    private func lines(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { try json(Data($0.utf8)) }
    }

    @Test func folderIsEncodedAndFailuresAreListed() throws {
        let path = try collection(7, bad: Self.bad)
        let errors = folder.path + "/errors.jsonl"
        let result = try clip(["encode", path, "--errors", errors])
        let rows = try lines(result.text)
        #expect(result.status == 1)
        #expect(rows.count == 7)
        let names = rows.compactMap { $0["image"] as? String }
        #expect(names == names.sorted())
        #expect(names.allSatisfy { $0.hasPrefix(path) })
        #expect(result.errors.split(separator: "\n").count == 3)
        let failed = try lines(String(decoding: bytes(ofFile: errors), as: UTF8.self))
        #expect(
            failed.compactMap { $0["path"] as? String } == Self.bad.sorted().map { "\(path)/\($0)" }
        )
        #expect(failed.allSatisfy { ($0["reason"] as? String)?.isEmpty == false })

        // Two machines together have all inputs.
        let halves = try ["1/2", "2/2"].map {
            try lines(clip(["encode", path, "--shard", $0, "-q"]).text)
        }
        #expect(abs(halves[0].count - halves[1].count) <= 3)
        #expect(Set(halves.joined().compactMap { $0["image"] as? String }) == Set(names))
        #expect(halves.joined().count == 7)

        let strict = try clip(["encode", path, "--strict", "-o", folder.path + "/strict.npy"])
        #expect(strict.status == 1)
        #expect(strict.errors.contains("--strict"))
        #expect(!FileManager.default.fileExists(atPath: folder.path + "/strict.npy"))
    }

    @Test func listsAndArchivesFromStandardInput() throws {
        let path = try collection(4)
        let names = try FileManager.default.subpathsOfDirectory(atPath: path)
            .filter { $0.contains(".") }.sorted().map { "\(path)/\($0)" }
        let given = try clip(["encode"] + names)
        #expect(given.status == 0)
        #expect(try clip(["encode", "-"], input: names.joined(separator: "\n")).text == given.text)
        let ended = try clip(
            ["encode", "--files-from", "-", "-0"], input: names.joined(separator: "\0"))
        #expect(ended.text == given.text)
        #expect(try clip(["encode", path + "/*.png"]).text.split(separator: "\n").count == 1)

        for (index, name) in names.enumerated() {
            let kind = (name as NSString).pathExtension
            try folder.write("s\(index).\(kind)", bytes(ofFile: name))
            try folder.write("s\(index).cls", "\(index)\n".utf8)
            try folder.write("s\(index).txt", "a \"thing\"".utf8)
            try folder.write("s\(index).json", "{\"a\": [1, null]}".utf8)
        }
        let tar = Process()
        tar.executableURL = URL(fileURLWithPath: "/usr/bin/tar")
        tar.currentDirectoryURL = URL(fileURLWithPath: folder.path)
        let parts = (0..<4).flatMap { index in
            [
                "cls", (names[index] as NSString).pathExtension, "json", "txt",
            ].map { "s\(index).\($0)" }
        }
        tar.arguments = ["-cf", "data.tar"] + parts
        try tar.run()
        tar.waitUntilExit()
        let archived = try lines(clip(["encode", folder.path + "/data.tar"]).text)
        let rows = try lines(given.text)
        #expect(archived.count == 4)
        for (index, row) in archived.enumerated() {
            #expect(row["image"] as? String == "\(folder.path)/data.tar/\(parts[4 * index + 1])")
            #expect(row["cls"] as? Int == index)
            #expect(row["txt"] as? String == "a \"thing\"")
            #expect((row["json"] as? [String: [Any]])?["a"]?.count == 2)
            #expect(row["embedding"] as? [Double] == rows[index]["embedding"] as? [Double])
        }
    }

    @Test func captionsFromColumns() throws {
        let csv = try folder.write("c.csv", "id,caption\n1,\"a cat, asleep\"\n2,a dog\n".utf8)
        let found = try clip(["encode", "--text-file", csv, "--text-column", "caption"])
        let expected = try clip(["encode", "--text", "a cat, asleep", "--text", "a dog"])
        #expect(found.text == expected.text)
        #expect(found.status == 0)
        let none = try clip(["encode", "--text-file", csv, "--text-column", "title"])
        #expect(none.status == 1)
        #expect(none.errors.contains("no column \"title\""))
        #expect(try clip(["encode", "--text-file", "x.txt", "--text-column", "y"]).status == 2)
    }

    @Test func oneBadTextDoesNotStopTheRest() throws {
        let csv = try folder.write("c.csv", "id,caption\n1,a cat\n2\n3,a dog\n".utf8)
        let output = folder.path + "/c.jsonl"
        let found = try clip([
            "encode", "--text-file", csv, "--text-column", "caption", "-o", output,
        ])
        #expect(found.status == 1)
        #expect(found.errors.contains("line 3"))
        let rows = try lines(String(decoding: bytes(ofFile: output), as: UTF8.self))
        #expect(rows.compactMap { $0["text"] as? String } == ["a cat", "a dog"])
    }

    /// The input at which --strict stopped is encoded first once it is repaired.
    @Test func strictJobsAreContinuedInOrder() throws {
        let path = try collection(20)
        let whole = folder.path + "/whole.jsonl"
        #expect(try clip(["encode", path, "-o", whole]).status == 0)
        let third = path + "/image 10.jpg"
        let good = try bytes(ofFile: third)
        try Data("broken".utf8).write(to: URL(fileURLWithPath: third))
        let output = folder.path + "/strict.jsonl"
        let stopped = try clip(["encode", path, "-o", output, "--strict"])
        #expect(stopped.status == 1)
        #expect(stopped.errors.split(separator: "\n").count == 2)
        try Data(good).write(to: URL(fileURLWithPath: third))
        #expect(try clip(["encode", path, "-o", output, "--strict", "--resume"]).status == 0)
        #expect(try firstDifference(bytes(ofFile: output), bytes(ofFile: whole)) == nil)
    }

    @Test func damagedRowsAreCounted() throws {
        let path = try collection(20)
        let whole = folder.path + "/whole.jsonl"
        #expect(try clip(["encode", path, "-o", whole]).status == 0)
        let broken = path + "/image 5.png"
        let good = try bytes(ofFile: broken)
        try Data("broken".utf8).write(to: URL(fileURLWithPath: broken))
        let output = folder.path + "/x.jsonl"
        #expect(try clip(["encode", path, "-o", output, "--strict"]).status == 1)
        try Data(good).write(to: URL(fileURLWithPath: broken))
        var partial = try bytes(ofFile: output + ".partial")
        let rows = partial.count { $0 == 10 }
        try #require(rows > 0)
        partial[5] ^= 0x11
        try Data(partial).write(to: URL(fileURLWithPath: output + ".partial"))
        let resumed = try clip(["encode", path, "-o", output, "--resume"])
        #expect(resumed.status == 0, "\(resumed.errors)")
        #expect(
            resumed.errors.contains(
                "clip: encode: encoding \(rows) \(rows == 1 ? "row" : "rows") of the"),
            "\(resumed.errors)")
        #expect(resumed.errors.contains("incomplete or damaged"), "\(resumed.errors)")
        #expect(try firstDifference(bytes(ofFile: output), bytes(ofFile: whole)) == nil)
    }

    @Test func linksAreFollowedToTheOutput() throws {
        let path = try collection(2, bad: ["text.jpg"])
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/latest.npy", withDestinationPath: folder.path + "/real.npy")
        #expect(try clip(["encode", path, "-o", folder.path + "/latest.npy"]).status == 1)
        #expect(try bytes(ofFile: folder.path + "/real.npy").count == 128 + 2 * 16 * 4)
        #expect(FileManager.default.fileExists(atPath: folder.path + "/real.names.jsonl"))
        let folderGiven = try clip(["encode", path, "--format", "npy", "-o", path])
        #expect(folderGiven.status == 2)
        #expect(folderGiven.errors.contains("directory"))
    }

    @Test(arguments: ["--files-from", "-"])
    func nulBytesWithoutTheirOptionAreAnError(_ option: String) throws {
        let path = try collection(2)
        let names = "\(path)/0.png\0\(path)/1.png\0"
        let arguments = option == "-" ? ["-"] : [option, "-"]
        let result = try ClipBinary(folder: folder).run(
            ["encode", "-q", "--model", Self.model] + arguments, input: names)
        expectFailure(result, status: 1, says: "found NUL bytes; give -0 if")
    }

    /// Kills the job with `kill -9` at several moments, and continues it.
    @Test(arguments: ["x.npy", "x.jsonl", "shards/"])
    func killedJobsAreResumed(_ name: String) throws {
        let path = try collection(300, bad: Self.bad)
        let output = "\(folder.path)/\(name)"
        let shards = name.hasSuffix("/") ? ["--shard-size", "50"] : []
        let arguments =
            ["encode", path, "--text", "a"] + shards + ["--model", Self.model, "-o"]
        let expected = folder.path + "/whole-\(name)"
        #expect(try ClipBinary(folder: folder).run(arguments + [expected]).status == 1)

        var interrupted = 0
        for round in 0..<6 {
            let resumed = interrupted > 0 ? ["--resume"] : []
            let process = ClipBinary(folder: folder).process(arguments + [output] + resumed)
            process.standardError = FileHandle.nullDevice
            try process.run()
            // Some time after the start.
            let began = Date()
            while !FileManager.default.fileExists(atPath: output + ".job"),
                process.isRunning, Date().timeIntervalSince(began) < 10
            {
                usleep(500)
            }
            usleep(UInt32(20_000 * round))
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
            guard FileManager.default.fileExists(atPath: output + ".job") else { continue }
            interrupted += 1
            let again = try ClipBinary(folder: folder).run(arguments + [output])
            #expect(again.status == 1)
            #expect(again.errors.contains("--resume"))
        }
        #expect(interrupted > 0)
        let isWhole = !FileManager.default.fileExists(atPath: output + ".job")
        let last = try ClipBinary(folder: folder).run(arguments + [output, "--resume"])
        #expect(last.status == (isWhole ? 0 : 1), "\(last.errors)")
        for file in ["", "00000.npy", "00000.names.jsonl", "00006.npy", "00006.names.jsonl"] {
            guard name.hasSuffix("/") != file.isEmpty else { continue }
            #expect(
                try firstDifference(bytes(ofFile: output + file), bytes(ofFile: expected + file))
                    == nil, "\(file)")
        }
        if name == "x.npy" {
            #expect(
                try firstDifference(
                    bytes(ofFile: folder.path + "/x.names.jsonl"),
                    bytes(ofFile: folder.path + "/whole-x.names.jsonl")) == nil)
        }
    }

    @Test func foldersAreClassified() throws {
        let path = try collection(3, bad: ["text.jpg"])
        let labels = try folder.write(
            "labels.txt", "a cat\na \"big\" dog, asleep\n\na house\n".utf8)
        let result = try clip(["zeroshot", "--labels", labels, path, "--top", "2"])
        let rows = try lines(result.text)
        #expect(result.status == 1)
        #expect(rows.count == 3)
        #expect(result.errors.contains("text.jpg"))
        for row in rows {
            let name = try #require(row["image"] as? String)
            let one = try json(
                clip(["zeroshot", name, "--labels", labels, "--top", "2", "--json"]).output)
            #expect(row["predictions"] as? NSArray == one["predictions"] as? NSArray)
        }
        let csv = try clip([
            "zeroshot", "--labels", labels, path, "--format", "csv", "--top", "3", "-q",
        ])
        .text.split(separator: "\n")
        try #require(csv.count == 10)
        #expect(csv[0] == "image,rank,label,probability,logit,cosine")
        #expect(csv.contains { $0.contains(",\"a \"\"big\"\" dog, asleep\",") })
    }

    @Test func vectorsOfManyLabelsAreCached() throws {
        let labels = try folder.write(
            "labels.txt", (0..<300).map { "label \($0)" }.joined(separator: "\n").utf8)
        let arguments = ["zeroshot", "--labels", labels, Self.images[0], "--json"]
        let first = try clip(arguments)
        let kept = folder.path + "/.cache/clip/labels"
        let files = try FileManager.default.contentsOfDirectory(atPath: kept)
        #expect(first.status == 0)
        #expect(files.count == 1)
        #expect(try clip(arguments).text == first.text)
        // Damaged embeddings are computed again.
        try Data([1, 2, 3]).write(to: URL(fileURLWithPath: "\(kept)/\(files[0])"))
        #expect(try clip(arguments).text == first.text)
        // The numbers, then their checksum.
        #expect(try bytes(ofFile: "\(kept)/\(files[0])").count == 300 * 16 * 4 + 32)
    }

    @Test func wrongUsageIsRejected() throws {
        for (arguments, says) in [
            (["encode", "x", "--shard", "4/3"], "'--shard <i/n>': expected 1/3 to 3/3 (see"),
            (["encode", "x", "--shard", "-1/3"], "'--shard <i/n>': expected 1/3 to 3/3 (see"),
            (["encode", "x", "--shard", "2/1"], "'--shard <i/n>': expected 1/1 (see"),
            (["encode", "x", "--shard", "x"], "expected I/N, such as 2/8"),
            (["encode", "x", "--resume"], "--resume needs -o"),
            (["encode", "x", "--format", "shards"], "-o FOLDER"),
            (["encode", "x", "--shard-size", "0", "-o", "d/"], "at least 1"),
            (["encode", "x", "--shard-size", "9"], "--shard-size needs an output in shards"),
            (["encode", "x", "--shard-size", "9", "-o", "x.npy"], "give -o FOLDER/"),
            (["zeroshot", "--files-from", "x"], "needs --labels"),
        ] {
            let result = try clip(arguments)
            #expect(result.status == 2, "\(result.errors)")
            #expect(result.errors.contains(says), "\(result.errors)")
        }
    }
}
