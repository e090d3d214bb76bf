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
    }

    var description: String { "\(hexadecimal(digest))-\(hexadecimal(path))" }

    /// Returns the bytes that lower-case hexadecimal digits stand for; nil for other characters.
    private static func bytes(ofHexadecimal digits: ArraySlice<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        var high: UInt8?
        for digit in digits {
            let value: UInt8
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = digit - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = digit - UInt8(ascii: "a") + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return high == nil ? bytes : nil
    }
}
