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

    private func names() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.contains(".parquet") || $0.contains(".npy") || $0 == "r" }.sorted()
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

    @Test func outputWithoutRowsCanBeResumed() throws {
        try FileManager.default.createDirectory(
            atPath: "\(folder.path)/empty", withIntermediateDirectories: false)
        for options in [["-o", "x.parquet"], ["-o", "r", "--format", "clip-retrieval"]] {
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
        (["a.jpg", "--format", "parquet"], "--format parquet writes a file"),
        (["a.jpg", "--format", "clip-retrieval"], "--format clip-retrieval writes a folder"),
        (
            ["a.jpg", "--text", "a", "--format", "clip-retrieval", "-o", "r"],
            "images only or texts only"
        ),
        (["a.jpg", "--format", "parquet", "-o", "x.npy"], "its suffix contradicts the format"),
        (["a.jpg", "-o", "x.pq"], "unsupported suffix"),
    ])
    func wrongUsageIsRejected(_ arguments: [String], _ says: String) throws {
        expectFailure(try encode(arguments), status: 2, says: says)
        #expect(try names().isEmpty)
    }
}
