internal import Files

/// The fields of a request, read from a JSON object, from the query of a URL, or from a form.
struct RequestFields {
    private enum Source {
        case json(JSONValue)
        case texts([(name: String, value: String)])
    }

    private let source: Source

    /// Reads the fields of a JSON object.
    ///
    /// - Throws: `RequestError` with status 400 if the body is not a JSON object, 413 if it has too
    ///   many values.
    init(json body: [UInt8]) throws(RequestError) {
        try self.init(JSONBody.value(parsing: body, name: "the body"), "the body")
    }

    /// Reads the fields of a JSON value.
    ///
    /// - Throws: `RequestError` with status 400 if the value is not an object.
    init(_ value: JSONValue, _ subject: String) throws(RequestError) {
        guard value.members != nil else { throw .invalid("\(subject) must be a JSON object") }
        source = .json(value)
    }

    init(texts: [(name: String, value: String)]) { source = .texts(texts) }

    /// Reads the fields of a form.
    ///
    /// - Parameters:
    ///   - parts: The names and bytes of the parts.
    ///   - names: The names of the fields to read; other parts, such as files, are skipped.
    /// - Throws: `RequestError` with status 400 if a field is not UTF-8.
    init(
        parts: [(name: String, body: [UInt8])], names: Set<String>
    ) throws(RequestError) {
        var texts: [(name: String, value: String)] = []
        for part in parts where names.contains(part.name) {
            guard let text = String(validating: part.body, as: UTF8.self) else {
                throw .invalid("\(part.name) is not UTF-8", parameter: part.name)
            }
            texts.append((part.name, text))
        }
        source = .texts(texts)
    }

    /// The JSON value of a field; nil if it is missing or null, or if the source is not JSON.
    func value(_ name: String) -> JSONValue? {
        guard case .json(let object) = source, let value = object[name], value != .null else {
            return nil
        }
        return value
    }

    /// Returns all values of a field: strings of a JSON array or a single one, or repeated fields.
    ///
    /// - Parameters:
    ///   - name: The name of the field.
    ///   - allowsIntegers: True to take integers of JSON for strings.
    ///   - limit: The largest number of UTF-8 bytes of a string.
    /// - Returns: The values in the order of the request; empty if the field is missing.
    /// - Throws: `RequestError` with status 400 for other JSON values, 413 for longer strings.
    func strings(
        _ name: String, allowsIntegers: Bool = false, limit: Int
    ) throws(RequestError) -> [String] {
        var found: [String] = []
        switch source {
        case .texts(let texts): found = texts.filter { $0.name == name }.map(\.value)
        case .json:
            guard let value = value(name) else { return [] }
            for element in value.array ?? [value] {
                if let text = element.string {
                    found.append(text)
                } else if allowsIntegers, let number = element.integer {
                    found.append("\(number)")
                } else {
                    throw .invalid(
                        "\(name) must be a string or an array of strings", parameter: name)
                }
            }
        }
        if let long = found.first(where: { $0.utf8.count > limit }) {
            throw .tooLarge(
                "\(name) has a text of \(long.utf8.count) bytes; the limit is \(limit)",
                parameter: name)
        }
        return found
    }

    /// Returns the only value of a field; nil if it is missing.
    ///
    /// - Throws: `RequestError` with status 400 if there are several, or if it is no string.
    func string(_ name: String, limit: Int) throws(RequestError) -> String? {
        if let value = value(name), value.string == nil {
            throw .invalid("\(name) must be a string", parameter: name)
        }
        let all = try strings(name, limit: limit)
        guard all.count <= 1 else { throw .invalid("\(name) appears twice", parameter: name) }
        return all.first
    }

    /// Returns an integer in a range; nil if the field is missing.
    func integer(_ name: String, in range: ClosedRange<Int>) throws(RequestError) -> Int? {
        try checked(name, in: range, "an integer", json: \.integer) { Int($0) }
    }

    /// Returns a number in a range; nil if the field is missing.
    func number(_ name: String, in range: ClosedRange<Float>) throws(RequestError) -> Float? {
        try checked(name, in: range, "a number", json: { $0.number.map { Float($0) } }) {
            Float($0)
        }
    }

    /// Returns the value of a field, read from JSON or from a text.
    ///
    /// - Throws: `RequestError` with status 400 for other values and those outside of the range.
    private func checked<Value: Comparable>(
        _ name: String, in range: ClosedRange<Value>, _ kind: String,
        json: (JSONValue) -> Value?, text: (String) -> Value?
    ) throws(RequestError) -> Value? {
        let found: Value?
        if let value = value(name) {
            found = json(value)
        } else {
            guard case .texts = source, let given = try string(name, limit: 100) else {
                return nil
            }
            found = text(given)
        }
        guard let found, range.contains(found) else {
            throw .invalid(
                """
                \(name) must be \(kind) from \(range.lowerBound) to \(range.upperBound), found \
                \(try shown(name))
                """, parameter: name)
        }
        return found
    }

    /// Returns the value of a field for an error message: a number as it is written, otherwise the
    /// JSON type.
    private func shown(_ name: String) throws(RequestError) -> String {
        guard let value = value(name) else {
            return JSONBody.quoted(try string(name, limit: 100) ?? "")
        }
        return value.number == nil ? "\(value.kind)" : JSONBody.shortened("\(value)")
    }
}

extension ServerRequest {
    /// Reads the fields and the images of the body: a JSON object, or a form with image files.
    ///
    /// - Parameters:
    ///   - names: The names of the text fields of a form.
    ///   - file: The name of the file parts of a form.
    /// - Returns: The fields, and the bytes of the files of a form.
    /// - Throws: `RequestError` with status 400 for a malformed body, 415 for other media types.
    func fieldsOfBody(
        _ names: Set<String>, file: String
    ) throws(RequestError) -> (fields: RequestFields, files: [[UInt8]]) {
        if isJSON { return (try RequestFields(json: body), []) }
        guard mediaType == "multipart/form-data" else {
            throw unsupportedMediaType(expected: "application/json or multipart/form-data")
        }
        let form = try MultipartForm(body, contentType: header("Content-Type") ?? "")
        let parts = form.parts.map { (name: $0.name, body: Array($0.body)) }
        return (
            try RequestFields(parts: parts, names: names),
            parts.filter { $0.name == file }.map(\.body)
        )
    }
}
