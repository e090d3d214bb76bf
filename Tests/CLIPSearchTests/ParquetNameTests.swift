import CLIP
import Files
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests of names, models and bounds of Parquet files.
@Suite struct ParquetNameTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Writes rows of two dimensions: the number of the row, and 1.
    private func write(
        _ columns: [ParquetColumn], _ rows: [[ParquetValue]], vectorColumn: String = "embedding",
        metadata: [(key: String, value: String)] = []
    ) throws -> FilePath {
        let path = FilePath("\(folder.path)/a.parquet")
        let file = try GrowingFile(path: path.bytes)
        let writer = try ParquetWriter(
            file, columns: columns, vectorColumn: vectorColumn, dimension: 2, metadata: metadata,
            rowGroupSize: 2)
        for (index, row) in rows.enumerated() {
            try writer.append(row, vector: [Float(index), 1])
        }
        try writer.finish()
        try file.finish()
        return path
    }

    @Test func namesThatAreNotUTF8AreExact() throws {
        let names: [FilePath] = [
            FilePath("ä.jpg"), FilePath([0x61, 0xFF, 0x62]), FilePath("c"), FilePath([0xC3]),
        ]
        let path = try write(
            ParquetTable.columns(hasOtherBytes: true),
            names.map { ParquetTable.values(of: $0, hasOtherBytes: true) })
        let embeddings = try NamedEmbeddings(EmbeddingTable(path))
        #expect(embeddings.files == names)
        #expect(embeddings.dimension == 2)
        #expect(embeddings.model == nil)
        let paths = try ParquetFile(path).values(of: "path", rowGroup: 0)
        #expect(paths[1] == .string(Array("a\u{FFFD}b".utf8)))
    }

    @Test(arguments: ["image_path", "url", "id", "key"])
    func namesOfOtherSoftwareAreRead(column: String) throws {
        let path = try write(
            [
                ParquetColumn(name: "key", kind: .integer, isOptional: true),
                ParquetColumn(name: column, kind: .string, isOptional: true),
            ].suffix(column == "key" ? 1 : 2),
            [[.integer(7), .string([0x61])], [.null, .null]].map {
                $0.suffix(column == "key" ? 1 : 2)
            }, vectorColumn: "vector")
        #expect(try NamedEmbeddings(EmbeddingTable(path)).files == [FilePath("a"), FilePath("1")])
    }

    @Test func namesThatMayNotBeUTF8AreRecognised() throws {
        func hasOtherNames(_ kind: ParquetColumn.Kind, _ names: [String]) throws -> Bool {
            let path = try write(
                [ParquetColumn(name: "image_path", kind: kind, isOptional: false)],
                names.map { [kind == .bytes ? .bytes(Array($0.utf8)) : .string(Array($0.utf8))] })
            return try EmbeddingTable(path).hasOtherNames
        }
        #expect(try hasOtherNames(.bytes, ["a", "b", "c"]))
        #expect(try !hasOtherNames(.string, ["a", "b", "ä"]))
        // pyarrow does not check the bytes of strings.
        let table = try EmbeddingTable(FilePath(Fixtures.path("parquet/bad-names.parquet")))
        #expect(table.hasOtherNames)
        let exported = FilePath("\(folder.path)/exported.parquet")
        let export = try ParquetExport(exported, ExportSchema(table))
        var blocks = table.blocks()
        while let block = try blocks.next() { try export.append(block) }
        try export.finish()
        #expect(
            try NamedEmbeddings(EmbeddingTable(exported)).files
                == [FilePath([0x61, 0xFF]), FilePath("b")])
    }

    @Test func textsWithoutVectorsAreNotCounted() throws {
        let table = try EmbeddingTable(FilePath(Fixtures.path("parquet/missing-images.parquet")))
        #expect(table.rowCount == 37 && table.missingCount == 3 && table.textCount == 37)
        #expect(ExportSchema(table).hasOnlyTexts)
        var blocks = table.blocks()
        while let block = try blocks.next() { #expect(!block.isText.contains(false)) }
    }

    @Test func fieldsAreReadOnlyIfTheyAreNeeded() throws {
        let path = try write(
            [
                ParquetColumn(name: "path", kind: .string, isOptional: false),
                ParquetColumn(name: "label", kind: .string, isOptional: false),
            ], [[.string([0x61]), .string(Array("qqqq".utf8))]])
        var bytes = try readFile(path: path.bytes, limit: 1 << 20)
        let place = try #require(bytes.firstRange(of: Array("qqqq".utf8))?.lowerBound)
        bytes[place] = 0x72  // the checksum of the page is now wrong
        try writeFile(bytes, to: path.bytes)
        let table = try EmbeddingTable(path)
        #expect(try NamedEmbeddings(table).names == ["a"])
        var blocks = table.blocks(withFields: false)
        let block = try #require(try blocks.next())
        #expect(block.count == 1 && block.fields.isEmpty)
        #expect(throws: CLIPError.self) {
            var blocks = table.blocks()
            _ = try blocks.next()
        }
        let output = ExportStream(name: "output") { _ in }
        let schema = ExportSchema(table)
        #expect(try !PGVectorExport(output, schema, type: .vector).usesFields)
        #expect(try !SQLiteVecExport(output, schema, table: "images").usesFields)
        #expect(QdrantExport(output, schema).usesFields)
    }

    @Test func namesWithNULAreKept() throws {
        let path = try write(
            [ParquetColumn(name: "url", kind: .string, isOptional: false)],
            [[0x61], [0x63, 0, 0x64]].map { [.string($0)] })
        let names = try NamedEmbeddings(EmbeddingTable(path)).files.map(\.bytes)
        #expect(names == [[0x61], [0x63, 0, 0x64]])
    }

    @Test func rowsWithoutNamesAreNumbered() throws {
        let path = try write([], [[], [], []], vectorColumn: "anything")
        #expect(try NamedEmbeddings(EmbeddingTable(path)).names == ["0", "1", "2"])
    }

    @Test func modelIsKept() throws {
        let record = ModelRecord(
            name: "ViT-B/32", fingerprint: String(repeating: "a", count: 64), dimension: 2,
            precision: .fp32, activation: .quickGELU, resolution: 224, isNormalized: true)
        let path = try write([], [[]], metadata: record.metadata)
        #expect(try NamedEmbeddings(EmbeddingTable(path)).model == record)
        var other = record
        other.dimension = 3
        let wrong = try write([], [[]], metadata: other.metadata)
        #expect(
            throws: CLIPError.unreadableFile(
                path: wrong.description,
                reason: "its vectors have 2 dimensions, but its metadata states 3")
        ) { try NamedEmbeddings(EmbeddingTable(wrong)) }
    }

    @Test func otherFilesAreRefused() throws {
        let path = FilePath(try folder.write("b.parquet", Array("not a Parquet file".utf8)))
        #expect(throws: FileError(reason: "it is not a Parquet file", isDamage: true)) {
            try ParquetFile(path)
        }
    }

    @Test func snappyBombsAreRefused() throws {
        // A literal of one byte, and copies of 64 bytes.
        var bomb: [UInt8] = []
        bomb.append(varint: 1 + 64 * 100)
        bomb += [0, 0x61]
        for _ in 0..<100 { bomb += [0xFE, 1, 0] }
        #expect(
            try decompressSnappy(bomb[...], size: 6401)
                == [UInt8](repeating: 0x61, count: 6401))
        var huge: [UInt8] = []
        huge.append(varint: 1 << 30)
        #expect(throws: FileError.self) {
            try decompressSnappy((huge + [0, 0x61])[...], size: 1 << 30)
        }
    }

    @Test func overlongRunsAreCut() throws {
        // A run of 2^34 numbers, of which 3 are needed.
        let run: [UInt8] = [0xFE, 0xFF, 0xFF, 0xFF, 0x7F, 5]
        #expect(try parquetRuns(run[...], bitWidth: 3, count: 3) == [5, 5, 5])
        #expect(throws: FileError.self) { try parquetRuns(run[...], bitWidth: 2, count: 3) }
        #expect(throws: FileError.self) { try parquetRuns([3], bitWidth: 8, count: 3) }
    }

    @Test func checksumsAreThoseOfZlib() {
        var crc = CRC32()
        crc.update(Array("123456789".utf8)[...])
        #expect(crc.value == 0xCBF4_3926)
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* $0) }
        var whole = CRC32()
        whole.update(bytes[...])
        var parts = CRC32()
        for start in stride(from: 0, to: 1000, by: 13) {
            parts.update(bytes[start..<min(1000, start + 13)])
        }
        #expect(whole.value == parts.value)
    }
}
