extension VectorIndex {
    /// The name of a vector: any sequence of bytes, which may be empty or invalid UTF-8.
    ///
    /// ```swift
    /// let title: VectorIndex.ID = "a title"
    /// let key = VectorIndex.ID([0xFF, 0x00])
    /// print(title.string ?? "not UTF-8", key.bytes)
    /// ```
    public struct ID: Hashable, Sendable {
        /// The bytes of the id; UTF-8 if it was created from a string.
        public let bytes: [UInt8]

        /// The id as a string; nil if its bytes are not valid UTF-8.
        public var string: String? { String(validating: bytes, as: UTF8.self) }

        /// Creates an id from any bytes.
        public init(_ bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

        /// Creates an id from the UTF-8 of a string.
        public init(_ string: some StringProtocol) { bytes = Array(string.utf8) }
    }
}

extension VectorIndex.ID: Comparable {
    /// Compares ids byte by byte.
    public static func < (a: VectorIndex.ID, b: VectorIndex.ID) -> Bool {
        a.bytes.lexicographicallyPrecedes(b.bytes)
    }
}

extension VectorIndex.ID: ExpressibleByStringLiteral {
    /// Creates an id from the UTF-8 of a string.
    public init(stringLiteral string: String) { self.init(string) }
}

extension VectorIndex.ID: CustomStringConvertible {
    /// The id as text, invalid UTF-8 replaced by U+FFFD.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension VectorIndex.ID: Codable {
    /// Decodes a string, or an array of bytes.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let string = try? container.decode(String.self) {
            self.init(string)
        } else {
            self.init(try container.decode([UInt8].self))
        }
    }

    /// Encodes a string, or an array of bytes if these are not valid UTF-8.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if let string {
            try container.encode(string)
        } else {
            try container.encode(bytes)
        }
    }
}
