internal import CVocabulary

/// The single-byte encodings that may have caused mojibake, in the order in which they are tried.
enum SingleByteEncoding: Int, CaseIterable {
    case latin1 = -1
    case windows1252, windows1251, windows1250, windows1253, windows1254, windows1257
    case iso8859Part2, macRoman, codePage437

    var isWindows: Bool { (0..<Int(clip_mojibake_windows)).contains(rawValue) }

    /// Encodes a text; returns nil if a character has no byte.
    ///
    /// In Windows encodings, undefined bytes encode the C1 controls, and 0x1A encodes U+FFFD, which
    /// stands for a lost byte.
    func bytes(of text: [Unicode.Scalar]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        for scalar in text {
            if scalar.isASCII {
                guard !isWindows || scalar != "\u{1A}" else { return nil }
                bytes.append(UInt8(scalar.value))
            } else if self == .latin1 {
                guard let byte = UInt8(exactly: scalar.value) else { return nil }
                bytes.append(byte)
            } else {
                let byte = clip_mojibake_byte(scalar.value, rawValue)
                guard byte > 0 else { return nil }
                bytes.append(byte)
            }
        }
        return bytes
    }
}
