import Files

@testable import CLIPSearch

/// A Parquet file of any claims, with one column of vectors, for tests of bad input.
struct CraftedParquet {
    /// The pages of the column in a row group, as the footer states them.
    struct Group {
        var rowCount: Int
        var valueCount: Int
        var size: Int
        var offset = 4
    }

    /// The bytes of all pages.
    var body: [UInt8]
    var groups: [Group]

    /// Returns a page of equal vectors, (1, …, 1).
    static func page(rows: Int, dimension: Int) -> [UInt8] {
        var repetition = ParquetLevelWriter()
        var definition = ParquetLevelWriter()
        for _ in 0..<rows {
            repetition.append(0)
            repetition.append(1, count: dimension - 1)
        }
        definition.append(1, count: rows * dimension)
        let ones = [Float](repeating: 1, count: rows * dimension)
        let page = repetition.finish() + definition.finish() + littleEndianBytes(of: ones[...])
        var crc = CRC32()
        crc.update(page[...])
        return parquetPageHeader(size: page.count, crc: crc.value, valueCount: rows * dimension)
            + page
    }

    var bytes: [UInt8] {
        var footer = ThriftWriter()
        footer.field(1, Int32(1))
        footer.field(2, structures: ["schema", "embedding", "list", "element"]) { writer, name in
            if name == "element" { writer.field(1, Int32(ParquetType.float.rawValue)) }
            if name != "schema" { writer.field(3, Int32(name == "list" ? 2 : 0)) }
            writer.field(4, name)
            if name != "element" { writer.field(5, Int32(1)) }
            if name == "embedding" { writer.field(6, Int32(3)) }
        }
        footer.field(3, Int64(groups.reduce(0) { $0 + $1.rowCount }))
        footer.field(4, structures: groups) { writer, group in
            writer.field(1, structures: [group]) { writer, group in
                writer.field(2, Int64(0))
                writer.field(3) { chunk in
                    chunk.field(1, Int32(ParquetType.float.rawValue))
                    chunk.field(4, Int32(ParquetCodec.none))
                    chunk.field(5, Int64(group.valueCount))
                    chunk.field(7, Int64(group.size))
                    chunk.field(9, Int64(group.offset))
                }
            }
            writer.field(3, Int64(group.rowCount))
        }
        footer.end()
        var end: [UInt8] = []
        end.append(littleEndian: UInt32(footer.bytes.count))
        return parquetMagic + body + footer.bytes + end + parquetMagic
    }
}
