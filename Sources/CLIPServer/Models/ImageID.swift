internal import CLIPSearch
internal import Files

/// The stable name of an indexed image in URLs: the SHA-256 of its content, and a hash of its path
/// that tells copies apart.
///
/// It is written as 64 hexadecimal digits, a hyphen and 16 hexadecimal digits.
struct ImageID: Sendable, Hashable, CustomStringConvertible {
    /// The SHA-256 of the file, 32 bytes.
    let digest: [UInt8]
    /// The first 8 bytes of the SHA-256 of the path relative to the indexed folder.
    let path: [UInt8]

    init(_ item: FolderIndex.Item) {
        digest = item.digest
        path = Array(sha256(item.path.bytes).prefix(8))
    }

    /// Parses an id; nil for any text that `description` never returns.
    init?(_ text: String) {
        let characters = Array(text.utf8)
        guard characters.count == 81, characters[64] == UInt8(ascii: "-"),
            let digest = Self.bytes(ofHexadecimal: characters[..<64]),
            let path = Self.bytes(ofHexadecimal: characters[65...])
        else { return nil }
        (self.digest, self.path) = (digest, path)
        // Each image has one address: digits in capitals are rejected.
        guard description == text else { return nil }
    }

    var description: String { "\(hexadecimal(digest))-\(hexadecimal(path))" }

    /// Returns the bytes that an even number of hexadecimal digits stand for; nil for other
    /// characters.
    private static func bytes(ofHexadecimal digits: ArraySlice<UInt8>) -> [UInt8]? {
        let values = digits.compactMap(hexadecimalValue)
        guard values.count == digits.count else { return nil }
        return stride(from: 0, to: values.count - 1, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }
}
