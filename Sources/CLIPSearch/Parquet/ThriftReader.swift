internal import Files

/// Returns the error of a Parquet file that violates its format.
func parquetDamage(_ reason: String) -> FileError {
    FileError(reason: "it is damaged or not a Parquet file: \(reason)", isDamage: true)
}

/// Reads structures in Thrift's compact protocol from a range of a file.
struct ThriftReader {
    /// The largest depth of structures and lists within each other.
    static let depthLimit = 16

    private let file: MappedFile
    private let end: Int
    /// The offset of the next byte.
    private(set) var position: Int

    init(_ file: MappedFile, _ range: Range<Int>) {
        self.file = file
        position = range.lowerBound
        end = range.upperBound
    }

    /// Reads the header of a field.
    ///
    /// - Parameter number: The number of the field before, 0 at the beginning; then of this one.
    /// - Returns: The type; nil at the end of the structure.
    /// - Throws: `FileError` if the structure is damaged.
    mutating func field(_ number: inout Int) throws(FileError) -> ThriftType? {
        let header = try byte()
        if header == 0 { return nil }
        guard let type = ThriftType(rawValue: header & 15) else {
            throw parquetDamage("its metadata has a field of unknown type \(header & 15)")
        }
        let step = Int(header >> 4)
        number = step == 0 ? Int(truncatingIfNeeded: try zigzag()) : number &+ step
        return type
    }

    /// Reads an integer of any size.
    mutating func integer(_ type: ThriftType) throws(FileError) -> Int {
        switch type {
        case .int8: Int(Int8(bitPattern: try byte()))
        case .int16, .int32, .int64: Int(try zigzag())
        default: throw parquetDamage("expected an integer in its metadata, found \(type)")
        }
    }

    /// Reads an integer that must not be negative.
    mutating func count(_ type: ThriftType) throws(FileError) -> Int {
        let number = try integer(type)
        guard number >= 0 else { throw parquetDamage("found \(number) as a size or count") }
        return number
    }

    mutating func string(_ type: ThriftType) throws(FileError) -> String {
        guard type == .binary else {
            throw parquetDamage("expected a string in its metadata, found \(type)")
        }
        let range = try binary()
        return String(decoding: file.bytes(range), as: UTF8.self)
    }

    mutating func boolean(_ type: ThriftType) throws(FileError) -> Bool {
        guard type == .yes || type == .no else {
            throw parquetDamage("expected a boolean in its metadata, found \(type)")
        }
        return type == .yes
    }

    /// Reads the header of a list of structures, and returns the number of elements.
    mutating func structures(_ type: ThriftType) throws(FileError) -> Int {
        guard type == .list else {
            throw parquetDamage("expected a list in its metadata, found \(type)")
        }
        let (count, element) = try listHeader()
        guard count == 0 || element == .structure else {
            throw parquetDamage("expected a list of structures in its metadata")
        }
        return count
    }

    /// Checks that the field is a structure, whose fields are read next.
    func structure(_ type: ThriftType) throws(FileError) {
        guard type == .structure else {
            throw parquetDamage("expected a structure in its metadata, found \(type)")
        }
    }

    /// Skips the value of a field.
    mutating func skip(_ type: ThriftType, depth: Int = 0) throws(FileError) {
        guard depth < Self.depthLimit else {
            throw parquetDamage("its metadata is nested more than \(Self.depthLimit) deep")
        }
        switch type {
        case .yes, .no: break
        case .int8: _ = try byte()
        case .int16, .int32, .int64: _ = try varint()
        case .double: try advance(8)
        case .binary: _ = try binary()
        case .structure:
            var number = 0
            while let type = try field(&number) { try skip(type, depth: depth + 1) }
        case .list, .set:
            let (count, element) = try listHeader()
            for _ in 0..<count { try skip(element: element, depth: depth + 1) }
        case .map:
            let count = try length()
            guard count > 0 else { return }
            let types = try byte()
            guard let key = ThriftType(rawValue: types >> 4),
                let value = ThriftType(rawValue: types & 15)
            else { throw parquetDamage("its metadata has a map of an unknown type") }
            for _ in 0..<count {
                try skip(element: key, depth: depth + 1)
                try skip(element: value, depth: depth + 1)
            }
        }
    }

    private mutating func skip(element: ThriftType, depth: Int) throws(FileError) {
        // Within a list, a boolean is a byte.
        if element == .yes || element == .no {
            _ = try byte()
        } else {
            try skip(element, depth: depth)
        }
    }

    private mutating func listHeader() throws(FileError) -> (count: Int, element: ThriftType) {
        let header = try byte()
        guard let element = ThriftType(rawValue: header & 15) else {
            throw parquetDamage("its metadata has a list of unknown type \(header & 15)")
        }
        return (header >> 4 == 15 ? try length() : Int(header >> 4), element)
    }

    private mutating func binary() throws(FileError) -> Range<Int> {
        let count = try length()
        let start = position
        try advance(count)
        return start..<position
    }

    /// Reads a number of bytes or elements, of which each takes at least a byte.
    private mutating func length() throws(FileError) -> Int {
        let number = try varint()
        guard number <= UInt64(end - position) else { throw parquetDamage("it is truncated") }
        return Int(number)
    }

    private mutating func advance(_ count: Int) throws(FileError) {
        guard count <= end - position else { throw parquetDamage("it is truncated") }
        position += count
    }

    private mutating func byte() throws(FileError) -> UInt8 {
        guard position < end else { throw parquetDamage("it is truncated") }
        position += 1
        return file.byte(at: position - 1)
    }

    private mutating func varint() throws(FileError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            let next = try byte()
            number |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return number }
        }
        throw parquetDamage("its metadata has a number of more than 10 bytes")
    }

    private mutating func zigzag() throws(FileError) -> Int64 {
        let number = try varint()
        return Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1)
    }
}
