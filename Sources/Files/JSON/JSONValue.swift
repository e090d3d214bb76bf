/// A JSON value, parsed or to be written.
///
/// The parser is strict: it throws an error if a key appears twice, where Foundation's decoders
/// silently keep one of the values. Duplicate keys in a weights file's header may be an attack.
package enum JSONValue: Equatable, Sendable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    /// The members of an object, in the order of the text.
    case object([Member])

    // MARK: only to be written

    /// A number that is written with the fewest digits that identify the float32.
    case float(Float)
    /// A path, written as the string `FilePath.quoted`, which keeps bytes that are not UTF-8.
    case path(FilePath)
    /// Bytes that are JSON already, and are written unchanged.
    case raw([UInt8])

    /// A key of an object and its value.
    package typealias Member = (key: String, value: JSONValue)

    /// An error of the parser; `reason` has the byte offset of the error if it is known.
    package struct SyntaxError: Error, Equatable {
        package let reason: String
    }

    /// Parses a JSON text in UTF-8, as RFC 8259 defines it.
    ///
    /// - Parameters:
    ///   - bytes: The text, which may be nested up to 64 levels.
    ///   - takesLargeIntegers: True to parse an integer that exceeds `Int` as a `number`.
    /// - Throws: `SyntaxError`, also if an object has a key twice, or an integer exceeds `Int` and
    ///   `takesLargeIntegers` is false.
    package init(
        parsing bytes: [UInt8], takesLargeIntegers: Bool = false
    ) throws(SyntaxError) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw SyntaxError(reason: "it is not UTF-8")
        }
        var parser = JSONParser(bytes: bytes, takesLargeIntegers: takesLargeIntegers)
        self = try parser.document()
    }

    /// Returns an object with the given members, in that order.
    package static func object(_ members: KeyValuePairs<String, JSONValue>) -> JSONValue {
        .object(members.map { ($0.key, $0.value) })
    }

    /// Returns an array of float32 numbers.
    package static func floats(_ values: some Sequence<Float>) -> JSONValue {
        .array(values.map { .float($0) })
    }

    /// The value of a key; nil if there is none, or this is not an object.
    package subscript(key: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    package var integer: Int? {
        if case .integer(let value) = self { return value }
        return nil
    }

    /// The value of a number, which may be an integer; nil for other values.
    package var number: Double? {
        switch self {
        case .integer(let value): return Double(value)
        case .number(let value): return value
        case .float(let value): return Double(value)
        default: return nil
        }
    }

    package var string: String? {
        if case .string(let value) = self { return value }
        return nil
    }

    package var array: [JSONValue]? {
        if case .array(let values) = self { return values }
        return nil
    }

    package var members: [Member]? {
        if case .object(let members) = self { return members }
        return nil
    }

    /// Returns true if both values have the same case and content; the order of members counts.
    package static func == (a: JSONValue, b: JSONValue) -> Bool {
        switch (a, b) {
        case (.null, .null): true
        case (.bool(let a), .bool(let b)): a == b
        case (.integer(let a), .integer(let b)): a == b
        case (.number(let a), .number(let b)): a == b
        case (.string(let a), .string(let b)): a == b
        case (.array(let a), .array(let b)): a == b
        case (.object(let a), .object(let b)): a.elementsEqual(b) { $0 == $1 }
        case (.float(let a), .float(let b)): a == b
        case (.path(let a), .path(let b)): a == b
        case (.raw(let a), .raw(let b)): a == b
        default: false
        }
    }
}
