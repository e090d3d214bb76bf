internal import Files

/// The columns of a table, collected from its rows or parts.
///
/// A column that has integers and other numbers has the kind `double`; one of mixed values is a
/// string, which is the JSON text of values that are no strings.
struct TableColumns {
    private(set) var names: [String] = []
    private var kinds: [String: ParquetColumn.Kind] = [:]

    /// The columns; one without a value other than null is a column of strings.
    var all: [ParquetColumn] {
        names.map { ParquetColumn(name: $0, kind: kinds[$0] ?? .string, isOptional: true) }
    }

    /// Adds a column, or a further kind of its values.
    ///
    /// - Parameters:
    ///   - name: The name of the column.
    ///   - kind: The kind of the values; nil for null.
    mutating func add(_ name: String, _ kind: ParquetColumn.Kind?) {
        guard let kind else {
            if kinds[name] == nil && !names.contains(name) { names.append(name) }
            return
        }
        guard let known = kinds[name] else {
            if !names.contains(name) { names.append(name) }
            kinds[name] = kind
            return
        }
        guard known != kind else { return }
        let areNumbers = [known, kind].allSatisfy { $0 == .integer || $0 == .double }
        kinds[name] = areNumbers ? .double : .string
    }
}

extension ParquetColumn.Kind {
    /// Returns the kind of the column that a JSON value fits; nil for null.
    static func of(_ value: JSONValue) -> ParquetColumn.Kind? {
        switch value {
        case .null: nil
        case .bool: .boolean
        case .integer: .integer
        case .number, .float: .double
        default: .string
        }
    }
}

extension ParquetValue {
    /// Creates the value of a column from a JSON value.
    init(_ value: JSONValue, as kind: ParquetColumn.Kind) {
        switch (value, kind) {
        case (.null, _): self = .null
        case (.bool(let value), .boolean): self = .boolean(value)
        case (.integer(let value), .integer): self = .integer(Int64(value))
        case (.integer(let value), .double): self = .double(Double(value))
        case (.number(let value), .double): self = .double(value)
        case (.string(let value), _): self = .string(Array(value.utf8))
        default: self = .string(value.bytes)
        }
    }

    /// Returns the value as one of a column of another kind.
    func converted(to kind: ParquetColumn.Kind) -> ParquetValue {
        switch (self, kind) {
        case (.null, _), (.string, .string), (.integer, .integer), (.double, .double),
            (.boolean, .boolean), (.bytes, .bytes):
            self
        case (.integer(let value), .double): .double(Double(value))
        case (.bytes(let bytes), .string):
            .string(Array(String(decoding: bytes, as: UTF8.self).utf8))
        default: .string(json.bytes)
        }
    }

    /// The value as JSON; bytes become a string with two hexadecimal digits for each byte.
    var json: JSONValue {
        switch self {
        case .null: .null
        case .string(let bytes): .string(String(decoding: bytes, as: UTF8.self))
        case .bytes(let bytes): .string(hexadecimalDigits(of: bytes))
        case .integer(let value): .integer(Int(value))
        case .double(let value): .number(value)
        case .boolean(let value): .bool(value)
        }
    }
}

/// Returns two lower-case hexadecimal digits for each byte.
func hexadecimalDigits(of bytes: some Collection<UInt8>) -> String {
    let digits = Array("0123456789abcdef".utf8)
    var text: [UInt8] = []
    text.reserveCapacity(2 * bytes.count)
    for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
    }
    return String(decoding: text, as: UTF8.self)
}
