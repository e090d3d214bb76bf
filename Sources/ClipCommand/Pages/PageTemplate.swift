import CPages

/// A file of Sources/CPages with placeholders of the form {{name}}.
struct PageTemplate {
    let bytes: [UInt8]

    init(_ file: clip_page_bytes) { bytes = Self.bytes(of: file) }

    /// Returns the content of a file, unchanged.
    static func bytes(of file: clip_page_bytes) -> [UInt8] {
        Array(UnsafeBufferPointer(start: file.start, count: file.count))
    }

    /// Returns the template with its placeholders replaced.
    ///
    /// Placeholders within values are not replaced.
    func filled(_ values: [String: [UInt8]]) -> [UInt8] {
        var result: [UInt8] = []
        var rest = bytes[...]
        while let start = rest.firstRange(of: "{{".utf8),
            let end = rest[start.upperBound...].firstRange(of: "}}".utf8)
        {
            let name = String(decoding: rest[start.upperBound..<end.lowerBound], as: UTF8.self)
            guard let value = values[name] else {
                preconditionFailure(
                    "no value for the placeholder {{\(name)}}, only for \(values.keys.sorted())")
            }
            result += rest[..<start.lowerBound]
            result += value
            rest = rest[end.upperBound...]
        }
        return result + rest
    }
}
