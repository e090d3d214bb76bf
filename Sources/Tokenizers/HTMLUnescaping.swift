/// Replaces the character references of HTML 5, as Python's `html.unescape` does.
///
/// Names for which HTML 5 makes the semicolon optional are recognised without it (`&ampamp` becomes
/// `&amp`). Numbers from 128 to 159 are read as bytes of Windows-1252.
func htmlUnescaped(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard text.contains("&") else { return text }
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
        if text[position] == "&", let found = HTMLReference(in: text[(position + 1)...]) {
            result += found.replacement
            position = found.end
        } else {
            result.append(text[position])
            position += 1
        }
    }
    return result
}

/// A character reference, parsed from the text after its ampersand.
private struct HTMLReference {
    let replacement: [Unicode.Scalar]
    let end: Int

    init?(in text: ArraySlice<Unicode.Scalar>) {
        guard let first = text.first else { return nil }
        if first == "#" {
            guard let number = Self.number(in: text.dropFirst()) else { return nil }
            self = number
        } else {
            let name = text.prefix(32).prefix { !"\t\n\u{C} <&#;".unicodeScalars.contains($0) }
            guard !name.isEmpty else { return nil }
            let hasSemicolon = name.endIndex < text.endIndex && text[name.endIndex] == ";"
            self = Self.named(text[name.startIndex..<(name.endIndex + (hasSemicolon ? 1 : 0))])
        }
    }

    private init(replacement: [Unicode.Scalar], end: Int) {
        self.replacement = replacement
        self.end = end
    }

    /// Replaces the longest prefix of `name` that is the name of an entity; if there is none, the
    /// text stays as it is.
    private static func named(_ name: ArraySlice<Unicode.Scalar>) -> HTMLReference {
        for length in stride(from: name.count, through: 2, by: -1) {
            let entity = Vocabulary.htmlEntity(named: name.prefix(length))
            if !entity.isEmpty {
                return HTMLReference(
                    replacement: entity + name.dropFirst(length), end: name.endIndex)
            }
        }
        return HTMLReference(replacement: ["&"] + name, end: name.endIndex)
    }

    private static func number(in text: ArraySlice<Unicode.Scalar>) -> HTMLReference? {
        let isHexadecimal = text.first == "x" || text.first == "X"
        let radix: UInt32 = isHexadecimal ? 16 : 10
        var position = text.startIndex + (isHexadecimal ? 1 : 0)
        let firstDigit = position
        var value: UInt32 = 0
        while position < text.endIndex, let digit = text[position].hexDigit, digit < radix {
            value = min(value * radix + digit, 0x11_0000)  // anything above the last code point
            position += 1
        }
        guard position > firstDigit else { return nil }
        if position < text.endIndex && text[position] == ";" { position += 1 }
        return HTMLReference(replacement: scalars(ofNumber: value), end: position)
    }

    private static func scalars(ofNumber value: UInt32) -> [Unicode.Scalar] {
        switch value {
        case 0: return ["\u{FFFD}"]
        case 0x0D: return ["\r"]
        case 0x80...0x9F: return [windows1252[Int(value) - 0x80]]
        case 0x1...0x8, 0xB, 0xE...0x1F, 0x7F, 0xFDD0...0xFDEF: return []
        case 0...0x10FFFF where value & 0xFFFE == 0xFFFE: return []
        default: return [Unicode.Scalar(value) ?? "\u{FFFD}"]
        }
    }
}

extension Unicode.Scalar {
    /// The value of an ASCII hexadecimal digit; nil for other scalars.
    fileprivate var hexDigit: UInt32? {
        switch self {
        case "0"..."9": value - 0x30
        case "a"..."f": value - 0x61 + 10
        case "A"..."F": value - 0x41 + 10
        default: nil
        }
    }
}
