import CLIP
import Files
import TestSupport
import Testing

@testable import CLIPSearch

/// Tests of files that state more than they have.
@Suite struct ParquetBoundsTests {
    private let folder: TemporaryFolder
    private static let page = CraftedParquet.page(rows: 2, dimension: 4)
    private static let group = CraftedParquet.Group(rowCount: 2, valueCount: 8, size: page.count)

    init() throws { folder = try TemporaryFolder() }

    /// Reads all vectors of a file, and returns the reason of the error; "" if there is none.
    private func reason(_ groups: [CraftedParquet.Group], body: [UInt8] = page) throws -> String {
        let bytes = CraftedParquet(body: body, groups: groups).bytes
        let path = FilePath(try folder.write("crafted.parquet", bytes))
        do {
            _ = try NamedEmbeddings(EmbeddingTable(path))
            return ""
        } catch {
            guard case CLIPError.unreadableFile(_, let reason) = error else { throw error }
            return reason
        }
    }

    @Test func separateRowGroupsAreRead() throws {
        var second = Self.group
        second.offset += Self.page.count
        #expect(try reason([Self.group, second], body: Self.page + Self.page) == "")
    }

    @Test func overlappingRowGroupsAreRefused() throws {
        for count in [2, 50, 3000] {
            let groups = [CraftedParquet.Group](repeating: Self.group, count: count)
            let found = try reason(groups)
            #expect(found.contains("two columns overlap at byte 4"), "\(found)")
        }
    }

    @Test func columnsBeyondThePagesAreRefused() throws {
        for (offset, size) in [(4, 1 << 60), (1 << 60, 8), (Int.max, Int.max), (3, 8)] {
            let huge = CraftedParquet.Group(
                rowCount: 2, valueCount: 1 << 60, size: size, offset: offset)
            let found = try reason([Self.group, huge])
            #expect(found.contains("a column reaches beyond its pages"), "\(found)")
        }
    }

    /// Pages of 0 values may be anywhere, so nothing of them is read or released.
    @Test func placesWithoutValuesAreNotReleased() throws {
        for (offset, size) in [(1 << 40, 100), (1 << 62, 1 << 62), (Int.max, Int.max)] {
            let empty = CraftedParquet.Group(
                rowCount: 0, valueCount: 0, size: size, offset: offset)
            let bytes = CraftedParquet(body: Self.page, groups: [empty, Self.group]).bytes
            let file = try ParquetFile(FilePath(try folder.write("crafted.parquet", bytes)))
            for group in file.rowGroups.indices { file.forget(rowGroup: group) }
            #expect(try file.vectors(of: "embedding", rowGroup: 1).numbers.count == 8)
        }
    }

    @Test(arguments: [1 << 44, 1 << 62])
    func tooManyNumbersAreRefused(valueCount: Int) throws {
        var huge = Self.group
        (huge.rowCount, huge.valueCount) = (1, valueCount)
        let found = try reason([huge])
        #expect(found.contains("states too many numbers for the size of its pages"), "\(found)")
    }

    @Test func numbersOfAllRowGroupsAreLimited() throws {
        // Each group is permitted on its own.
        let groups = (0..<3).map { number in
            CraftedParquet.Group(
                rowCount: 1, valueCount: 1 << 21, size: Self.page.count,
                offset: 4 + number * Self.page.count)
        }
        let found = try reason(groups, body: Self.page + Self.page + Self.page)
        #expect(found.contains("states too many numbers for the size of its pages"), "\(found)")
    }

    @Test func vectorsWithoutDimensionsAreRefused() throws {
        var group = Self.group
        for (rows, values) in [(2, 0), (5, 3)] {
            (group.rowCount, group.valueCount) = (rows, values)
            let found = try reason([group])
            #expect(
                found == """
                    expected vectors of 1...268435456 dimensions, found 0 in crafted.parquet
                    """)
        }
    }

    @Test(arguments: [0, 1 << 28 + 1, 1 << 40])
    func dimensionsThatCannotBeWrittenAreErrors(dimension: Int) throws {
        let schema = ExportSchema(dimension: dimension)
        #expect(throws: EmbeddingFileError.self) {
            try ParquetExport(FilePath("\(folder.path)/x.parquet"), schema)
        }
        #expect(throws: EmbeddingFileError.self) {
            try FaissExport(FilePath("\(folder.path)/x.faiss"), schema)
        }
    }

    @Test func largeValuesEndRowGroups() throws {
        let rows = (0..<100).map { row in
            [ParquetValue.string([UInt8](repeating: 0x61, count: row % 10 == 9 ? 1000 : 50))]
        }
        let vectors = (0..<200).map { Float($0) }
        func write(batch: Int) throws -> [UInt8] {
            let path = FilePath("\(folder.path)/\(batch).parquet")
            let output = try GrowingFile(path: path.bytes)
            let writer = try ParquetWriter(
                output, columns: [ParquetColumn(name: "path", kind: .string, isOptional: false)],
                vectorColumn: "embedding", dimension: 2, metadata: [], rowGroupSize: 33,
                rowGroupBytes: 1500)
            for start in stride(from: 0, to: rows.count, by: batch) {
                let range = start..<min(rows.count, start + batch)
                try writer.append(
                    rows: Array(rows[range]),
                    vectors: vectors[(2 * range.lowerBound)..<(2 * range.upperBound)])
            }
            try writer.finish()
            try output.finish()
            let file = try ParquetFile(path)
            #expect(file.rowGroups.count > 6 && file.rowGroups.allSatisfy { $0.count <= 20 })
            let groups = file.rowGroups.indices
            #expect(
                try groups.flatMap { try file.values(of: "path", rowGroup: $0) }
                    == Array(rows.joined()))
            #expect(
                try groups.flatMap { try file.vectors(of: "embedding", rowGroup: $0).numbers }
                    == vectors)
            return try readFile(path: path.bytes, limit: 1 << 20)
        }
        let expected = try write(batch: 1)
        for batch in [7, 40, 100] { #expect(try write(batch: batch) == expected) }
    }
}
