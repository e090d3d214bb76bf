import CLIP
import CLIPSearch
import Files
import Foundation
import TestSupport
import Testing

@testable import ClipCommand

/// Tests the rows of `clip encode --format parquet -o folder/` after runs that ended at any point.
@Suite struct ShardedRowsTests {
    private let folder: TemporaryFolder
    private static let record = ModelRecord(
        name: "test", fingerprint: "0123", dimension: 2, precision: .fp32, activation: nil,
        resolution: nil, isNormalized: true)

    init() throws { folder = try TemporaryFolder() }

    private var output: FilePath { FilePath("\(folder.path)/out") }

    /// Opens the rows in files of two, as a run of the command does.
    private func open(resuming: Bool = true) throws -> any RowOutput & Sendable {
        let options = [
            "x", "--format", "parquet", "-o", "\(folder.path)/out/", "--shard-size", "2",
        ]
        let encode = try Encode.parse(options + (resuming ? ["--resume"] : []))
        // A process that another test is just starting holds the locks of this one for a moment.
        for _ in 0..<100 {
            do {
                return try encode.shardedRows(output, Self.record, job: "job")
            } catch EmbeddingFileError.unwritable(_, "another process is writing it") {
                usleep(100_000)
            }
        }
        return try encode.shardedRows(output, Self.record, job: "job")
    }

    /// Appends rows, unless an earlier run has written them.
    private func append(_ names: [String], to rows: any RowOutput) throws {
        for name in names where !rows.takeRow("image", FilePath(name)) {
            try rows.append("image", FilePath(name), fields: [], [1, 0])
        }
    }

    /// Appends rows and ends, as a process that is killed does.
    private func interrupt(_ names: [String]) throws {
        let rows = try open(resuming: false)
        try append(names, to: rows)
        try rows.flush()
    }

    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: output.description).sorted()
    }

    /// Returns the names of all rows in the folder.
    private func names() throws -> [String] {
        var blocks = try EmbeddingTable(output).blocks()
        var found: [String] = []
        while let block = try blocks.next() { found += block.names.map(\.description) }
        return found
    }

    @Test func newInputsBeforeThoseOfTheEarlierRunDoNotDoubleThem() throws {
        try interrupt(["a", "b", "c"])
        let rows = try open()
        try append(["n1", "n2", "n3", "a", "b", "c"], to: rows)
        try rows.finish()
        #expect(rows.unmatchedRowsNote == nil)
        #expect(try names().sorted() == ["a", "b", "c", "n1", "n2", "n3"])
        #expect(try files() == ["00000.parquet", "00001.parquet", "00002.parquet"])
    }

    @Test func rowsOfInputsThatAreGoneAreKeptAndNoted() throws {
        try interrupt(["a", "b", "c"])
        let rows = try open()
        try append(["n1", "n2"], to: rows)
        try rows.finish()
        #expect(try names() == ["a", "b", "c", "n1", "n2"])
        let note = try #require(rows.unmatchedRowsNote)
        #expect(note.contains("3 of the 5 rows"), "\(note)")
    }

    /// The run ended after it had begun the second file, whose only input is gone now.
    @Test func nextFileWithoutRowsIsNotLeftOver() throws {
        try interrupt(["a", "b"])
        _ = try Self.begin("\(folder.path)/out/00001.parquet.rows.npy")
        let first = try open()
        try append(["a", "b"], to: first)
        try first.finish()
        let second = try open()
        try append(["a", "b"], to: second)
        if !second.isComplete { try second.finish() }
        #expect(try files() == ["00000.parquet"])
        #expect(try names() == ["a", "b"])
    }

    private static func begin(_ path: String) throws -> EmbeddingWriter {
        try EmbeddingWriter(
            path: FilePath(path), layout: .npy, dimension: 2, job: "job, files of 2 rows",
            model: record, resuming: true)
    }

    @Test func foldersOfOneKindAreNotMixedWithOthers() throws {
        try interrupt(["a"])
        let error = #expect(throws: CLIPError.self) { try names() }
        #expect("\(error, default: "")".contains("it is unfinished"))
        #expect(throws: EmbeddingFileError.self) {
            try EmbeddingWriter(
                path: output, layout: .shards(rows: 2), dimension: 2, job: "job", resuming: true)
        }
        #expect(!StagedExport(output, .clipRetrieval(partitionRows: 2)).isComplete)
    }

    @Test func missingFileBeforeWaitingRowsIsAnError() throws {
        try interrupt(["a", "b", "c"])
        try FileManager.default.removeItem(atPath: "\(folder.path)/out/00000.parquet")
        let rows = try open()
        #expect(throws: EmbeddingFileError.self) { try append(["a", "b", "c"], to: rows) }
    }

    @Test func missingFileOfACompleteFolderIsAnError() throws {
        try interrupt(["a", "b", "c", "d", "e", "f"])
        let rows = try open()
        try append(["a", "b", "c", "d", "e", "f"], to: rows)
        try rows.finish()
        try FileManager.default.removeItem(atPath: "\(folder.path)/out/00001.parquet")
        let error = #expect(throws: CLIPError.self) { try names() }
        #expect("\(error, default: "")".contains("a shard is missing: it has 00002.parquet"))
    }

    @Test func removedJobFileStartsTheLastFileAgain() throws {
        try interrupt(["a", "b", "c"])
        try FileManager.default.removeItem(
            atPath: "\(folder.path)/out/00001.parquet.rows.npy.job")
        #expect(throws: CLIPError.self) { try names() }
        #expect(throws: EmbeddingFileError.self) { try open(resuming: false) }
        let rows = try open()
        try append(["a", "b", "c"], to: rows)
        try rows.finish()
        #expect(try names() == ["a", "b", "c"])
    }

    @Test(arguments: ["other.parquet", "part-00000.parquet", "00000.npy", "a.jpg", ".job"])
    func foldersWithOtherFilesAreLeftUnchanged(_ name: String) throws {
        try FileManager.default.createDirectory(
            atPath: output.description, withIntermediateDirectories: false)
        try folder.write("out/\(name)", [1])
        for resuming in [false, true] {
            #expect(throws: EmbeddingFileError.self) { try open(resuming: resuming) }
        }
        #expect(try files() == [name])
    }

    @Test func rowsOfAllFilesAreSavedAndCounted() throws {
        try interrupt(["a"])
        func save() throws -> String? {
            let rows = try open()
            try append(["a", "b", "c"], to: rows)
            return rows.keep()
        }
        let message = try #require(try save())
        #expect(message.contains("3 rows of"), "\(message)")
        let rows = try open()
        #expect(rows.count == 3)
    }

    /// The folder of clip-retrieval may have its name before the rows are removed.
    @Test func exportedRowsOfClipRetrievalAreRemoved() throws {
        let place = FilePath("\(folder.path)/retrieval")
        let staged = StagedExport(place, .clipRetrieval(partitionRows: 10))
        func write() throws {
            let writer = try EmbeddingWriter(
                path: staged.rows, layout: .npy, dimension: 2, job: "job", model: Self.record,
                resuming: true)
            try writer.append("image", FilePath("a"), vector: [1, 0])
            try writer.finish()
        }
        try write()
        try staged.export(model: Self.record)
        let expected = try EmbeddingTable(place).rowCount
        try write()
        try folder.write("retrieval/.lock", [])
        try staged.export(model: Self.record)
        #expect(try EmbeddingTable(place).rowCount == expected)
        let rest = try FileManager.default.contentsOfDirectory(atPath: folder.path)
        #expect(rest == ["retrieval"])
        #expect(!FileManager.default.fileExists(atPath: "\(place)/.lock"))
    }
}
