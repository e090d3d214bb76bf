internal import Files

/// The members of a JSON object in a request, with errors that name the member at fault.
///
/// A member that is null counts as missing.
struct JSONBody: Sendable {
    /// The largest number of values in a body.
    ///
    /// A parsed value takes more memory than the two bytes that a value has at least in the text.
    static let maximumValues = 1 << 20

    private let members: [JSONValue.Member]
    /// The name of the object in error messages, such as `entries.clip`; empty for the body itself.
    let path: String
    /// The status of errors about members.
    private let status: Int

    /// Parses the body of a request.
    ///
    /// A media type other than JSON is rejected. A page of a foreign site can send forms and plain
    /// text without asking the server first, but not JSON.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - status: The status of errors about members.
    /// - Throws: `RequestError` with status 415 for other media types, 400 for text that is not
    ///   JSON in UTF-8 or has a key twice, 413 for too many values, and `status` if the body is not
    ///   an object.
    init(_ request: ServerRequest, status: Int = 400) throws(RequestError) {
        guard request.isJSON else {
            throw request.unsupportedMediaType(expected: "application/json")
        }
        try self.init(parsing: request.body, name: "the body", status: status, syntaxStatus: 400)
    }

    /// Parses a JSON object.
    ///
    /// - Parameters:
    ///   - bytes: The text in UTF-8.
    ///   - name: The name of the text in error messages, such as `entries`.
    ///   - path: The value of the property `path`; also the parameter that errors name.
    ///   - status: The status of errors about members.
    ///   - syntaxStatus: The status of errors of the parser; `status` if nil.
    /// - Throws: `RequestError` with `syntaxStatus` for malformed JSON, 413 for too many values,
    ///   and `status` if the text is not an object.
    init(
        parsing bytes: [UInt8], name: String, path: String = "", status: Int,
        syntaxStatus: Int? = nil
    ) throws(RequestError) {
        let parameter = path.isEmpty ? nil : path
        let value = try Self.value(
            parsing: bytes, name: name, parameter: parameter, status: syntaxStatus ?? status)
        guard let members = value.members else {
            throw RequestError(
                status, "invalid_request", "expected \(name) to be an object, found \(value.kind)",
                parameter: parameter)
        }
        (self.members, self.path, self.status) = (members, path, status)
    }

    /// Parses a JSON text of a client.
    ///
    /// - Throws: `RequestError` with the given status for malformed JSON, 413 for too many values.
    static func value(
        parsing bytes: [UInt8], name: String, parameter: String? = nil, status: Int = 400
    ) throws(RequestError) -> JSONValue {
        // A parsed value takes more memory than its text.
        guard !exceedsLimit(bytes) else {
            throw .tooLarge(
                "\(name) has too many JSON values: the limit is \(maximumValues)",
                parameter: parameter)
        }
        do {
            return try JSONValue(parsing: bytes, takesLargeIntegers: true)
        } catch {
            throw RequestError(
                status, "invalid_json", "\(name) is not valid JSON: \(shortened(error.reason))",
                parameter: parameter)
        }
    }

    /// Makes the reader of an object within a body.
    init(_ members: [JSONValue.Member], path: String, status: Int = 400) {
        (self.members, self.path, self.status) = (members, path, status)
    }

    /// Returns true if the text has more than `maximumValues` separators outside of strings.
    private static func exceedsLimit(_ bytes: [UInt8]) -> Bool {
        guard bytes.count > maximumValues else { return false }
        var (count, position) = (0, 0)
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: ","), UInt8(ascii: "["), UInt8(ascii: "{"):
                count += 1
                if count > maximumValues { return true }
            case UInt8(ascii: "\""):
                position += 1
                while position < bytes.count, bytes[position] != UInt8(ascii: "\"") {
                    position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
                }
            default: break
            }
            position += 1
        }
        return false
    }

    // MARK: errors

    /// Returns the full name of a member, such as `entries.clip.visual`.
    func name(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    /// Returns an error about a member: `dimensions: expected an integer, found a string`.
    func error(_ key: String, _ message: String) -> RequestError {
        RequestError(
            status, "invalid_request", "\(name(key)): \(message)", parameter: name(key))
    }

    func mismatch(_ key: String, expected: String, found: JSONValue) -> RequestError {
        error(key, "expected \(expected), found \(found.kind)")
    }

    /// Returns at most 200 characters of a text that a client chose.
    static func shortened(_ text: String) -> String {
        text.unicodeScalars.count <= 200
            ? text : String(String.UnicodeScalarView(text.unicodeScalars.prefix(200))) + "…"
    }

    /// Returns a client's text for an error message, quoted and shortened.
    static func quoted(_ text: String) -> String { JSONValue.quoted(shortened(text)) }

    // MARK: members

    /// The keys of the members, in the order of the text.
    var keys: [String] { members.map(\.key) }

    /// Returns the value of a member; nil if it is missing or null.
    subscript(key: String) -> JSONValue? {
        guard let value = members.first(where: { $0.key == key })?.value, value != .null else {
            return nil
        }
        return value
    }

    func string(_ key: String) throws(RequestError) -> String? {
        guard let value = self[key] else { return nil }
        guard let text = value.string else {
            throw mismatch(key, expected: "a string", found: value)
        }
        return text
    }

    func integer(_ key: String) throws(RequestError) -> Int? {
        guard let value = self[key] else { return nil }
        guard let number = value.integer else {
            throw mismatch(key, expected: "an integer", found: value)
        }
        return number
    }

    func boolean(_ key: String) throws(RequestError) -> Bool? {
        guard let value = self[key] else { return nil }
        guard case .bool(let flag) = value else {
            throw mismatch(key, expected: "true or false", found: value)
        }
        return flag
    }

    func array(_ key: String) throws(RequestError) -> [JSONValue]? {
        guard let value = self[key] else { return nil }
        guard let values = value.array else {
            throw mismatch(key, expected: "a list", found: value)
        }
        return values
    }

    func object(_ key: String) throws(RequestError) -> JSONBody? {
        guard let value = self[key] else { return nil }
        guard let members = value.members else {
            throw mismatch(key, expected: "an object", found: value)
        }
        return JSONBody(members, path: name(key), status: status)
    }

    /// Returns a member that must be one of some words; nil if it is missing or null.
    func word(_ key: String, from words: [String]) throws(RequestError) -> String? {
        guard let text = try string(key) else { return nil }
        guard words.contains(text) else {
            let list = words.map { "\"\($0)\"" }.joined(separator: " or ")
            throw error(key, "expected \(list), found \(Self.quoted(text))")
        }
        return text
    }
}

extension JSONValue {
    /// The kind of the value in error messages.
    var kind: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .integer: "an integer"
        case .number, .float: "a number"
        case .string, .path: "a string"
        case .array: "a list"
        case .object: "an object"
        case .raw: "raw JSON"
        }
    }
}
