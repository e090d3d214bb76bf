/// The path and the query of a request line, decoded.
struct RequestTarget: Sendable {
    /// The path below the base path, which begins with a slash.
    let path: String
    /// The parameters of the query string, in order.
    let query: [(name: String, value: String)]

    /// The largest length of a target, in bytes.
    static let lengthLimit = 16 << 10
    /// The largest number of parameters in the query string.
    static let parameterLimit = 64

    /// Parses a target in origin form, `/path?query`, or in absolute form, `http://host/path`.
    ///
    /// The path must not contain control characters, or segments `.` and `..`.
    ///
    /// - Parameters:
    ///   - target: The target in the request line.
    ///   - basePath: The path below which all endpoints lie, such as `/clip`; empty for none.
    /// - Throws: `RequestError` with status 400 for a malformed target, 404 for a path outside the
    ///   base path, 414 for a target that is too long.
    init(_ target: String, basePath: String) throws(RequestError) {
        guard target.utf8.count <= Self.lengthLimit else {
            throw RequestError(
                414, "uri_too_long", "the request target exceeds \(Self.lengthLimit) bytes")
        }
        let bytes = Array(target.utf8)
        // Bytes above 0x7F are accepted, because some clients do not percent-encode them.
        guard bytes.allSatisfy({ $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .invalid("the request target contains a space, a control character or #")
        }
        let local = try Self.origin(bytes[...])
        let mark = local.firstIndex(of: UInt8(ascii: "?")) ?? local.endIndex
        let decoded = try Self.decoded(local[..<mark])
        guard !decoded.contains(where: \.isControl) else {
            throw .invalid("the path contains a control character")
        }
        let segments = decoded.split(
            separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard
            !segments.contains(where: { $0.elementsEqual(".".utf8) || $0.elementsEqual("..".utf8) })
        else { throw .invalid("the path contains a segment . or ..") }
        path = try Self.text(Self.relative(decoded, basePath: basePath))
        query = try Self.parameters(local[mark...].dropFirst())
    }

    /// Returns the origin form of a target.
    private static func origin(_ target: ArraySlice<UInt8>) throws(RequestError)
        -> ArraySlice<UInt8>
    {
        if target.first == UInt8(ascii: "/") { return target }
        for scheme in ["http://", "https://"] {
            let start = target.prefix(scheme.utf8.count)
            guard String(decoding: start, as: UTF8.self).lowercased() == scheme else { continue }
            let rest = target[start.endIndex...]
            let end =
                rest.firstIndex { $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "?") }
                ?? rest.endIndex
            guard end > rest.startIndex else { break }
            let local = rest[end...]
            return local.first == UInt8(ascii: "/") ? local : [UInt8(ascii: "/")] + local
        }
        throw .invalid("the request target is neither a path nor an http: or https: URL")
    }

    /// Returns the part of a path below the base path.
    private static func relative(
        _ path: [UInt8], basePath: String
    ) throws(RequestError) -> ArraySlice<UInt8> {
        var base = Array(basePath.utf8)[...]
        while base.last == UInt8(ascii: "/") { base.removeLast() }
        let rest = path.dropFirst(base.count)
        // Bytes are compared, because strings are equal if they differ in Unicode form alone.
        guard path.starts(with: base), rest.isEmpty || rest.first == UInt8(ascii: "/") else {
            throw RequestError(404, "not_found", "not found: the path is outside the base path")
        }
        return rest.isEmpty ? [UInt8(ascii: "/")] : rest
    }

    private static func parameters(
        _ query: ArraySlice<UInt8>
    ) throws(RequestError) -> [(name: String, value: String)] {
        let fields = query.split(separator: UInt8(ascii: "&"))
        guard fields.count <= parameterLimit else {
            throw .invalid("the query string has more than \(parameterLimit) parameters")
        }
        var parameters: [(name: String, value: String)] = []
        for field in fields {
            let mark = field.firstIndex(of: UInt8(ascii: "=")) ?? field.endIndex
            let name = try text(decoded(field[..<mark], plusIsSpace: true)[...])
            let value = try text(decoded(field[mark...].dropFirst(), plusIsSpace: true)[...])
            parameters.append((name, value))
        }
        return parameters
    }

    private static func decoded(
        _ bytes: ArraySlice<UInt8>, plusIsSpace: Bool = false
    ) throws(RequestError) -> [UInt8] {
        guard let decoded = percentDecoded(bytes, plusIsSpace: plusIsSpace) else {
            throw .invalid("the request target has a percent sign without two hexadecimal digits")
        }
        return decoded
    }

    private static func text(_ bytes: ArraySlice<UInt8>) throws(RequestError) -> String {
        guard !bytes.contains(0), let text = String(validating: bytes, as: UTF8.self) else {
            throw .invalid("the request target contains NUL or is not UTF-8")
        }
        return text
    }
}
