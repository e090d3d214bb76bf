/// A recursive-descent parser of RFC 8259.
struct JSONParser {
    private let bytes: [UInt8]
    private let takesLargeIntegers: Bool
    private var position = 0
    /// The nesting depth of the current value; 1 for the outermost one.
    private var depth = 0

    /// Makes a parser; with `takesLargeIntegers`, an integer beyond `Int` becomes a `number`.
    init(bytes: [UInt8], takesLargeIntegers: Bool = false) {
        (self.bytes, self.takesLargeIntegers) = (bytes, takesLargeIntegers)
    }

    typealias SyntaxError = JSONValue.SyntaxError

    /// Parses the whole text, which must be a single value.
    mutating func document() throws(SyntaxError) -> JSONValue {
        let value = try value()
        skipSpace()
        guard position == bytes.count else { throw failure("unexpected content after the value") }
        return value
    }

    private func failure(_ what: String) -> SyntaxError {
        SyntaxError(reason: "not JSON at byte \(position): \(what)")
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x0A, 0x0D, 0x09].contains(byte) { position += 1 }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ character: Unicode.Scalar) throws(SyntaxError) {
        guard take(character) else { throw failure("expected \(character)") }
    }

    private mutating func value() throws(SyntaxError) -> JSONValue {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 64 else { throw failure("nested too deeply") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(let byte) where byte == UInt8(ascii: "-") || isDigit(byte): return try number()
        case .some: throw failure("expected a value")
        case .none: throw failure("unexpected end")
        }
    }

    private mutating func word(_ word: String, _ value: JSONValue) throws(SyntaxError) -> JSONValue
    {
        guard bytes[position...].starts(with: word.utf8) else { throw failure("expected a value") }
        position += word.utf8.count
        return value
    }

    private mutating func object() throws(SyntaxError) -> JSONValue {
        try expect("{")
        var members: [(key: String, value: JSONValue)] = []
        var keys: Set<[UInt8]> = []  // by bytes: two names may be equal to Unicode alone
        skipSpace()
        if take("}") { return .object(members) }
        while true {
            skipSpace()
            let key = try string()
            guard keys.insert(Array(key.utf8)).inserted else {
                throw SyntaxError(reason: "the key \"\(key)\" appears twice")
            }
            skipSpace()
            try expect(":")
            members.append((key, try value()))
            skipSpace()
            if take("}") { return .object(members) }
            try expect(",")
        }
    }

    private mutating func array() throws(SyntaxError) -> JSONValue {
        try expect("[")
        var values: [JSONValue] = []
        skipSpace()
        if take("]") { return .array(values) }
        while true {
            values.append(try value())
            skipSpace()
            if take("]") { return .array(values) }
            try expect(",")
        }
    }

    private mutating func string() throws(SyntaxError) -> String {
        try expect("\"")
        var text: [UInt8] = []
        while true {
            // The bytes up to the next one with a meaning are copied together.
            let start = position
            while let byte = next, byte >= 0x20, byte != UInt8(ascii: "\""),
                byte != UInt8(ascii: "\\")
            {
                position += 1
            }
            let plain = bytes[start..<position]
            guard let byte = next else { break }
            position += 1
            switch byte {
            case UInt8(ascii: "\""):
                guard !text.isEmpty else { return String(decoding: plain, as: UTF8.self) }
                text += plain
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"):
                text += plain
                text += Array(String(try escape()).utf8)
            default:
                throw failure("unescaped control character in a string")
            }
        }
        throw failure("unterminated string")
    }

    private mutating func escape() throws(SyntaxError) -> Unicode.Scalar {
        guard let byte = next else { throw failure("unexpected end") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"):
            var value = try hexDigits()
            if value & 0xFC00 == 0xD800, take("\\"), take("u") {
                let low = try hexDigits()
                guard low & 0xFC00 == 0xDC00 else { throw failure("unpaired surrogate") }
                value = 0x10000 + (value & 0x3FF) << 10 + low & 0x3FF
            }
            guard let scalar = Unicode.Scalar(value) else { throw failure("unpaired surrogate") }
            return scalar
        default: throw failure("unknown escape")
        }
    }

    private mutating func hexDigits() throws(SyntaxError) -> UInt32 {
        guard position + 4 <= bytes.count,
            let value = UInt32(
                String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16),
            bytes[position] != UInt8(ascii: "+"), bytes[position] != UInt8(ascii: "-")
        else { throw failure("expected four hexadecimal digits") }
        position += 4
        return value
    }

    private func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private mutating func number() throws(SyntaxError) -> JSONValue {
        let start = position
        _ = take("-")
        if !take("0") { try digits() }
        var isInteger = true
        if take(".") {
            isInteger = false
            try digits()
        }
        if take("e") || take("E") {
            isInteger = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger {
            if let value = Int(text) { return .integer(value) }
            guard takesLargeIntegers else { throw failure("integer out of range: \(text)") }
        }
        guard let value = Double(text) else { throw failure("\(text) is not a number") }
        return .number(value)
    }

    private mutating func digits() throws(SyntaxError) {
        let start = position
        while let byte = next, isDigit(byte) { position += 1 }
        guard position > start else { throw failure("expected a digit") }
    }
}
