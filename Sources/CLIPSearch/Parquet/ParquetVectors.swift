internal import Files

/// Decodes the lists of numbers of a column, which must all have the same length.
struct ParquetVectorDecoder {
    let leaf: ParquetLeaf
    let dimension: Int
    /// The number of the first row of the row group.
    let firstRow: Int
    private let listLevel: UInt32
    private let isOptional: Bool
    /// The numbers so far.
    private(set) var numbers: [Float] = []
    /// The number of rows that have begun.
    private(set) var rowCount = 0
    /// The rows whose list is null.
    private(set) var missing: [Int] = []
    /// The number of null lists; a further one is an error.
    private let expectedMissing: Int
    /// The number of elements of the last row.
    private var filled = 0

    init(_ leaf: ParquetLeaf, dimension: Int, firstRow: Int, expectedMissing: Int) {
        self.leaf = leaf
        self.dimension = dimension
        self.firstRow = firstRow
        self.expectedMissing = expectedMissing
        if case .vector(let level, let isOptional) = leaf.shape {
            listLevel = UInt32(level)
            self.isOptional = isOptional
        } else {
            preconditionFailure("expected a column of vectors, found \(leaf.name)")
        }
    }

    mutating func reserve(_ count: Int) { numbers.reserveCapacity(count) }

    /// Appends the elements of a page.
    mutating func append(
        _ page: ParquetPage, dictionary: [Float]?, _ reader: ParquetPageReader
    ) throws(FileError) {
        // A page may begin within a row.
        let count = missing.count
        for index in page.repetition.indices {
            if page.repetition[index] == 0 {
                if rowCount > 0 { try finishRow() }
                rowCount += 1
                filled = 0
            } else if rowCount == 0 {
                throw parquetDamage("column \"\(leaf.name)\" begins within a row")
            }
            let level = page.definition[index]
            if level == leaf.maxDefinition {
                filled += 1
            } else if level == 0 && isOptional && missing.count < expectedMissing {
                missing.append(rowCount - 1)
            } else {
                throw withoutNumber(level)
            }
        }
        let valueCount = page.valueCount - (missing.count - count)
        switch page.encoding {
        case _ where valueCount == 0: break
        case ParquetEncoding.plain: numbers += try plain(page.values, count: valueCount)
        case ParquetEncoding.plainDictionary, ParquetEncoding.dictionaryIndices:
            numbers += try parquetDictionaryValues(
                dictionary ?? [], page.values, count: valueCount)
        default: throw reader.unsupported(page.encoding)
        }
    }

    /// Checks the last row, and that there are `expected` rows of finite numbers.
    mutating func finish(rowCount expected: Int) throws(FileError) {
        if rowCount > 0 { try finishRow() }
        guard rowCount == expected, missing.count == expectedMissing,
            numbers.count == (expected - expectedMissing) * dimension
        else {
            throw parquetDamage(
                "column \"\(leaf.name)\" has \(rowCount) rows; expected \(expected)")
        }
        if let place = firstNonFinite(numbers[...]) {
            var row = place / dimension
            for gap in missing where gap <= row { row += 1 }
            throw error(row: row, "it contains NaN or infinity")
        }
    }

    /// Decodes numbers one after the other.
    func plain(_ bytes: ArraySlice<UInt8>, count: Int) throws(FileError) -> [Float] {
        let width =
            switch leaf.type {
            case .double: 8
            case .fixedLengthByteArray: 2
            default: 4
            }
        guard bytes.count / width >= count else {
            throw parquetDamage("column \"\(leaf.name)\": a page has too few values")
        }
        switch width {
        case 8:
            return (0..<count).map { index in
                let bits = number(UInt64.self, ofLittleEndian: bytes, at: 8 * index)
                return Float(Double(bitPattern: bits))
            }
        case 2: return floats(ofHalfPrecision: bytes.prefix(2 * count))
        default: return floats(ofLittleEndian: bytes.prefix(4 * count))
        }
    }

    private func finishRow() throws(FileError) {
        guard filled == dimension || filled == 0 && missing.last == rowCount - 1 else {
            throw error(
                row: rowCount - 1, "expected a list of \(dimension) numbers, found \(filled)")
        }
    }

    /// Returns the error of an element without a number.
    private func withoutNumber(_ level: UInt32) -> FileError {
        let found =
            level >= listLevel
            ? "the list has a null"
            : level == 0 && isOptional ? "found null" : "found an empty list"
        return error(row: rowCount - 1, "\(found); expected a list of \(dimension) numbers")
    }

    private func error(row: Int, _ reason: String) -> FileError {
        FileError(reason: "row \(firstRow + row) (from 0), column \"\(leaf.name)\": \(reason)")
    }
}
