package import Files

extension EmbeddingWriter {
    /// Returns a row as JSON: `{"image":"a.jpg","cls":1,"embedding":[0.5,-0.1]}`.
    ///
    /// - Parameters:
    ///   - kind: "image" or "text".
    ///   - name: The name of the row.
    ///   - fields: Additional members of the object; the values are JSON in UTF-8.
    ///   - vector: The vector; omitted if nil.
    /// - Returns: The object as UTF-8, without a newline.
    package static func object(
        _ kind: String, _ name: FilePath, fields: [(key: String, value: [UInt8])], vector: [Float]?
    ) -> [UInt8] {
        var members: [JSONValue.Member] = [(kind, .path(name))]
        members += fields.map { ($0.key, .raw($0.value)) }
        if let vector { members.append(("embedding", .floats(vector))) }
        return JSONValue.object(members).bytes
    }

    /// Returns the beginning of a row, which identifies it: `{"image":"a.jpg"`.
    static func beginning(_ kind: String, _ name: FilePath) -> [UInt8] {
        Array("{\"\(kind)\":".utf8) + name.quoted
    }

    /// Returns the beginning that identifies a row from its line: the bytes up to the fourth
    /// unescaped quote.
    static func beginning(ofLine line: [UInt8]) -> [UInt8] {
        var isEscaped = false
        var quotes = 0
        for (index, byte) in line.enumerated() {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                quotes += 1
                if quotes == 4 { return Array(line[...index]) }
            }
        }
        return line
    }
}
