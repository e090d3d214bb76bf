/// The path of a file: any bytes but 0, which need not be UTF-8.
package struct FilePath: Hashable, Sendable, Comparable {
    package var bytes: [UInt8]

    /// Creates a path from its bytes.
    package init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// Creates a path from the UTF-8 of a string.
    package init(_ path: String) { bytes = Array(path.utf8) }

    /// Compares the bytes lexicographically.
    package static func < (a: FilePath, b: FilePath) -> Bool {
        a.bytes.lexicographicallyPrecedes(b.bytes)
    }

    /// The bytes after the last slash.
    package var lastComponent: ArraySlice<UInt8> {
        let end = bytes.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? 0
        return bytes[end...]
    }

    /// The suffix of the last component after its last dot, in lower case; empty if there is none.
    ///
    /// A dot at the beginning of a name does not begin a suffix.
    package var pathExtension: String {
        let name = lastComponent
        guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > name.startIndex else {
            return ""
        }
        return String(decoding: name[(dot + 1)...], as: UTF8.self).lowercased()
    }

    /// Returns the path of an entry of this folder, given the name of the entry.
    package func appending(_ name: some Sequence<UInt8>) -> FilePath {
        let slash = UInt8(ascii: "/")
        return FilePath(bytes + (bytes.last == slash ? [] : [slash]) + name)
    }

    /// The path as a JSON string, with quotation marks.
    ///
    /// A byte that is not UTF-8 becomes the escape of a lone surrogate, \udc80 to \udcff, as in
    /// Python's `json.dumps(os.fsdecode(path))`. So `os.fsencode(json.loads(x))` is the path.
    package var quoted: [UInt8] {
        let quote = UInt8(ascii: "\"")
        var result = [quote]
        var plain: [UInt8] = []  // valid UTF-8 that is not quoted yet
        func quotePlain() {
            result += JSONValue.quoted(String(decoding: plain, as: UTF8.self)).utf8
                .dropFirst().dropLast()
            plain = []
        }
        var rest = bytes[...]
        while let first = rest.first {
            let length = Self.lengthOfScalar(rest)
            if length > 0 && first != 0x7F {
                plain += rest.prefix(length)
            } else {
                quotePlain()
                result += "\(length > 0 ? "\\u00" : "\\udc")\(String(first, radix: 16))".utf8
            }
            rest = rest.dropFirst(max(1, length))
        }
        quotePlain()
        return result + [quote]
    }

    /// Decodes a path from bytes that begin with a JSON string in the format of `quoted`; nil if
    /// they do not.
    package init?(quoted: some Collection<UInt8>) {
        var bytes: [UInt8] = []
        var rest = quoted[...]
        guard rest.popFirst() == UInt8(ascii: "\"") else { return nil }
        while let byte = rest.popFirst() {
            guard byte != UInt8(ascii: "\"") else {
                self.init(bytes)
                return
            }
            guard byte == UInt8(ascii: "\\") else {
                bytes.append(byte)
                continue
            }
            switch rest.popFirst() {
            case UInt8(ascii: "n"): bytes.append(10)
            case UInt8(ascii: "r"): bytes.append(13)
            case UInt8(ascii: "t"): bytes.append(9)
            case UInt8(ascii: "u"):
                let digits = String(decoding: rest.prefix(4), as: UTF8.self)
                rest = rest.dropFirst(4)
                guard digits.count == 4, let value = UInt32(digits, radix: 16) else { return nil }
                if (0xDC80...0xDCFF).contains(value) {
                    bytes.append(UInt8(value - 0xDC00))
                } else if let scalar = Unicode.Scalar(value) {
                    bytes += String(Character(scalar)).utf8
                } else {
                    return nil
                }
            case let other?: bytes.append(other)
            case nil: return nil
            }
        }
        return nil
    }

    /// Returns the length in bytes of the first scalar; 0 if it is not valid UTF-8.
    private static func lengthOfScalar(_ bytes: ArraySlice<UInt8>) -> Int {
        guard let first = bytes.first else { return 0 }
        let length =
            switch first {
            case 0..<0x80: 1
            case 0xC2..<0xE0: 2
            case 0xE0..<0xF0: 3
            case 0xF0..<0xF5: 4
            default: 0
            }
        let part = bytes.prefix(length)
        return part.count == length && String(validating: part, as: UTF8.self) != nil ? length : 0
    }
}

extension FilePath: CustomStringConvertible {
    /// The path for messages: bytes that are not UTF-8 become U+FFFD.
    package var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension FilePath: Codable {
    /// Decodes the path from a string, or from an array of bytes.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let path = try? container.decode(String.self) {
            self.init(path)
        } else {
            self.init(try container.decode([UInt8].self))
        }
    }

    /// Encodes the path as a string, or as an array of bytes if it is not UTF-8.
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let path = String(validating: bytes, as: UTF8.self) {
            try container.encode(path)
        } else {
            try container.encode(bytes)
        }
    }
}

extension FilePath: ExpressibleByStringLiteral {
    /// Creates a path from the UTF-8 of a string literal.
    package init(stringLiteral path: String) { self.init(path) }
}
