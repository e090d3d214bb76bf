/// A reader of JSON that hands out ranges and strings one by one, for large files.
///
/// It keeps no values, so the memory does not depend on the content.
struct JSONScanner {
    static let maximumDepth = 64

    let bytes: [UInt8]
    private(set) var position: Int
    private let end: Int
    /// The bytes of the last string.
    private(set) var string: [UInt8] = []

    /// Creates a reader of a range of bytes, whose UTF-8 is not checked.
    init(_ bytes: [UInt8], _ range: Range<Int>? = nil) {
        self.bytes = bytes
        position = range?.lowerBound ?? 0
        end = range?.upperBound ?? bytes.count
    }

    func failure(_ expected: String) -> TokenizerDefect {
        let found =
            position < end
            ? "\"\(String(decoding: bytes[position..<min(end, position + 16)], as: UTF8.self))\""
            : "the end"
        return TokenizerDefect("byte \(position) of the JSON", expected: expected, found: found)
    }

    private mutating func skipSpace() {
        while position < end {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    /// Returns the next byte that is no whitespace, without consuming it; 0 at the end.
    mutating func peek() -> UInt8 {
        skipSpace()
        return position < end ? bytes[position] : 0
    }

    mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard peek() == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(TokenizerDefect) {
        guard take(character) else { throw failure("\"\(character)\"") }
    }

    /// Checks that nothing follows.
    mutating func expectEnd() throws(TokenizerDefect) {
        guard peek() == 0, position == end else { throw failure("the end") }
    }

    /// Reads the elements of an array; `body` reads one.
    mutating func array(
        _ body: (inout JSONScanner) throws(TokenizerDefect) -> Void
    ) throws(TokenizerDefect) {
        try expect("[")
        if take("]") { return }
        repeat { try body(&self) } while take(",")
        try expect("]")
    }

    /// Reads the members of an object; `body` reads the value of a key, which is in `string`.
    mutating func object(
        _ body: (inout JSONScanner) throws(TokenizerDefect) -> Void
    ) throws(TokenizerDefect) {
        try expect("{")
        if take("}") { return }
        repeat {
            try readString()
            try expect(":")
            try body(&self)
        } while take(",")
        try expect("}")
    }

    /// Reads a number that is an integer.
    mutating func integer() throws(TokenizerDefect) -> Int {
        let range = try scalarRange()
        guard let value = Int(String(decoding: bytes[range], as: UTF8.self)) else {
            position = range.lowerBound
            throw failure("an integer")
        }
        return value
    }

    /// Reads a number.
    mutating func number() throws(TokenizerDefect) -> Double {
        let range = try scalarRange()
        guard let first = bytes[range].first, first == 0x2D || (0x30...0x39).contains(first),
            let value = Double(String(decoding: bytes[range], as: UTF8.self)), value.isFinite
        else {
            position = range.lowerBound
            throw failure("a finite number")
        }
        return value
    }

    /// Consumes a number, `true`, `false` or `null` without checking it.
    private mutating func scalarRange() throws(TokenizerDefect) -> Range<Int> {
        skipSpace()
        let start = position
        while position < end, position - start < 64 {
            switch bytes[position] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2B, 0x2D, 0x2E: position += 1
            default:
                guard position > start else { throw failure("a value") }
                return start..<position
            }
        }
        guard position > start else { throw failure("a value") }
        return start..<position
    }

    /// Skips a value and returns its range; nesting is checked, the rest only roughly.
    mutating func skipValue() throws(TokenizerDefect) -> Range<Int> {
        skipSpace()
        let start = position
        var open: [UInt8] = []
        repeat {
            switch peek() {
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                guard open.count < Self.maximumDepth else {
                    throw failure("at most \(Self.maximumDepth) levels")
                }
                open.append(bytes[position])
                position += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                // `{` and `}`, like `[` and `]`, differ by 2.
                guard let last = open.popLast(), last + 2 == bytes[position] else {
                    throw failure("a value")
                }
                position += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"):
                guard !open.isEmpty else { throw failure("a value") }
                position += 1
            case UInt8(ascii: "\""): try skipString()
            default: _ = try scalarRange()
            }
        } while !open.isEmpty
        return start..<position
    }

    private mutating func skipString() throws(TokenizerDefect) {
        position += 1
        while position < end {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return
            case UInt8(ascii: "\\"): position += 2
            default: position += 1
            }
        }
        position = end
        throw failure("the end of a string")
    }

    /// Reads a string into `string`.
    mutating func readString() throws(TokenizerDefect) {
        try expect("\"")
        string.removeAll(keepingCapacity: true)
        while true {
            let start = position
            while position < end, bytes[position] != 0x22, bytes[position] != 0x5C,
                bytes[position] >= 0x20
            {
                position += 1
            }
            string += bytes[start..<position]
            guard position < end else { throw failure("the end of a string") }
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return
            case UInt8(ascii: "\\"):
                position += 1
                string += Array(String(try escape()).utf8)
            default: throw failure("no control character in a string")
            }
        }
    }

    private mutating func escape() throws(TokenizerDefect) -> Unicode.Scalar {
        guard position < end else { throw failure("an escape") }
        position += 1
        switch bytes[position - 1] {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var value = try hexDigits()
            if value & 0xFC00 == 0xD800, position + 2 <= end, bytes[position] == 0x5C,
                bytes[position + 1] == UInt8(ascii: "u")
            {
                position += 2
                let low = try hexDigits()
                guard low & 0xFC00 == 0xDC00 else { throw failure("a low surrogate before this") }
                value = 0x10000 + (value & 0x3FF) << 10 + low & 0x3FF
            }
            guard let scalar = Unicode.Scalar(value) else {
                throw failure("no lone surrogate before this")
            }
            return scalar
        default:
            position -= 1
            throw failure("an escape")
        }
    }

    private mutating func hexDigits() throws(TokenizerDefect) -> UInt32 {
        guard position + 4 <= end else { throw failure("four hexadecimal digits") }
        var value: UInt32 = 0
        for byte in bytes[position..<(position + 4)] {
            guard let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw failure("four hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
        }
        position += 4
        return value
    }
}
