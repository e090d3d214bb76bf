/// A header's value with parameters, such as `form-data; name="image"; filename="a.jpg"`.
struct HeaderParameters: Sendable {
    /// The part before the first semicolon, in lower case.
    let value: String
    /// The names in lower case and the unquoted values.
    private var parameters: [(name: [UInt8], value: [UInt8])] = []

    private static let limit = 16

    /// Parses the bytes of a header's value; nil if they are malformed, name a parameter twice or
    /// have more than 16.
    ///
    /// In quoted strings, `\"` and `\\` are escapes. Other backslashes are kept, because browsers
    /// do not escape them.
    init?(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        var position = bytes.firstIndex(of: UInt8(ascii: ";")) ?? bytes.count
        value = String(decoding: bytes[..<position], as: UTF8.self).trimmed.lowercased()
        guard !value.isEmpty else { return nil }

        func skipBlanks() {
            while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
        }
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: ";") else { return nil }
            position += 1
            skipBlanks()
            guard position < bytes.count else { return }
            let start = position
            while position < bytes.count, bytes[position].isToken { position += 1 }
            let name = bytes[start..<position].map {
                (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0
            }
            guard !name.isEmpty, position < bytes.count, bytes[position] == UInt8(ascii: "="),
                !parameters.contains(where: { $0.name == name }), parameters.count < Self.limit
            else { return nil }
            position += 1
            var value: [UInt8] = []
            if position < bytes.count, bytes[position] == UInt8(ascii: "\"") {
                guard let end = Self.unquote(bytes, from: position + 1, into: &value) else {
                    return nil
                }
                position = end
                skipBlanks()
            } else {
                while position < bytes.count, bytes[position] != UInt8(ascii: ";") {
                    value.append(bytes[position])
                    position += 1
                }
                while let last = value.last, Self.isBlank(last) { value.removeLast() }
            }
            parameters.append((name, value))
        }
    }

    /// The value of a parameter, whose name is in lower case; nil if it is missing.
    subscript(name: String) -> [UInt8]? {
        let name = Array(name.utf8)
        return parameters.first { $0.name == name }?.value
    }

    /// Reads a quoted string and returns the position after the closing quotation mark; nil if that
    /// is missing.
    private static func unquote(
        _ bytes: [UInt8], from start: Int, into value: inout [UInt8]
    ) -> Int? {
        var position = start
        while position < bytes.count {
            var byte = bytes[position]
            if byte == UInt8(ascii: "\"") { return position + 1 }
            if byte == UInt8(ascii: "\\"), position + 1 < bytes.count,
                [UInt8(ascii: "\""), UInt8(ascii: "\\")].contains(bytes[position + 1])
            {
                position += 1
                byte = bytes[position]
            }
            value.append(byte)
            position += 1
        }
        return nil
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
    }
}
