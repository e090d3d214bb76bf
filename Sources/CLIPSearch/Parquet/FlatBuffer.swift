internal import Files

/// A value in a FlatBuffer.
///
/// Source: https://flatbuffers.dev/internals/
indirect enum FlatValue {
    case int8(UInt8)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case string(String)
    /// A table of fields in the order of its schema; nil for a field that is left out.
    case table([FlatValue?])
    case tables([FlatValue])

    /// The number of bytes in a table.
    fileprivate var width: Int {
        switch self {
        case .int8: 1
        case .int16: 2
        case .int64: 8
        case .int32, .string, .table, .tables: 4
        }
    }
}

/// Returns the FlatBuffer of a table.
func flatBuffer(_ root: FlatValue) -> [UInt8] {
    var bytes: [UInt8] = [0, 0, 0, 0]
    bytes.write(root, referencedAt: 0)
    bytes.pad(to: 8)
    return bytes
}

extension [UInt8] {
    fileprivate mutating func pad(to multiple: Int) {
        while !count.isMultiple(of: multiple) { append(0) }
    }

    /// Stores the distance from a reference to the end of the bytes in that reference.
    private mutating func resolve(_ reference: Int) {
        let distance = UInt32(count - reference)
        for byte in 0..<4 {
            self[reference + byte] = UInt8(truncatingIfNeeded: distance >> (8 * byte))
        }
    }

    /// Writes a string or table, and the reference to it.
    fileprivate mutating func write(_ value: FlatValue, referencedAt reference: Int) {
        switch value {
        case .string(let string):
            pad(to: 4)
            resolve(reference)
            append(littleEndian: UInt32(string.utf8.count))
            self += string.utf8
            append(0)
        case .tables(let tables):
            pad(to: 4)
            resolve(reference)
            append(littleEndian: UInt32(tables.count))
            let first = count
            for _ in tables { append(littleEndian: UInt32(0)) }
            for (index, table) in tables.enumerated() {
                write(table, referencedAt: first + 4 * index)
            }
        case .table(let fields): write(table: fields, referencedAt: reference)
        case .int8, .int16, .int32, .int64: break  // these are written in their table
        }
    }

    private mutating func write(table fields: [FlatValue?], referencedAt reference: Int) {
        // The offset of each field within the table, which begins at a multiple of 8 bytes.
        var size = 4
        let offsets = fields.map { field in
            guard let width = field?.width else { return 0 }
            let offset = (size + width - 1) / width * width
            size = offset + width
            return offset
        }
        // The table follows its list of offsets.
        pad(to: 2)
        while !(count + 4 + 2 * fields.count).isMultiple(of: 8) { append(0) }
        let list = count
        append(littleEndian: UInt16(4 + 2 * fields.count))
        append(littleEndian: UInt16(size))
        for offset in offsets { append(littleEndian: UInt16(offset)) }
        resolve(reference)
        let table = count
        append(littleEndian: Int32(table - list))
        for (field, offset) in zip(fields, offsets) where field != nil {
            while count < table + offset { append(0) }
            switch field {
            case .int8(let number): append(number)
            case .int16(let number): append(littleEndian: number)
            case .int32(let number): append(littleEndian: number)
            case .int64(let number): append(littleEndian: number)
            case .string, .table, .tables: append(littleEndian: UInt32(0))
            case nil: break
            }
        }
        for (field, offset) in zip(fields, offsets) {
            if let field { write(field, referencedAt: table + offset) }
        }
    }
}
