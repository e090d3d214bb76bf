internal import Files

/// A data page of a column, decompressed.
struct ParquetPage {
    let valueCount: Int
    let encoding: Int
    /// The levels of each value; empty if all are 0.
    let repetition: [UInt32]
    let definition: [UInt32]
    /// The encoded values, without nulls.
    let values: ArraySlice<UInt8>
}

/// Reads the pages of a column in a row group.
struct ParquetPageReader {
    private let file: MappedFile
    private let leaf: ParquetLeaf
    private let chunk: ParquetMetadata.Chunk
    private let end: Int
    private var position: Int
    /// The number of values, nulls included, that are not read yet.
    private var remaining: Int

    /// The header of a page.
    private struct Header {
        var type = -1
        var size = 0
        var compressedSize = 0
        var crc: UInt32?
        var valueCount = 0
        var encoding = -1
        // The encoding of levels, in version 1 of data pages.
        var definitionEncoding = ParquetEncoding.runLength
        var repetitionEncoding = ParquetEncoding.runLength
        // The sizes of levels, in version 2 of data pages.
        var definitionSize = 0
        var repetitionSize = 0
        var isCompressed = true
    }

    /// Starts at the first page; `limit` is the end of all pages of the file.
    init(
        _ file: MappedFile, _ leaf: ParquetLeaf, _ chunk: ParquetMetadata.Chunk, limit: Int
    ) throws(FileError) {
        self.file = file
        self.leaf = leaf
        self.chunk = chunk
        guard !chunk.isElsewhere else {
            throw FileError(reason: "unsupported: column \"\(leaf.name)\" is in another file")
        }
        guard chunk.codec == ParquetCodec.none || chunk.codec == ParquetCodec.snappy else {
            throw FileError(
                reason: """
                    unsupported: column "\(leaf.name)" is compressed with \
                    \(ParquetCodec.name(chunk.codec)); expected uncompressed or Snappy
                    """)
        }
        let start = chunk.start
        guard chunk.type == leaf.type.rawValue, start >= parquetMagic.count, start <= limit,
            chunk.size <= limit - start
        else { throw parquetDamage("column \"\(leaf.name)\" is described wrongly") }
        position = start
        end = start + chunk.size
        remaining = chunk.valueCount
    }

    /// Reads the next data page; nil after the last one.
    ///
    /// A dictionary before it is passed to `read`: its values, and their number.
    mutating func next(
        dictionary read: (ArraySlice<UInt8>, Int) throws(FileError) -> Void
    ) throws(FileError) -> ParquetPage? {
        while remaining > 0 {
            let header = try readHeader()
            guard header.compressedSize <= end - position else {
                throw damage("a page reaches beyond the column")
            }
            let stored = position..<(position + header.compressedSize)
            position = stored.upperBound
            if let expected = header.crc {
                var crc = CRC32()
                crc.update(file, stored)
                guard crc.value == expected else { throw damage("a page has a wrong checksum") }
            }
            switch header.type {
            case ParquetPageType.data: return try pageV1(header, stored)
            case ParquetPageType.dataV2: return try pageV2(header, stored)
            case ParquetPageType.dictionary:
                let plain = [ParquetEncoding.plain, ParquetEncoding.plainDictionary]
                guard plain.contains(header.encoding) else { throw unsupported(header.encoding) }
                let bytes = try decompress(stored, size: header.size)
                // Each value takes at least a byte; booleans have no dictionaries.
                guard header.valueCount <= bytes.count else {
                    throw damage("a dictionary is truncated")
                }
                try read(bytes[...], header.valueCount)
            default: break  // an index
            }
        }
        return nil
    }

    /// Returns the error of an encoding that is not read.
    func unsupported(_ encoding: Int) -> FileError {
        FileError(
            reason: """
                unsupported: column "\(leaf.name)" is encoded with \
                \(ParquetEncoding.name(encoding)); expected PLAIN or a dictionary
                """)
    }

    private func damage(_ reason: String) -> FileError {
        parquetDamage("column \"\(leaf.name)\": \(reason)")
    }

    private func decompress(_ range: Range<Int>, size: Int) throws(FileError) -> [UInt8] {
        let bytes = file.bytes(range)
        if chunk.codec == ParquetCodec.snappy {
            return try decompressSnappy(bytes[...], size: size)
        }
        guard bytes.count == size else {
            throw damage("an uncompressed page states \(size) bytes, but has \(bytes.count)")
        }
        return bytes
    }

    /// Counts the values of a page.
    private mutating func take(_ header: Header) throws(FileError) {
        guard header.valueCount <= remaining else {
            throw damage("its pages have more values than \(chunk.valueCount)")
        }
        remaining -= header.valueCount
    }

    private mutating func pageV1(
        _ header: Header, _ stored: Range<Int>
    ) throws(FileError) -> ParquetPage {
        try take(header)
        let bytes = try decompress(stored, size: header.size)
        var rest = bytes[...]
        func levels(_ isPresent: Bool, _ encoding: Int, max: Int) throws(FileError) -> [UInt32] {
            guard isPresent else { return [] }
            guard encoding == ParquetEncoding.runLength else { throw unsupported(encoding) }
            guard rest.count >= 4 else { throw damage("a page is truncated") }
            let size = Int(number(UInt32.self, ofLittleEndian: rest, at: 0))
            rest = rest.dropFirst(4)
            guard size <= rest.count else { throw damage("a page is truncated") }
            let bytes = rest.prefix(size)
            rest = rest.dropFirst(size)
            return try decode(levels: bytes, max: max, count: header.valueCount)
        }
        let repetition = try levels(leaf.isVector, header.repetitionEncoding, max: 1)
        let definition = try levels(
            leaf.maxDefinition > 0, header.definitionEncoding, max: leaf.maxDefinition)
        return ParquetPage(
            valueCount: header.valueCount, encoding: header.encoding, repetition: repetition,
            definition: definition, values: rest)
    }

    private mutating func pageV2(
        _ header: Header, _ stored: Range<Int>
    ) throws(FileError) -> ParquetPage {
        try take(header)
        // The levels are not compressed.
        guard header.repetitionSize <= stored.count,
            header.definitionSize <= stored.count - header.repetitionSize,
            header.repetitionSize + header.definitionSize <= header.size
        else { throw damage("the levels of a page reach beyond it") }
        let middle = stored.lowerBound + header.repetitionSize
        let start = middle + header.definitionSize
        let size = header.size - (start - stored.lowerBound)
        let range = start..<stored.upperBound
        let repetition =
            leaf.isVector
            ? try decode(
                levels: file.bytes(stored.lowerBound..<middle)[...], max: 1,
                count: header.valueCount) : []
        let definition =
            leaf.maxDefinition > 0
            ? try decode(
                levels: file.bytes(middle..<start)[...], max: leaf.maxDefinition,
                count: header.valueCount) : []
        let bytes: [UInt8]
        if range.isEmpty && size == 0 {
            bytes = []
        } else if header.isCompressed {
            bytes = try decompress(range, size: size)
        } else {
            bytes = file.bytes(range)
        }
        return ParquetPage(
            valueCount: header.valueCount, encoding: header.encoding, repetition: repetition,
            definition: definition, values: bytes[...])
    }

    private func decode(
        levels bytes: ArraySlice<UInt8>, max: Int, count: Int
    ) throws(FileError) -> [UInt32] {
        let bitWidth = Int.bitWidth - max.leadingZeroBitCount
        let levels = try parquetRuns(bytes, bitWidth: bitWidth, count: count)
        guard levels.allSatisfy({ $0 <= max }) else {
            throw damage("a page has a level beyond \(max)")
        }
        return levels
    }
}

// MARK: headers

extension ParquetPageReader {
    private mutating func readHeader() throws(FileError) -> Header {
        var reader = ThriftReader(file, position..<end)
        var header = Header()
        var number = 0
        while let type = try reader.field(&number) {
            switch number {
            case 1: header.type = try reader.integer(type)
            case 2: header.size = try reader.count(type)
            case 3: header.compressedSize = try reader.count(type)
            case 4: header.crc = UInt32(truncatingIfNeeded: try reader.integer(type))
            case 5, 7, 8:
                try reader.structure(type)
                try readDetails(&header, &reader, isV2: number == 8)
            default: try reader.skip(type)
            }
        }
        position = reader.position
        return header
    }

    /// Reads the part of a header that depends on the type of the page.
    private func readDetails(
        _ header: inout Header, _ reader: inout ThriftReader, isV2: Bool
    ) throws(FileError) {
        var number = 0
        while let type = try reader.field(&number) {
            switch (number, isV2) {
            case (1, _): header.valueCount = try reader.count(type)
            case (2, false), (4, true): header.encoding = try reader.integer(type)
            case (3, false) where type == .int32:
                header.definitionEncoding = try reader.integer(type)
            case (4, false): header.repetitionEncoding = try reader.integer(type)
            case (5, true): header.definitionSize = try reader.count(type)
            case (6, true): header.repetitionSize = try reader.count(type)
            case (7, true): header.isCompressed = try reader.boolean(type)
            default: try reader.skip(type)
            }
        }
    }
}
