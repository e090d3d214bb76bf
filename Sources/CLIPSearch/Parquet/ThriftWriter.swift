internal import Files

/// Writes structures in Thrift's compact protocol.
///
/// Source: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
struct ThriftWriter {
    private(set) var bytes: [UInt8] = []
    /// The number of the last field of each structure that is open.
    private var last = [0]

    mutating func field(_ number: Int, _ value: Int32) {
        begin(number, .int32)
        varint(UInt64(UInt32(bitPattern: value << 1 ^ value >> 31)))
    }

    mutating func field(_ number: Int, _ value: Int64) {
        begin(number, .int64)
        varint(UInt64(bitPattern: value << 1 ^ value >> 63))
    }

    mutating func field(_ number: Int, _ value: [UInt8]) {
        begin(number, .binary)
        binary(value)
    }

    mutating func field(_ number: Int, _ value: String) { field(number, Array(value.utf8)) }

    mutating func field(_ number: Int, structure write: (inout ThriftWriter) -> Void) {
        begin(number, .structure)
        structure(write)
    }

    mutating func field(_ number: Int, list values: [Int32]) {
        begin(number, .list)
        list(values.count, of: .int32)
        for value in values { varint(UInt64(UInt32(bitPattern: value << 1 ^ value >> 31))) }
    }

    mutating func field(_ number: Int, list values: [String]) {
        begin(number, .list)
        list(values.count, of: .binary)
        for value in values { binary(Array(value.utf8)) }
    }

    mutating func field<Value>(
        _ number: Int, structures values: [Value], _ write: (inout ThriftWriter, Value) -> Void
    ) {
        begin(number, .list)
        list(values.count, of: .structure)
        for value in values { structure { write(&$0, value) } }
    }

    /// Ends the outermost structure.
    mutating func end() { bytes.append(0) }

    private mutating func structure(_ write: (inout ThriftWriter) -> Void) {
        last.append(0)
        write(&self)
        last.removeLast()
        bytes.append(0)
    }

    private mutating func begin(_ number: Int, _ type: ThriftType) {
        let step = number - last[last.count - 1]
        precondition(1...15 ~= step, "expected a step of 1...15 fields, found \(step)")
        bytes.append(UInt8(step) << 4 | type.rawValue)
        last[last.count - 1] = number
    }

    private mutating func list(_ count: Int, of type: ThriftType) {
        guard count >= 15 else {
            bytes.append(UInt8(count) << 4 | type.rawValue)
            return
        }
        bytes.append(0xF0 | type.rawValue)
        varint(UInt64(count))
    }

    private mutating func binary(_ value: [UInt8]) {
        varint(UInt64(value.count))
        bytes += value
    }

    private mutating func varint(_ value: UInt64) { bytes.append(varint: value) }
}

/// The types of fields in Thrift's compact protocol.
enum ThriftType: UInt8 {
    case yes = 1
    case no = 2
    case int8 = 3
    case int16 = 4
    case int32 = 5
    case int64 = 6
    case double = 7
    case binary = 8
    case list = 9
    case set = 10
    case map = 11
    case structure = 12
}

extension [UInt8] {
    /// Appends an unsigned number, 7 bits to a byte, the lowest first (ULEB128).
    mutating func append(varint value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(rest))
    }
}
