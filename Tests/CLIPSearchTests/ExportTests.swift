import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests the exports of vectors against files that faiss, NumPy, pyarrow and Python's struct wrote
/// (`Scripts/parity/exports.py`).
@Suite struct ExportTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func fixture(_ name: String) -> FilePath {
        FilePath(Fixtures.path("exports/\(name)"))
    }

    /// Exports a table, and returns the path of the output.
    @discardableResult
    private func export(
        _ source: FilePath, _ name: String,
        _ make: (FilePath, ExportSchema) throws -> any EmbeddingExport
    ) throws -> FilePath {
        let table = try EmbeddingTable(source)
        let path = FilePath("\(folder.path)/\(name)")
        let writer = try make(path, ExportSchema(table))
        var blocks = table.blocks()
        while let block = try blocks.next() { try writer.append(block) }
        try writer.finish()
        return path
    }

    private func bytes(_ path: FilePath) throws -> [UInt8] {
        try readFile(path: path.bytes, limit: 1 << 24)
    }

    @Test func faissFileEqualsThatOfFaiss() throws {
        let path = try export(fixture("vectors.npy"), "x.faiss") { try FaissExport($0, $1) }
        #expect(try bytes(path) == bytes(fixture("vectors.faiss")))
        let names = try NamesFile(FilePath(folder.path + "/x.faiss.names.jsonl"))
        #expect(names.rowCount == 5)
        #expect(names.columns.map(\.name) == ["cls", "txt"])
    }

    @Test(arguments: [PGVectorExport.VectorType.vector, .halfvec])
    func rowsForPostgreSQLEqualThoseOfAnIndependentWriter(
        _ type: PGVectorExport.VectorType
    ) throws {
        let path = try export(fixture("vectors.npy"), "x.pgcopy") { path, schema in
            try PGVectorExport(ExportStream(path), schema, type: type)
        }
        let expected = try bytes(fixture("\(type == .vector ? "vectors" : "halfvec").pgcopy"))
        #expect(try bytes(path) == expected)
    }

    @Test func clipRetrievalFolderHasTheVectorsOfNumPy() throws {
        let path = try export(fixture("vectors.npy"), "out") { path, schema in
            try RetrievalExport(path, schema, partitionRows: 2)
        }
        #expect(try EmbeddingTable(path).parts.count == 3)
        let found = try NamedEmbeddings(EmbeddingTable(path))
        let expected = try NamedEmbeddings(npy: fixture("vectors-f16.npy"))
        #expect(found.embeddings == expected.embeddings)
        #expect(found.names == (try NamedEmbeddings(npy: fixture("vectors.npy")).names))
        #expect(throws: EmbeddingFileError.self) {
            try RetrievalExport(path, ExportSchema(dimension: 7))
        }
    }

    @Test func parquetKeepsVectorsNamesFieldsAndKinds() throws {
        let path = try export(fixture("vectors.npy"), "x.parquet") { try ParquetExport($0, $1) }
        let table = try EmbeddingTable(path)
        #expect(table.columns.map(\.name) == ["cls", "txt"])
        var blocks = table.blocks()
        let block = try #require(try blocks.next())
        let stored = try NamedEmbeddings(npy: fixture("vectors.npy"))
        #expect(block.vectors == stored.embeddings.values)
        #expect(block.names.map(\.description) == stored.names)
        #expect(block.fields[0] == [.integer(3), .string(Array("a bike".utf8))])
        #expect(try blocks.next() == nil)
    }

    @Test func namesThatAreNotUTF8SurviveParquet() throws {
        let source = FilePath(folder.path + "/n.npy")
        var named = NamedEmbeddings(dimension: 2)
        let names = [FilePath([0x61, 0xFF]), FilePath("a\u{E9}")]
        for name in names { try named.append(name, [1, 2]) }
        try named.write(npy: source)
        let path = try export(source, "n.parquet") { try ParquetExport($0, $1) }
        #expect(try NamedEmbeddings(EmbeddingTable(path)).files == names)
        let script = try export(source, "n.sql") { path, schema in
            try SQLiteVecExport(ExportStream(path), schema, table: "images")
        }
        let text = String(decoding: try bytes(script), as: UTF8.self)
        #expect(text.contains("VALUES (1, CAST(x'61ff' AS TEXT));"), "\(text)")
        #expect(text.contains("VALUES (2, x'0000803f00000040');"), "\(text)")
    }

    @Test func qdrantBatchesHaveIdsVectorsAndPayloads() throws {
        let path = try export(fixture("retrieval"), "x.ndjson") { path, schema in
            QdrantExport(try ExportStream(path), schema, batchSize: 4, firstID: 10)
        }
        let lines = try bytes(path).split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == 2)
        let batch = try #require(try JSONValue(parsing: Array(lines[1]))["batch"])
        #expect(batch["ids"] == .array([.integer(14)]))
        #expect(batch["payloads"]?.array?.first?["caption"]?.string == "caption 4")
        #expect(batch["payloads"]?.array?.first?["width"] == .integer(4))
        #expect(batch["vectors"]?.array?.first?.array?.count == 7)
    }

    @Test(arguments: ["retrieval", "spark"])
    func foldersOfOtherSoftwareAreRead(_ name: String) throws {
        let found = try NamedEmbeddings(EmbeddingTable(fixture(name)))
        let file = name == "spark" ? "vectors.npy" : "vectors-f16.npy"
        #expect(found.embeddings == (try NamedEmbeddings(npy: fixture(file)).embeddings))
        #expect(found.names == (try NamedEmbeddings(npy: fixture("vectors.npy")).names))
    }

    @Test func differentDimensionsAndNaNAreRejected() throws {
        let shards = FilePath(folder.path + "/shards")
        try makeFolder(shards.bytes)
        func shard(_ number: Int, _ vector: [Float]) throws {
            try writeFile(
                npy(vector, shape: [1, vector.count]),
                to: shards.appending("0000\(number).npy".utf8).bytes)
        }
        try shard(0, [1, 2])
        try shard(1, [1, 2, 3])
        func message() -> String {
            do {
                _ = try NamedEmbeddings(EmbeddingTable(shards))
                return "no error"
            } catch {
                return "\(error)"
            }
        }
        #expect(message().contains("expected vectors of 2 dimensions"), "\(message())")
        #expect(message().contains("found 3 in 00001.npy"), "\(message())")
        try shard(1, [1, .nan])
        #expect(message().contains("row 0, counted from 0, contains NaN"), "\(message())")
        try shard(1, [3, 4])
        #expect(message() == "no error")
    }

    @Test func numbersThatFloat16CannotHoldAreRejected() throws {
        let source = FilePath(folder.path + "/n.npy")
        try writeFile(npy([1, 65_520], shape: [1, 2]), to: source.bytes)
        #expect(throws: EmbeddingFileError.self) {
            try export(source, "x.pgcopy") { path, schema in
                try PGVectorExport(ExportStream(path), schema, type: .halfvec)
            }
        }
    }
}
