internal import CVocabulary

/// Returns true if a text has a sequence of characters that suggests a wrong encoding, such as an
/// accented letter before a currency sign.
///
/// Source: the rules of ftfy 6.3, from which Scripts/vocabulary/make_text_repair.py makes the
/// tables.
func isMojibake(_ text: [Unicode.Scalar]) -> Bool {
    // One of the first three characters of every rule's sequences is not ASCII.
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

/// A character with the character sets that contain it, of those that the mojibake rules use.
struct MojibakeClues {
    /// The character sets that the code uses by name; raw values are their numbers in the table.
    enum Set: UInt8 {
        case word, firstOf2, firstOf3, firstOf4, continuation, strictContinuation
    }

    private let scalar: Unicode.Scalar
    private let sets: clip_mojibake_sets

    init(_ scalar: Unicode.Scalar) {
        self.scalar = scalar
        sets = clip_mojibake_sets_of(scalar.value)
    }

    /// The rules whose first set contains the character, as a bit mask.
    fileprivate var rules: UInt64 { sets.rules }

    func contains(_ set: Set) -> Bool { contains(set.rawValue) }

    fileprivate func contains(_ set: UInt8) -> Bool {
        set == Set.word.rawValue
            ? scalar == "_" || scalar.isLetterOrNumber != (false, false)
            : (set < 64 ? sets.low >> set : sets.high >> (set - 64)) & 1 == 1
    }
}

/// A rule that matches a sequence of characters, each of them by a character set.
private struct MojibakeRule {
    /// The numbers of the sets, one byte each, from the lowest byte on; 0xFF ends the sequence.
    let sets: UInt64
    let isAtBeginning: Bool

    /// Returns true if the rule matches at `start`, whose character is known to be in the first
    /// set.
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
