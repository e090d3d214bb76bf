import CLIP

/// JSON with its keys in the order in which they are written, and floats as short as they can be.
enum JSON: CustomStringConvertible {
    case null
    case bool(Bool)
    case integer(Int)
    case float(Float)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(KeyValuePairs<String, JSON>)

    static func floats(_ values: some Sequence<Float>) -> JSON { .array(values.map { .float($0) }) }

    var description: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .float(let value): value.isFinite ? "\(value)" : "null"
        case .double(let value): value.isFinite ? "\(value)" : "null"
        case .string(let value): JSONValue.quoted(value)
        case .array(let values): "[" + values.map(\.description).joined(separator: ",") + "]"
        case .object(let members):
            "{" + members.map { "\(JSONValue.quoted($0)):\($1)" }.joined(separator: ",") + "}"
        }
    }
}
