/// Base64 of RFC 4648.
package enum Base64 {
    /// Returns the text of bytes in the standard alphabet, with padding.
    package static func encode(_ bytes: [UInt8]) -> String {
        let alphabet = Self.alphabet
        var text = [UInt8](repeating: UInt8(ascii: "="), count: (bytes.count + 2) / 3 * 4)
        var (read, written) = (0, 0)
        while read + 2 < bytes.count {
            let group =
                Int(bytes[read]) << 16 | Int(bytes[read + 1]) << 8 | Int(bytes[read + 2])
            text[written] = alphabet[group >> 18]
            text[written + 1] = alphabet[group >> 12 & 63]
            text[written + 2] = alphabet[group >> 6 & 63]
            text[written + 3] = alphabet[group & 63]
            (read, written) = (read + 3, written + 4)
        }
        if read < bytes.count {
            let second = read + 1 < bytes.count ? Int(bytes[read + 1]) : 0
            let group = Int(bytes[read]) << 16 | second << 8
            text[written] = alphabet[group >> 18]
            text[written + 1] = alphabet[group >> 12 & 63]
            if read + 1 < bytes.count { text[written + 2] = alphabet[group >> 6 & 63] }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Returns the text of a vector's little-endian float32 bytes.
    package static func encode(_ vector: [Float]) -> String {
        encode(littleEndianBytes(of: vector))
    }

    /// Returns the bytes of a text in the standard or the URL-safe alphabet; nil for other text.
    ///
    /// ASCII whitespace is ignored and padding may be missing. Unused bits of the last character
    /// may have any value.
    package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        let text = Array(text)
        let values = Self.values
        var bytes = [UInt8](repeating: 0, count: text.count / 4 * 3 + 3)
        var (read, written) = (0, 0)
        // The bits of the last one to three characters, and the numbers of characters and padding.
        var (pending, count, padding) = (0, 0, 0)
        while read < text.count {
            if count == 0, padding == 0 {
                // Four characters at a time, as long as there is nothing else.
                while read + 3 < text.count {
                    let first = values[Int(text[read])]
                    let second = values[Int(text[read + 1])]
                    let third = values[Int(text[read + 2])]
                    let fourth = values[Int(text[read + 3])]
                    guard first | second | third | fourth < 64 else { break }
                    bytes[written] = first << 2 | second >> 4
                    bytes[written + 1] = second << 4 | third >> 2
                    bytes[written + 2] = third << 6 | fourth
                    (read, written) = (read + 4, written + 3)
                }
                if read == text.count { break }
            }
            let value = values[Int(text[read])]
            read += 1
            switch value {
            case ..<64:
                guard padding == 0 else { return nil }
                (pending, count) = (pending << 6 | Int(value), count + 1)
                guard count == 4 else { continue }
                bytes[written] = UInt8(pending >> 16)
                bytes[written + 1] = UInt8(pending >> 8 & 255)
                bytes[written + 2] = UInt8(pending & 255)
                (pending, count, written) = (0, 0, written + 3)
            case space: continue
            case pad: padding += 1
            default: return nil
            }
        }
        guard count != 1, padding == 0 || count > 1 && count + padding == 4 else { return nil }
        if count > 1 {
            pending <<= 6 * (4 - count)
            bytes[written] = UInt8(pending >> 16)
            bytes[written + 1] = UInt8(pending >> 8 & 255)
            written += count - 1
        }
        bytes.removeLast(bytes.count - written)
        return bytes
    }

    private static let alphabet = Array(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    // Values above 63 of `values`; characters of no meaning have 255.
    private static let space: UInt8 = 64
    private static let pad: UInt8 = 65

    /// The six bits of each character.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        values[Int(UInt8(ascii: "-"))] = 62
        values[Int(UInt8(ascii: "_"))] = 63
        for character in " \t\n\r\u{C}".utf8 { values[Int(character)] = space }
        values[Int(UInt8(ascii: "="))] = pad
        return values
    }()
}
