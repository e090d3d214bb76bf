import Foundation
import TestSupport
import Testing

/// Tests `clip export`: its outputs, its messages, and what it never replaces.
@Suite struct ExportCommandTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        for name in ["vectors.npy", "vectors.names.jsonl"] {
            try folder.copy(Fixtures.path("exports/\(name)"), as: name)
        }
    }

    private func clip(_ arguments: String...) throws -> ClipBinary.Result {
        try ClipBinary(folder: folder).run(arguments)
    }

    @Test func rowsForPostgreSQLGoToStandardOutput() throws {
        let result = try clip("export", "vectors.npy", "--to", "pgvector").successful()
        let expected = try bytes(ofFile: Fixtures.path("exports/vectors.pgcopy"))
        #expect(Array(result.output) == Array(expected))
        #expect(result.errors.contains("wrote 5 vectors of 7 dimensions"), "\(result.errors)")
    }

    @Test func statementsHaveTheDimensionAndTheType() throws {
        let text = try clip(
            "export", "vectors.npy", "--to", "pgvector", "--type", "halfvec", "--sql",
            "--table", "photos"
        ).successful().text
        #expect(text.contains("embedding halfvec(7) NOT NULL"), "\(text)")
        #expect(
            text.contains("CREATE INDEX ON \"photos\" USING hnsw (embedding halfvec_cosine_ops)"))
        #expect(text.contains("clip export vectors.npy --to pgvector --type halfvec | psql"))
    }

    @Test func exportedParquetIsExportedAgain() throws {
        _ = try clip("export", "vectors.npy", "--to", "parquet", "-o", "x.parquet").successful()
        let one = try clip("export", "vectors.npy", "--to", "qdrant").successful()
        let other = try clip("export", "x.parquet", "--to", "qdrant").successful()
        #expect(one.output == other.output)
        let groups = try clip("dedupe", "x.parquet", "--threshold", "0.99", "--json").successful()
        #expect(groups.errors.contains("image"), "\(groups.errors)")
    }

    @Test func columnsThatAreLeftOutAreNamed() throws {
        let result = try clip(
            "export", Fixtures.path("parquet/odd-columns.parquet"), "--to", "qdrant"
        ).successful()
        #expect(
            result.errors.contains(
                "left out 3 columns of types that are not supported: taken, size, tags"),
            "\(result.errors)")
        #expect(result.text.contains(#""label":"y""#), "\(result.text)")
    }

    @Test(arguments: [
        (["--to", "parquet"], "needs a place for its output"),
        (["--to", "faiss", "-o", "x.npy"], "its suffix contradicts the format"),
        (["--to", "qdrant", "--sql"], "--sql needs --to pgvector"),
        (["--to", "qdrant", "--batch-size", "0"], "--batch-size must be at least 1"),
        (["--to", "pgvector", "--table", "a b"], "--table must be at most 50 letters"),
        (["--to", "pgvector", "--table", "sqlite_x"], "--table must be at most 50 letters"),
        (["--to", "parquet", "-o", "/dev/null"], "needs a place for its output"),
    ])
    func wrongUsageIsRejected(_ arguments: [String], _ says: String) throws {
        expectFailure(
            try ClipBinary(folder: folder).run(["export", "vectors.npy"] + arguments), status: 2,
            says: says)
    }

    @Test func sourceIsNotReplaced() throws {
        _ = try clip("export", "vectors.npy", "--to", "parquet", "-o", "x.parquet").successful()
        expectFailure(
            try clip("export", "x.parquet", "--to", "parquet", "-o", "x.parquet"), status: 2,
            says: "the same file as")
    }

    @Test func missingPartsAreErrors() throws {
        let arguments = ["encode", "-m", "tiny", "-o", "shards/", "--shard-size", "1", "-q"]
        let images = ["rgb.jpg", "tall.png", "wide.png"].map { Fixtures.path("images/\($0)") }
        let binary = ClipBinary(folder: folder)
        _ = try binary.run(arguments + images).successful()
        try FileManager.default.removeItem(atPath: "\(folder.path)/shards/00001.npy")
        expectFailure(
            try clip("export", "shards", "--to", "qdrant"), status: 1, says: "a shard is missing")
        _ = try binary.run(
            [
                "encode", "-m", "tiny", "--format", "clip-retrieval", "-o", "r", "--shard-size",
                "1",
                "-q",
            ] + images
        ).successful()
        try FileManager.default.removeItem(atPath: "\(folder.path)/r/metadata/metadata_1.parquet")
        expectFailure(
            try clip("export", "r", "--to", "qdrant"), status: 1,
            says: "metadata/metadata_1.parquet is missing")
    }

    @Test func filtersOfAnIndexAreRejectedForParquet() throws {
        _ = try clip("export", "vectors.npy", "--to", "parquet", "-o", "x.parquet").successful()
        expectFailure(
            try clip("search", "a dog", "--index", "x.parquet", "--since", "2024"), status: 2,
            says: "needs an indexed folder, not a Parquet file")
    }
}
