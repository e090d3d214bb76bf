/// A reader of the fields of a message in the wire format of Protocol Buffers.
///
/// Every length is checked against the end of the enclosing message, and groups are errors, so the
/// time is linear in the number of bytes.
struct ProtobufReader {
    /// The content of a field: a number, or the range of its bytes.
    enum Value: Equatable {
        case varint(UInt64)
        case fixed32(UInt32)
        case fixed64(UInt64)
        case bytes(Range<Int>)
    }

    private let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int

    /// Creates a reader of a message.
    ///
    /// - Parameters:
    ///   - bytes: The bytes of the file.
    ///   - range: The range of the message; all bytes if nil.
    init(_ bytes: [UInt8], _ range: Range<Int>? = nil) {
        self.bytes = bytes
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    /// Reads the next field; nil at the end of the message.
    mutating func next() throws(TokenizerDefect) -> (field: Int, value: Value)? {
        guard position < end else { return nil }
        let start = position
        let key = try varint()
        guard key >> 3 > 0, key >> 3 < 1 << 29 else {
            throw TokenizerDefect(
                "byte \(start)", expected: "a field number in 1..<536870912", found: "\(key >> 3)")
        }
        let field = Int(key >> 3)
        switch key & 7 {
        case 0: return (field, .varint(try varint()))
        case 1: return (field, .fixed64(try fixed(8)))
        case 2:
            let start = position
            let count = try varint()
            guard count <= UInt64(end - position) else {
                throw TokenizerDefect(
                    "the length at byte \(start)", expected: "at most \(end - position) bytes",
                    found: "\(count)")
            }
            let range = position..<(position + Int(count))
            position = range.upperBound
            return (field, .bytes(range))
        case 5: return (field, .fixed32(UInt32(try fixed(4))))
        default:
            throw TokenizerDefect(
                "field \(field) at byte \(start)", expected: "the wire type 0, 1, 2 or 5",
                found: "\(key & 7)")
        }
    }

    private mutating func varint() throws(TokenizerDefect) -> UInt64 {
        let start = position
        var (result, shift): (UInt64, UInt64) = (0, 0)
        while position < end, shift < 70 {
            let byte = bytes[position]
            position += 1
            guard shift < 63 || byte <= 1 else { break }
            result |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return result }
            shift += 7
        }
        throw TokenizerDefect(
            "the number at byte \(start)", expected: "a varint of at most 64 bits",
            found: position < end ? "a longer one" : "the end of the message")
    }

    private mutating func fixed(_ width: Int) throws(TokenizerDefect) -> UInt64 {
        guard end - position >= width else {
            throw TokenizerDefect(
                "the number at byte \(position)", expected: "\(width) bytes",
                found: "\(end - position)")
        }
        defer { position += width }
        return bytes[position..<(position + width)].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
