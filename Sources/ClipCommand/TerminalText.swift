import Files
import CLIPSearch

/// Makes text that may hold control characters, such as a file name, safe for a terminal.
enum TerminalText {
    /// Returns a name for standard output.
    ///
    /// At a terminal, a name with control characters or invalid UTF-8 is quoted as `$'…'`, so that
    /// it can be pasted into a shell and triggers no escape sequence. Elsewhere it is unchanged.
    static func shown(_ name: [UInt8], atTerminal isTerminal: Bool = outputIsTerminal) -> [UInt8] {
        guard isTerminal, needsQuotes(name) else { return name }
        var quoted = Array("$'".utf8)
        for byte in name {
            switch byte {
            case UInt8(ascii: "\n"): quoted += "\\n".utf8
            case UInt8(ascii: "\t"): quoted += "\\t".utf8
            case UInt8(ascii: "'"), UInt8(ascii: "\\"): quoted += [UInt8(ascii: "\\"), byte]
            case 0x20..<0x7F: quoted.append(byte)
            default:
                let octal = String(byte, radix: 8)
                quoted += ("\\" + String(repeating: "0", count: 3 - octal.count) + octal).utf8
            }
        }
        return quoted + "'".utf8
    }

    static func shown(_ path: FilePath) -> [UInt8] { shown(path.bytes) }

    static func shown(_ text: String) -> String {
        String(decoding: shown(Array(text.utf8)), as: UTF8.self)
    }

    private static func needsQuotes(_ name: [UInt8]) -> Bool {
        guard let text = String(validating: name, as: UTF8.self) else { return true }
        return text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    }

    /// Returns bytes with control characters as JSON escapes, except NUL, tab and line feed.
    static func withoutControls(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.contains(where: isSuspect) else { return bytes }
        var shown: [UInt8] = []
        for (index, byte) in bytes.enumerated() {
            let isSecond = byte & 0xE0 == 0x80 && index > 0 && bytes[index - 1] == 0xC2
            if isSecond { shown.removeLast() }
            if isSecond || isSuspect(byte) && byte != 0xC2 {
                shown += escape(Unicode.Scalar(byte)).utf8
            } else {
                shown.append(byte)
            }
        }
        return shown
    }

    /// True for an ASCII control character except NUL, tab and line feed, and for 0xC2, the first
    /// byte of a C1 control character in UTF-8.
    private static func isSuspect(_ byte: UInt8) -> Bool {
        byte < 0x20 && ![0, 9, 10].contains(byte) || byte == 0x7F || byte == 0xC2
    }

    /// Returns a JSON escape, such as `\u001b`.
    private static func escape(_ scalar: Unicode.Scalar) -> String {
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// Returns text on one line.
    ///
    /// Line breaks and tabs become spaces; other control characters become JSON escapes such as
    /// `\u001b`.
    static func oneLine(_ text: String) -> String {
        var line = ""
        for scalar in text.unicodeScalars {
            if scalar.properties.generalCategory != .control {
                line.unicodeScalars.append(scalar)
            } else if "\n\r\t".unicodeScalars.contains(scalar) {
                line += " "
            } else {
                line += escape(scalar)
            }
        }
        return line
    }
}
