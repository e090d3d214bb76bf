import Files
import CLIP
import CLIPSearch

/// JSON with its keys in the order in which they are written, and floats as short as they can be.
enum JSON: CustomStringConvertible {
    case null
    case bool(Bool)
    case integer(Int)
    case float(Float)
    case double(Double)
    case string(String)
    case path(FilePath)
    /// JSON that is written already.
    case raw([UInt8])
    case array([JSON])
    case members([Member])

    struct Member {
        let key: String
        let value: JSON

        init(_ key: String, _ value: JSON) { (self.key, self.value) = (key, value) }
    }

    static func object(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .members(members.map { Member($0.key, $0.value) })
    }

    static func floats(_ values: some Sequence<Float>) -> JSON { .array(values.map { .float($0) }) }

    var description: String { String(decoding: bytes, as: UTF8.self) }

    /// In UTF-8.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        write(to: &bytes)
        return bytes
    }

    private func write(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes += "null".utf8
        case .bool(let value): bytes += (value ? "true" : "false").utf8
        case .integer(let value): bytes += String(value).utf8
        case .float(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .double(let value): bytes += (value.isFinite ? "\(value)" : "null").utf8
        case .string(let value): bytes += JSONValue.quoted(value).utf8
        case .path(let value): bytes += value.quoted
        case .raw(let value): bytes += value
        case .array(let values):
            bytes.append(UInt8(ascii: "["))
            for (index, value) in values.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .members(let members):
            bytes.append(UInt8(ascii: "{"))
            for (index, member) in members.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                bytes += JSONValue.quoted(member.key).utf8
                bytes.append(UInt8(ascii: ":"))
                member.value.write(to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        }
    }
}
