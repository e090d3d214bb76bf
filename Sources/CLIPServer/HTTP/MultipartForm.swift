/// A body of the media type `multipart/form-data` (RFC 7578).
struct MultipartForm: Sendable {
    /// A field or a file of a form.
    struct Part: Sendable {
        let name: String
        /// The file name that the client gave, for display only; nil for a field.
        let filename: String?
        /// The value of the part's `Content-Type`; nil if it is missing.
        let type: String?
        let body: [UInt8]
    }

    let parts: [Part]

    /// The largest length of a boundary (RFC 2046).
    private static let boundaryLimit = 70

    /// Parses the body of a request in linear time.
    ///
    /// - Parameters:
    ///   - body: The body of the request.
    ///   - contentType: The value of the request's `Content-Type`.
    ///   - partLimit: The largest number of parts.
    /// - Throws: `RequestError` with status 415 for another media type, 413 for too many parts or
    ///   too large headers, 400 for a malformed body.
    init(_ body: [UInt8], contentType: String, partLimit: Int = 64) throws(RequestError) {
        let delimiters = try Delimiters(
            body: body, marker: Array("\r\n--".utf8) + Self.boundary(of: contentType))
        guard var delimiter = delimiters.first() else {
            throw .invalid("the multipart body does not contain the boundary of its Content-Type")
        }
        var parts: [Part] = []
        while !delimiter.isLast {
            guard parts.count < partLimit else {
                throw .tooLarge("the multipart body has more than \(partLimit) parts")
            }
            let headers = try PartHeaders(body, from: delimiter.end, index: parts.count)
            // The empty line that ends the headers may belong to the delimiter of an empty part.
            guard let next = delimiters.next(from: headers.end - 2) else {
                throw .invalid("the multipart body is truncated in part \(parts.count)")
            }
            let content = body[headers.end..<max(headers.end, next.start)]
            parts.append(
                Part(
                    name: headers.name, filename: headers.filename, type: headers.type,
                    body: Array(content)))
            delimiter = next
        }
        self.parts = parts
    }

    /// Returns the first part with the given name; nil if there is none.
    func first(_ name: String) -> Part? {
        parts.first { $0.name.utf8.elementsEqual(name.utf8) }
    }

    private static func boundary(of contentType: String) throws(RequestError) -> [UInt8] {
        let type = contentType.utf8.count <= 1024 ? HeaderParameters(contentType.utf8) : nil
        guard let type, type.value == "multipart/form-data" else {
            throw RequestError(
                415, "unsupported_media_type", "expected a body of type multipart/form-data")
        }
        guard let boundary = type["boundary"], (1...boundaryLimit).contains(boundary.count),
            boundary.allSatisfy({ (0x20...0x7E).contains($0) })
        else {
            throw .invalid(
                "expected a boundary of 1 to \(boundaryLimit) ASCII characters in Content-Type")
        }
        return boundary
    }
}

/// The lines of a multipart body that separate its parts.
private struct Delimiters {
    struct Delimiter {
        /// The position of the line break before the line, which belongs to it.
        let start: Int
        /// The position after the line.
        let end: Int
        /// True if no part follows.
        let isLast: Bool
    }

    let body: [UInt8]
    /// A line break, two hyphens and the boundary.
    let marker: [UInt8]

    /// Returns the first delimiter, which may be the first line of the body.
    func first() -> Delimiter? {
        if body.starts(with: marker.dropFirst(2)) {
            if case .delimiter(let first) = rest(start: 0, end: marker.count - 2) { return first }
        }
        return next(from: 0)
    }

    /// Returns the first delimiter that begins at a position or after it.
    ///
    /// The marker contains a carriage return only at its start. So after a partial match, the
    /// search goes on behind the bytes that matched, and takes linear time.
    func next(from start: Int) -> Delimiter? {
        var position = start
        while position < body.count {
            guard body[position] == marker[0] else {
                position += 1
                continue
            }
            var length = 1
            while length < marker.count, position + length < body.count,
                body[position + length] == marker[length]
            { length += 1 }
            guard length == marker.count else {
                position += length
                continue
            }
            switch rest(start: position, end: position + length) {
            case .delimiter(let delimiter): return delimiter
            case .content(let end): position = end
            }
        }
        return nil
    }

    private enum Line {
        case delimiter(Delimiter)
        /// A line of content that begins like a delimiter, read up to a position.
        case content(Int)
    }

    /// Reads the part of a line behind the boundary: two hyphens, or blanks and a line break.
    private func rest(start: Int, end: Int) -> Line {
        var end = end
        if body[end...].starts(with: "--".utf8) {
            return .delimiter(Delimiter(start: start, end: end + 2, isLast: true))
        }
        while end < body.count, body[end] == UInt8(ascii: " ") || body[end] == UInt8(ascii: "\t") {
            end += 1
        }
        guard body[end...].starts(with: "\r\n".utf8) else { return .content(end) }
        return .delimiter(Delimiter(start: start, end: end + 2, isLast: false))
    }
}

/// The headers of a part.
private struct PartHeaders {
    var name = ""
    var filename: String?
    var type: String?
    /// The position after the empty line that ends the headers.
    private(set) var end: Int

    /// The largest size of the headers of a part, in bytes.
    private static let limit = 8192

    init(_ body: [UInt8], from start: Int, index: Int) throws(RequestError) {
        end = start
        var disposition: HeaderParameters?
        while true {
            let line = try Self.line(of: body, from: end, headers: start, index: index)
            end = line.endIndex + 2
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > line.startIndex,
                line[..<colon].allSatisfy(\.isToken),
                line[colon...].allSatisfy({ !$0.isControl || $0 == UInt8(ascii: "\t") })
            else { throw .invalid("part \(index) of the multipart body has a malformed header") }
            let value = line[(colon + 1)...]
            switch String(decoding: line[..<colon], as: UTF8.self).lowercased() {
            case "content-disposition":
                guard disposition == nil, let parameters = HeaderParameters(value) else {
                    throw .invalid(
                        "part \(index) of the multipart body has a malformed Content-Disposition")
                }
                disposition = parameters
            case "content-type": type = String(decoding: value, as: UTF8.self).trimmed
            case "content-transfer-encoding":
                let encoding = String(decoding: value, as: UTF8.self).trimmed.lowercased()
                guard ["7bit", "8bit", "binary"].contains(encoding) else {
                    throw .invalid(
                        "unsupported: part \(index) of the multipart body has a "
                            + "Content-Transfer-Encoding other than binary")
                }
            default: break
            }
        }
        guard let disposition, disposition.value == "form-data",
            let name = Self.text(disposition, "name")
        else {
            throw .invalid(
                "expected Content-Disposition: form-data with a name in part \(index) of the "
                    + "multipart body")
        }
        self.name = name
        let hasFilename = disposition["filename"] != nil || disposition["filename*"] != nil
        filename = hasFilename ? Self.text(disposition, "filename") ?? "" : nil
    }

    /// Returns a line of the headers without its line break.
    private static func line(
        of body: [UInt8], from position: Int, headers start: Int, index: Int
    ) throws(RequestError) -> ArraySlice<UInt8> {
        var end = position
        while end + 1 < body.count {
            if body[end] == UInt8(ascii: "\r"), body[end + 1] == UInt8(ascii: "\n") {
                return body[position..<end]
            }
            guard end - start < limit else {
                throw .tooLarge(
                    "the headers of part \(index) of the multipart body exceed \(limit) bytes")
            }
            end += 1
        }
        throw .invalid("the multipart body is truncated in the headers of part \(index)")
    }

    /// Returns a parameter as text; nil if it is missing or not UTF-8.
    ///
    /// The form with an asterisk (RFC 5987) goes first. In the other one, browsers escape quotation
    /// marks and line breaks alone, and not the percent sign.
    private static func text(_ disposition: HeaderParameters, _ name: String) -> String? {
        if let extended = disposition[name + "*"].flatMap(extended) { return extended }
        guard let value = disposition[name] else { return nil }
        var text: [UInt8] = []
        var rest = value[...]
        while let byte = rest.popFirst() {
            text.append(byte)
            guard byte == UInt8(ascii: "%") else { continue }
            switch String(decoding: rest.prefix(2), as: UTF8.self) {
            case "22": text[text.count - 1] = UInt8(ascii: "\"")
            case "0D", "0d": text[text.count - 1] = UInt8(ascii: "\r")
            case "0A", "0a": text[text.count - 1] = UInt8(ascii: "\n")
            default: continue
            }
            rest.removeFirst(2)
        }
        return String(validating: text, as: UTF8.self)
    }

    /// Decodes `UTF-8'language'text`, whose text is percent-encoded.
    private static func extended(_ value: [UInt8]) -> String? {
        let pieces = value.split(
            separator: UInt8(ascii: "'"), maxSplits: 2, omittingEmptySubsequences: false)
        guard pieces.count == 3,
            String(decoding: pieces[0], as: UTF8.self).lowercased() == "utf-8",
            let text = percentDecoded(pieces[2])
        else { return nil }
        return String(validating: text, as: UTF8.self)
    }
}
