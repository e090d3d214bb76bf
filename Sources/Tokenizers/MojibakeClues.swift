internal import CVocabulary

/// Whether a text has a sequence of characters that is likely the work of a wrong encoding, such as
/// an accented letter before a sign of currency.
///
/// Source: the rules of ftfy 6.3, which Scripts/vocabulary/make_text_repair.py takes apart.
func isMojibake(_ text: [Unicode.Scalar]) -> Bool {
    // One of the first three characters of every sequence is beyond ASCII.
    var next = 0
    for index in text.indices where !text[index].isASCII {
        for start in max(next, index - 2)...index {
            var rules = MojibakeClues(text[start]).rules
            while rules != 0 {
                if MojibakeRule.all[rules.trailingZeroBitCount].fits(text, at: start) {
                    return true
                }
                rules &= rules - 1
            }
        }
        next = index + 1
    }
    return false
}

/// The sets of characters that a character is in.
struct MojibakeClues {
    /// The sets that are known by name, as the table numbers them.
    enum Set: UInt8 {
        case word, firstOf2, firstOf3, firstOf4, continuation, strictContinuation
    }

    private let scalar: Unicode.Scalar
    private let sets: clip_mojibake_sets

    init(_ scalar: Unicode.Scalar) {
        self.scalar = scalar
        sets = clip_mojibake_sets_of(scalar.value)
    }

    /// The rules, as bits, that fit from it on if its successors do.
    fileprivate var rules: UInt64 { sets.rules }

    func contains(_ set: Set) -> Bool { contains(set.rawValue) }

    fileprivate func contains(_ set: UInt8) -> Bool {
        set == Set.word.rawValue
            ? scalar == "_" || scalar.isLetterOrNumber != (false, false)
            : (set < 64 ? sets.low >> set : sets.high >> (set - 64)) & 1 == 1
    }
}

/// A row of sets, in which the characters of bad text are.
private struct MojibakeRule {
    /// The numbers of the sets, from the lowest byte on; then 0xFF.
    let sets: UInt64
    let isAtBeginning: Bool

    /// Whether it fits a text from a character on that may begin it.
    func fits(_ text: [Unicode.Scalar], at start: Int) -> Bool {
        guard !isAtBeginning || start == 0 else { return false }
        var (rest, position) = (sets >> 8 | 0xFF << 56, start + 1)
        while rest & 0xFF != 0xFF {
            guard position < text.count,
                MojibakeClues(text[position]).contains(UInt8(rest & 0xFF))
            else { return false }
            rest = rest >> 8 | 0xFF << 56
            position += 1
        }
        return true
    }

    static let all: [MojibakeRule] = (0...).lazy.map(clip_mojibake_rule).prefix { $0 != 0 }.map {
        let isAtBeginning = $0 & 0xFF == 0xFE
        return MojibakeRule(
            sets: isAtBeginning ? $0 >> 8 | 0xFF << 56 : $0, isAtBeginning: isAtBeginning)
    }
}

/// The encodings of one byte that text is taken for, in the order in which they are tried.
enum SingleByteEncoding: Int, CaseIterable {
    case latin1 = -1
    case windows1252, windows1251, windows1250, windows1253, windows1254, windows1257
    case iso8859Part2, macRoman, codePage437

    var isWindows: Bool { (0..<Int(clip_mojibake_windows)).contains(rawValue) }

    /// A text in this encoding; nil if a character has no byte. In the encodings of Windows, the bytes
    /// that are free stand for C1 controls, and 0x1A for U+FFFD, a byte that was lost.
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
