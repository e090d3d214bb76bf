import CLIP
import Files
import Foundation
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests of Parquet files, beside files that pyarrow, Polars, DuckDB and pandas wrote;
/// Scripts/parity/parquet.py makes them, and checks that those read the files written here.
@Suite struct ParquetTests {
    private let folder: TemporaryFolder
    private static let dimension = 5
    private static let rowCount = 40
    private static let columns: [ParquetColumn] = [
        ParquetColumn(name: "path", kind: .string, isOptional: false),
        ParquetColumn(name: "label", kind: .string, isOptional: true),
        ParquetColumn(name: "count", kind: .integer, isOptional: true),
        ParquetColumn(name: "score", kind: .double, isOptional: true),
        ParquetColumn(name: "flag", kind: .boolean, isOptional: true),
    ]

    init() throws { folder = try TemporaryFolder() }

    /// The values of a row of the fixtures.
    private static func values(row: Int) -> [ParquetValue] {
        [
            .string(Array("photos/ü\(row).jpg".utf8)),
            row % 4 == 0 ? .null : .string(Array("label \(row % 3)".utf8)),
            row % 5 == 0 ? .null : .integer(Int64(row) - 20),
            row % 7 == 0 ? .null : .double(Double(row) / 4),
            row % 6 == 0 ? .null : .boolean(row % 2 == 0),
        ]
    }

    /// The vectors of the fixtures.
    private static let vectors: [Float] = (0..<(rowCount * dimension)).map { index in
        Float(37 * index % 101 - 50) / 64
    }

    private static func fixture(_ name: String) -> FilePath {
        FilePath(Fixtures.path("parquet/\(name).parquet"))
    }

    /// Writes the rows of the fixtures.
    private func written(
        rowGroupSize: Int = 65_536, batch: Int = 1, name: String = "written.parquet"
    ) throws -> FilePath {
        let path = FilePath("\(folder.path)/\(name)")
        let file = try GrowingFile(path: path.bytes)
        let writer = try ParquetWriter(
            file, columns: Self.columns, vectorColumn: "embedding", dimension: Self.dimension,
            metadata: [(key: "clip.model", value: "tiny")], rowGroupSize: rowGroupSize)
        for start in stride(from: 0, to: Self.rowCount, by: batch) {
            let rows = start..<min(Self.rowCount, start + batch)
            let numbers =
                (rows.lowerBound * Self.dimension)..<(rows.upperBound * Self.dimension)
            try writer.append(rows: rows.map(Self.values), vectors: Self.vectors[numbers])
        }
        try writer.finish()
        try file.finish()
        return path
    }

    private func check(_ file: ParquetFile) throws {
        #expect(file.rowCount == Self.rowCount)
        #expect(file.columns.map(\.name) == Self.columns.map(\.name))
        #expect(file.columns.map(\.kind) == Self.columns.map(\.kind))
        #expect(file.vectorColumns.map(\.name) == ["embedding"])
        #expect(file.vectorColumns.map(\.dimension) == [Self.dimension])
        for (index, column) in Self.columns.enumerated() {
            let found = try file.rowGroups.indices
                .flatMap { try file.values(of: column.name, rowGroup: $0) }
            #expect(found == (0..<Self.rowCount).map { Self.values(row: $0)[index] })
        }
        let vectors = try file.rowGroups.indices
            .flatMap { try file.vectors(of: "embedding", rowGroup: $0).numbers }
        #expect(vectors == Self.vectors)
    }

    @Test(arguments: [
        "pyarrow-v1-none-dictionary", "pyarrow-v1-snappy-dictionary", "pyarrow-v1-plain",
        "pyarrow-v2-none-dictionary", "pyarrow-v2-snappy-dictionary", "pyarrow-v2-plain",
        "pyarrow-double", "pyarrow-half", "pandas", "polars-snappy", "polars-none", "duckdb",
    ])
    func filesOfOtherSoftwareAreRead(name: String) throws {
        try check(ParquetFile(Self.fixture(name)))
    }

    @Test(arguments: [
        ("bad-empty", "row 3 (from 0), column \"embedding\": found an empty list"),
        (
            "bad-short",
            "row 3 (from 0), column \"embedding\": expected a list of 5 numbers, found 2"
        ),
        ("bad-element", "row 3 (from 0), column \"embedding\": the list has a null"),
        ("bad-nan", "row 3 (from 0), column \"embedding\": it contains NaN or infinity"),
        (
            "bad-zstd",
            """
            unsupported: column "embedding" is compressed with ZSTD; expected uncompressed or Snappy
            """
        ),
        (
            "bad-gzip",
            """
            unsupported: column "embedding" is compressed with GZIP; expected uncompressed or Snappy
            """
        ),
    ])
    func unsupportedAndBadVectorsAreErrors(name: String, reason: String) throws {
        let file = try ParquetFile(Self.fixture(name))
        let error = #expect(throws: FileError.self) {
            try file.vectors(of: "embedding", rowGroup: 0)
        }
        #expect(error?.reason.hasPrefix(reason) == true, "\(error?.reason ?? "no error")")
    }

    @Test func rowsWithoutVectorsAreLeftOut() throws {
        let file = try ParquetFile(Self.fixture("missing"))
        #expect(file.missingCount(of: "embedding") == 3)
        #expect(file.vectorColumns.map(\.dimension) == [Self.dimension])
        let vectors = try file.vectors(of: "embedding", rowGroup: 0)
        #expect(vectors.missing == [0, 3, 39])
        let kept = (0..<Self.rowCount).filter { !vectors.missing.contains($0) }
        let table = try EmbeddingTable(Self.fixture("missing"))
        #expect(table.rowCount == 37 && table.missingCount == 3)
        var blocks = table.blocks()
        let block = try #require(try blocks.next())
        #expect(
            block.vectors
                == kept.flatMap { row in
                    Self.vectors[(row * Self.dimension)..<((row + 1) * Self.dimension)]
                })
        #expect(block.names.map { .string($0.bytes) } == kept.map { Self.values(row: $0)[0] })
    }

    @Test func unsupportedEncodingIsNamed() throws {
        let file = try ParquetFile(Self.fixture("bad-delta"))
        #expect(
            throws: FileError(
                reason: """
                    unsupported: column "path" is encoded with DELTA_BYTE_ARRAY; expected PLAIN or \
                    a dictionary
                    """)
        ) { try file.values(of: "path", rowGroup: 0) }
    }

    @Test(arguments: [(1, 1), (7, 1), (7, 3), (40, 40), (16, 40), (65_536, 9)])
    func writtenRowsAreReadAgain(rowGroupSize: Int, batch: Int) throws {
        let file = try ParquetFile(written(rowGroupSize: rowGroupSize, batch: batch))
        try check(file)
        #expect(file.rowGroups.allSatisfy { $0.count <= rowGroupSize })
        #expect(file.metadata.map(\.key) == ["clip.model", "ARROW:schema"])
    }

    @Test func batchesDoNotChangeTheFile() throws {
        let first = try written(rowGroupSize: 16, batch: 1)
        let second = try written(rowGroupSize: 16, batch: 23, name: "other.parquet")
        let bytes = try readFile(path: first.bytes, limit: 1 << 20)
        #expect(try readFile(path: second.bytes, limit: 1 << 20) == bytes)
    }

    /// The file was read by pyarrow, Polars, DuckDB and pandas.
    @Test func writtenFileIsTheOneThatOthersRead() throws {
        let path = try written(rowGroupSize: 16, batch: 9)
        let bytes = try readFile(path: path.bytes, limit: 1 << 20)
        let expected = try readFile(path: Self.fixture("ours").bytes, limit: 1 << 20)
        #expect(bytes == expected, "\(bytes.count) bytes; expected \(expected.count)")
    }

    /// Spark finds a row group by the offset of its first column.
    @Test func columnsOfARowGroupAreInTheOrderOfTheSchema() throws {
        let path = try written(rowGroupSize: 7)
        let file = try MappedFile(path: path.bytes)
        let size = Int(file.uint32(at: file.count - 8))
        let end = file.count - 8
        let footer = try ParquetMetadata(file, (end - size)..<end)
        let offsets = footer.rowGroups.flatMap { $0.chunks.map(\.dataOffset) }
        #expect(offsets.count == footer.rowGroups.count * (Self.columns.count + 1))
        #expect(offsets == offsets.sorted())
    }

    @Test func fileWithoutRowsIsRead() throws {
        let path = FilePath("\(folder.path)/empty.parquet")
        let output = try GrowingFile(path: path.bytes)
        let writer = try ParquetWriter(
            output, columns: Self.columns, vectorColumn: "embedding", dimension: 7,
            metadata: [(key: "clip.dimension", value: "7")])
        try writer.finish()
        try output.finish()
        let file = try ParquetFile(path)
        #expect(file.rowCount == 0)
        #expect(file.vectorColumns.map(\.dimension) == [7])
        #expect(
            throws: CLIPError.unreadableFile(path: path.description, reason: "it has no rows")
        ) { try NamedEmbeddings(EmbeddingTable(path)) }
    }

    @Test func brokenFilesAreErrors() throws {
        // Our file, and one with Snappy, dictionaries and pages of version 2.
        for source in [
            try written(rowGroupSize: 16), Self.fixture("pyarrow-v2-snappy-dictionary"),
            Self.fixture("pandas"),
        ] {
            let good = try readFile(path: source.bytes, limit: 1 << 20)
            var generator = SplitMix(state: 24)
            for attempt in 0..<300 {
                var bytes = good
                switch attempt % 3 {
                case 0:
                    for _ in 0...(generator.next() % 4) {
                        let place = Int(generator.next() % UInt64(bytes.count))
                        bytes[place] = UInt8(truncatingIfNeeded: generator.next())
                    }
                case 1:
                    // Within the footer.
                    let place = bytes.count - 9 - Int(generator.next() % 1000)
                    bytes[place] = UInt8(truncatingIfNeeded: generator.next())
                default: bytes.removeLast(Int(generator.next() % UInt64(bytes.count)))
                }
                // Every outcome but a crash is permitted: names and statistics have no checksum.
                _ = try? readAll(bytes)
            }
        }
    }

    @Test func damagedPagesAreDetected() throws {
        let good = try readFile(path: written(rowGroupSize: 16).bytes, limit: 1 << 20)
        let size = Int(good[good.count - 8]) | Int(good[good.count - 7]) << 8
        let pages = 4..<(good.count - 8 - size)
        for place in stride(from: pages.lowerBound, to: pages.upperBound, by: 7) {
            var bytes = good
            bytes[place] ^= 0x10
            if (try? readAll(bytes)) != nil {
                // A field of a page's header that is not used, such as the encoding of absent
                // levels: the values are the same.
                try check(ParquetFile(MappedFile(copying: bytes)))
            }
        }
    }

    private func readAll(_ bytes: [UInt8]) throws {
        let file = try ParquetFile(MappedFile(copying: bytes))
        for group in file.rowGroups.indices {
            for column in file.columns {
                let values = try file.values(of: column.name, rowGroup: group)
                #expect(values.count == file.rowGroups[group].count)
            }
            for column in file.vectorColumns {
                let vectors = try file.vectors(of: column.name, rowGroup: group)
                let count = file.rowGroups[group].count - vectors.missing.count
                #expect(vectors.numbers.count == count * column.dimension)
            }
        }
    }
}

/// Numbers that are the same in every run.
private struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
