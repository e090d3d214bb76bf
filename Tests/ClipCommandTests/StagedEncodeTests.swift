import Foundation
import TestSupport
import Testing

/// Tests `clip encode` to formats that are exported when all rows are there.
@Suite struct StagedEncodeTests {
    private let folder: TemporaryFolder
    private static let images = ["rgb.jpg", "tall.png", "wide.png", "grey.png"]
        .map { Fixtures.path("images/\($0)") }

    init() throws { folder = try TemporaryFolder() }

    private func encode(_ arguments: [String]) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(["encode", "-m", "tiny"] + arguments)
    }

    private func file(_ name: String) throws -> [UInt8] {
        Array(try bytes(ofFile: "\(folder.path)/\(name)"))
    }

    private func names(in subfolder: String = "") throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/\(subfolder)")
            .filter { $0.contains(".parquet") || $0.contains(".npy") || $0 == "r" }.sorted()
    }

    /// Encodes the images until a broken one stops the command, and mends that one.
    private func stopAtBrokenImage(_ options: [String]) throws -> [String] {
        try folder.write("late.jpg", Array("no image".utf8))
        let inputs = Self.images + ["late.jpg"]
        let result = try encode(inputs + options + ["--strict", "-q"])
        #expect(result.status.code == 1 && result.errors.contains("--strict"), "\(result.errors)")
        try folder.write("late.jpg", Array(try bytes(ofFile: Self.images[0])))
        return inputs
    }

    @Test func parquetEqualsTheExportOfRows() throws {
        _ = try encode(Self.images + ["-o", "a.parquet", "-q"]).successful()
        #expect(try names() == ["a.parquet"])
        _ = try encode(Self.images + ["-o", "b.npy", "-q"]).successful()
        let binary = ClipBinary(folder: folder)
        _ = try binary.run(["export", "b.npy", "--to", "parquet", "-o", "b.parquet"]).successful()
        #expect(try file("a.parquet") == file("b.parquet"))
    }

    @Test func interruptedRunIsResumedToTheSameBytes() throws {
        _ = try encode(Self.images + ["-o", "whole.parquet", "-q"]).successful()
        // The state that a killed process leaves: two rows, and then the job again.
        _ = try encode(Array(Self.images.prefix(2)) + ["-o", "x.parquet.rows.npy", "-q"])
            .successful()
        let unfinished = try encode(Self.images + ["-o", "x.parquet"])
        expectFailure(unfinished, status: 1, says: "an earlier job has not finished it")
        let resumed = try encode(Array(Self.images.prefix(2)) + ["-o", "x.parquet", "--resume"])
            .successful()
        #expect(resumed.errors.contains("wrote the finished rows of the earlier run"))
        #expect(resumed.errors.contains("nothing to do"), "\(resumed.errors)")
        #expect(try names() == ["whole.parquet", "x.parquet"])
    }

    /// The process may end after the rows got their final name and before the job is removed.
    @Test func finishedRowsOfAnUnfinishedJobAreExported() throws {
        let inputs = try stopAtBrokenImage(["-o", "x.parquet"])
        let job = try file("x.parquet.rows.npy.job")
        _ = try encode(inputs + ["-o", "x.parquet", "--resume", "-q"]).successful()
        _ = try encode(inputs + ["-o", "y.parquet.rows.npy", "-q"]).successful()
        try folder.write("y.parquet.rows.npy.job", job)
        _ = try encode(inputs + ["-o", "y.parquet", "--resume"]).successful()
        #expect(try file("y.parquet") == file("x.parquet"))
        #expect(try names() == ["x.parquet", "y.parquet"])
    }

    @Test func folderHasAFileForEveryNumberOfRows() throws {
        let options = ["--format", "parquet", "--shard-size", "2", "-q"]
        _ = try encode(Self.images + ["-o", "even/"] + options).successful()
        #expect(try names(in: "even") == ["00000.parquet", "00001.parquet"])
        _ = try encode(Self.images.suffix(2) + ["-o", "b.parquet", "-q"]).successful()
        #expect(try file("even/00001.parquet") == file("b.parquet"))

        _ = try encode(Self.images + ["-o", "named.parquet/", "-q"]).successful()
        #expect(try names(in: "named.parquet") == ["00000.parquet"])

        _ = try encode(Self.images.prefix(3) + ["-o", "odd/"] + options).successful()
        #expect(try names(in: "odd") == ["00000.parquet", "00001.parquet"])
        #expect(try file("odd/00000.parquet") == file("even/00000.parquet"))
        let again = try encode(Self.images.prefix(3) + ["-o", "odd/"] + options)
        expectFailure(again, status: 1, says: "another Parquet file, 00000.parquet")
    }

    @Test func interruptedFolderIsResumedToTheSameBytes() throws {
        let options = ["--format", "parquet", "--shard-size", "2", "-o"]
        let inputs = try stopAtBrokenImage(options + ["x/"])
        let unfinished = try encode(inputs + options + ["x/"])
        expectFailure(unfinished, status: 1, says: "an earlier job has not finished it")
        let read = try ClipBinary(folder: folder).run(["export", "x", "--to", "faiss", "-o", "f"])
        expectFailure(read, status: 1, says: "it is unfinished")

        _ = try encode(inputs + options + ["x/", "--resume", "-q"]).successful()
        _ = try encode(inputs + options + ["whole/", "-q"]).successful()
        let files = ["00000.parquet", "00001.parquet", "00002.parquet"]
        #expect(try names(in: "x") == files)
        for name in files { #expect(try file("x/\(name)") == file("whole/\(name)")) }
        let resumed = try encode(inputs + options + ["x/", "--resume"]).successful()
        #expect(resumed.errors.contains("nothing to do"), "\(resumed.errors)")
        try folder.write("x/other.parquet", try file("x/00000.parquet"))
        let mixed = try encode(inputs + options + ["x/", "--resume"])
        expectFailure(mixed, status: 1, says: "another Parquet file, other.parquet")
    }

    @Test func outputWithoutRowsCanBeResumed() throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/empty", withIntermediateDirectories: false)
        let all = [
            ["-o", "x.parquet"], ["-o", "r", "--format", "clip-retrieval"],
            ["-o", "folder/", "--format", "parquet"],
        ]
        for options in all {
            _ = try encode(["empty"] + options).successful()
            _ = try encode(["empty", "--resume"] + options).successful()
        }
    }

    @Test func textsWithNULAreReadAgain() throws {
        try folder.write("texts.txt", Array("a\0b\nc\n".utf8))
        _ = try encode(["--text-file", "texts.txt", "-o", "x.parquet", "-q"]).successful()
        let found = try encode(["--text-file", "texts.txt", "-o", "x.parquet", "--resume"])
            .successful()
        #expect(found.errors.contains("nothing to do"), "\(found.errors)")
    }

    @Test(arguments: [
        (["a.jpg", "--format", "parquet"], "--format parquet writes files"),
        (["a.jpg", "-o", "x.parquet", "--shard-size", "2"], "give --format parquet -o FOLDER/"),
        (["a.jpg", "--format", "clip-retrieval"], "--format clip-retrieval writes a folder"),
        (
            ["a.jpg", "--text", "a", "--format", "clip-retrieval", "-o", "r"],
            "images only or texts only"
        ),
        (["a.jpg", "--format", "parquet", "-o", "x.npy"], "its suffix contradicts the format"),
        (
            ["a.jpg", "--format", "Parquet", "-o", "x.parquet"],
            "following: jsonl, json, npy, shards, parquet, clip-retrieval (see clip encode"
        ),
        (["a.jpg", "-o", "x.pq"], "unsupported suffix"),
    ])
    func wrongUsageIsRejected(_ arguments: [String], _ says: String) throws {
        expectFailure(try encode(arguments), status: 2, says: says)
        #expect(try names().isEmpty)
    }
}
