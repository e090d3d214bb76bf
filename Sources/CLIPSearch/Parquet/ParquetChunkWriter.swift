internal import Files

/// The size of a page of values, in bytes, as far as whole rows permit.
let parquetPageSize = 1 << 20

/// The size of a page of vectors in bytes, which fits into the second cache of a core: the vectors
/// are read, summed and written while they are there.
let parquetVectorPageSize = 1 << 18

/// Returns the header of a data page, version 1.
func parquetPageHeader(
    size: Int, crc: UInt32, valueCount: Int
) -> [UInt8] {
    var header = ThriftWriter()
    header.field(1, Int32(ParquetPageType.data))
    header.field(2, Int32(size))
    header.field(3, Int32(size))
    header.field(4, Int32(bitPattern: crc))
    header.field(5) { page in
        page.field(1, Int32(valueCount))
        page.field(2, Int32(ParquetEncoding.plain))
        page.field(3, Int32(ParquetEncoding.runLength))
        page.field(4, Int32(ParquetEncoding.runLength))
    }
    header.end()
    return header.bytes
}

/// Levels of 1 bit as runs, preceded by the number of their bytes.
struct ParquetLevelWriter {
    private var runs: [UInt8] = []
    private var level: UInt8 = 0
    private var count = 0

    /// The number of bytes, at most.
    var size: Int { runs.count + 16 }

    mutating func append(_ newLevel: UInt8, count newCount: Int = 1) {
        guard newCount > 0 else { return }
        if newLevel != level { endRun() }
        level = newLevel
        count += newCount
    }

    /// Returns the bytes, and starts over.
    mutating func finish() -> [UInt8] {
        endRun()
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt32(runs.count))
        bytes += runs
        runs.removeAll(keepingCapacity: true)
        return bytes
    }

    private mutating func endRun() {
        guard count > 0 else { return }
        runs.append(varint: UInt64(count) << 1)
        runs.append(level)
        count = 0
    }
}

/// The pages of a column in a row group.
struct ParquetChunkWriter {
    let column: ParquetColumn
    /// The finished pages.
    private(set) var pages: [UInt8] = []
    /// The number of rows, those without a value included.
    private(set) var count = 0
    /// The number of rows without a value.
    private(set) var nullCount = 0
    private var levels = ParquetLevelWriter()
    private var values: [UInt8] = []
    private var pageCount = 0
    /// Truth values that do not fill a byte yet.
    private var bits: UInt8 = 0
    private var bitCount: UInt8 = 0

    init(_ column: ParquetColumn) { self.column = column }

    /// The number of bytes of the rows, about.
    var size: Int { pages.count + values.count + levels.size }

    mutating func append(_ value: ParquetValue) throws(FileError) {
        if column.isOptional { levels.append(value == .null ? 0 : 1) }
        switch (value, column.kind) {
        case (.null, _) where column.isOptional: nullCount += 1
        case (.string(let bytes), .string): try append(bytes: bytes.isUTF8 ? bytes : bytes.repaired)
        case (.bytes(let bytes), .bytes): try append(bytes: bytes)
        case (.integer(let number), .integer): values.append(littleEndian: number)
        case (.double(let number), .double): values.append(littleEndian: number.bitPattern)
        case (.boolean(let isTrue), .boolean): append(bit: isTrue)
        default: preconditionFailure("expected a value of \(column), found \(value)")
        }
        count += 1
        pageCount += 1
        if values.count + levels.size >= parquetPageSize { finishPage() }
    }

    mutating func finishPage() {
        guard pageCount > 0 else { return }
        if bitCount > 0 { values.append(bits) }
        let page = (column.isOptional ? levels.finish() : []) + values
        var crc = CRC32()
        crc.update(page[...])
        pages += parquetPageHeader(size: page.count, crc: crc.value, valueCount: pageCount)
        pages += page
        values.removeAll(keepingCapacity: true)
        (pageCount, bits, bitCount) = (0, 0, 0)
    }

    /// Starts the next row group.
    mutating func reset() {
        pages.removeAll(keepingCapacity: true)
        (count, nullCount) = (0, 0)
    }

    private mutating func append(bytes: [UInt8]) throws(FileError) {
        guard bytes.count <= 1 << 30 else {
            throw FileError(
                reason: """
                    a value of column "\(column.name)" is too large (\(bytes.count) bytes, limit \
                    \(1 << 30))
                    """)
        }
        values.append(littleEndian: UInt32(bytes.count))
        values += bytes
    }

    private mutating func append(bit: Bool) {
        bits |= (bit ? 1 : 0) << bitCount
        bitCount += 1
        guard bitCount == 8 else { return }
        values.append(bits)
        (bits, bitCount) = (0, 0)
    }
}

extension [UInt8] {
    /// True if the bytes are UTF-8.
    var isUTF8: Bool { allSatisfy { $0 < 0x80 } || String(validating: self, as: UTF8.self) != nil }

    /// The bytes with U+FFFD in place of bytes that are not UTF-8.
    var repaired: [UInt8] { Array(String(decoding: self, as: UTF8.self).utf8) }
}
