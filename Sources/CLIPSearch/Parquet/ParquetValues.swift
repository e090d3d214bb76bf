internal import Files

/// Decodes the values of a column with at most one value in each row.
struct ParquetValueDecoder {
    let leaf: ParquetLeaf
    let column: ParquetColumn

    /// Decodes the rows of a page.
    func values(
        _ page: ParquetPage, dictionary: [ParquetValue]?, _ reader: ParquetPageReader
    ) throws(FileError) -> [ParquetValue] {
        let count =
            leaf.maxDefinition == 0
            ? page.valueCount : page.definition.reduce(0) { $0 + Int($1) }
        let values: [ParquetValue]
        switch page.encoding {
        case _ where count == 0: values = []
        case ParquetEncoding.plain: values = try plain(page.values, count: count)
        case ParquetEncoding.plainDictionary, ParquetEncoding.dictionaryIndices:
            values = try parquetDictionaryValues(dictionary ?? [], page.values, count: count)
        case ParquetEncoding.runLength where leaf.type == .boolean:
            guard page.values.count >= 4 else { throw truncated() }
            values = try parquetRuns(page.values.dropFirst(4), bitWidth: 1, count: count)
                .map { .boolean($0 == 1) }
        default: throw reader.unsupported(page.encoding)
        }
        guard count < page.valueCount else { return values }
        var next = 0
        return page.definition.map { level in
            guard level == 1 else { return .null }
            next += 1
            return values[next - 1]
        }
    }

    /// Decodes values one after the other.
    func plain(_ bytes: ArraySlice<UInt8>, count: Int) throws(FileError) -> [ParquetValue] {
        switch leaf.type {
        case .boolean:
            guard bytes.count >= (count + 7) / 8 else { throw truncated() }
            return (0..<count).map { index in
                .boolean(bytes[bytes.startIndex + index / 8] >> (index % 8) & 1 == 1)
            }
        case .int32:
            guard bytes.count / 4 >= count else { throw truncated() }
            return (0..<count).map { index in
                let value = number(Int32.self, ofLittleEndian: bytes, at: 4 * index)
                return .integer(leaf.isSigned ? Int64(value) : Int64(UInt32(bitPattern: value)))
            }
        case .int64:
            guard bytes.count / 8 >= count else { throw truncated() }
            var values: [ParquetValue] = []
            values.reserveCapacity(count)
            for index in 0..<count {
                let value = number(Int64.self, ofLittleEndian: bytes, at: 8 * index)
                guard leaf.isSigned || value >= 0 else {
                    throw FileError(
                        reason: """
                            unsupported: column "\(leaf.name)" has \(UInt64(bitPattern: value)); \
                            expected at most \(Int64.max)
                            """)
                }
                values.append(.integer(value))
            }
            return values
        case .float:
            guard bytes.count / 4 >= count else { throw truncated() }
            return floats(ofLittleEndian: bytes.prefix(4 * count)).map { .double(Double($0)) }
        case .double:
            guard bytes.count / 8 >= count else { throw truncated() }
            return (0..<count).map { index in
                .double(
                    Double(
                        bitPattern: number(UInt64.self, ofLittleEndian: bytes, at: 8 * index)))
            }
        default: return try byteArrays(bytes, count: count)
        }
    }

    private func byteArrays(
        _ bytes: ArraySlice<UInt8>, count: Int
    ) throws(FileError) -> [ParquetValue] {
        // Each takes at least its length.
        guard bytes.count / 4 >= count else { throw truncated() }
        var values: [ParquetValue] = []
        values.reserveCapacity(count)
        var place = bytes.startIndex
        for _ in 0..<count {
            guard bytes.endIndex - place >= 4 else { throw truncated() }
            let offset = place - bytes.startIndex
            let size = Int(number(UInt32.self, ofLittleEndian: bytes, at: offset))
            guard size <= bytes.endIndex - place - 4 else { throw truncated() }
            let value = Array(bytes[(place + 4)..<(place + 4 + size)])
            values.append(column.kind == .string ? .string(value) : .bytes(value))
            place += 4 + size
        }
        return values
    }

    private func truncated() -> FileError {
        parquetDamage("column \"\(leaf.name)\": a page has too few values")
    }
}

/// Decodes values that are indices of a dictionary.
func parquetDictionaryValues<Value>(
    _ dictionary: [Value], _ bytes: ArraySlice<UInt8>, count: Int
) throws(FileError) -> [Value] {
    guard let width = bytes.first else { throw parquetDamage("a page has no indices") }
    let indices = try parquetRuns(bytes.dropFirst(), bitWidth: Int(width), count: count)
    guard indices.allSatisfy({ Int($0) < dictionary.count }) else {
        throw parquetDamage("a page has an index beyond its dictionary of \(dictionary.count)")
    }
    return indices.map { dictionary[Int($0)] }
}
