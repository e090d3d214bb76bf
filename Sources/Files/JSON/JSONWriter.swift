extension JSONValue: CustomStringConvertible {
    /// The JSON text with a space after each comma and colon.
    package var description: String {
        var bytes: [UInt8] = []
        write(to: &bytes, comma: ", ", colon: ": ")
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The JSON text without white space, in UTF-8.
    ///
    /// Numbers have the fewest digits that identify them; NaN and infinity become null.
    package var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes, comma: ",", colon: ":")
        return bytes
    }

    private func write(to bytes: inout [UInt8], comma: String, colon: String) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .number(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .float(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): bytes += Self.quoted(value).utf8
        case .path(let value): bytes += value.quoted
        case .raw(let value): bytes += value
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes += comma.utf8 }
                value.write(to: &bytes, comma: comma, colon: colon)
            }
            bytes.append(UInt8(ascii: "]"))
        case .object(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes += comma.utf8 }
                bytes += Self.quoted(member.key).utf8
                bytes += colon.utf8
                member.value.write(to: &bytes, comma: comma, colon: colon)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }

    /// Returns the JSON string for a text, with quotation marks and escapes.
    package static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case "\0"..<" ":
                let digits = String(scalar.value, radix: 16)
                result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
