/// Text that was decoded with the wrong encoding ("mojibake"), decoded anew: `schÃ¶n` is `schön`.
///
/// As long as something looks wrong: reads the whole text as bytes of one of ten encodings that are
/// UTF-8, or else the parts that look so.
///
/// Source: the behaviour of `ftfy.fix_encoding` of ftfy 6.3.
func decodedAnew(_ text: [Unicode.Scalar], _ effort: inout RepairEffort) -> [Unicode.Scalar] {
    var text = text
    for _ in 0..<roundsOfRepair(text.count) {
        guard effort.spend(text.count), let next = decodedOnce(text, &effort), next != text
        else { break }
        text = next
    }
    return text
}

/// How often a text of a length is repaired again, as long as something changes: a long one that is
/// made to change by one character a round would take hours. What people have takes two or three.
func roundsOfRepair(_ count: Int) -> Int { max(32, 500_000 / max(1, count)) }

/// A limit for the work of repairing one text, in characters that a round looks at.
///
/// Rounds lie within rounds: the repair of a line decodes it anew, which decodes its parts anew.
/// Each may be made to run to its own limit, so that the product of them would take minutes for a
/// megabyte. Every line has 64 rounds to itself, several times what people's texts take; what goes
/// beyond is shared by all lines.
struct RepairEffort {
    private var line = 0
    private var shared = 50_000_000

    /// Gives the next line its own rounds.
    mutating func begin(line count: Int) { line = 64 * count }

    /// Takes a round of so many characters; false if the limit is reached.
    mutating func spend(_ count: Int) -> Bool {
        if line >= count {
            line -= count
        } else if shared >= count {
            shared -= count
        } else {
            return false
        }
        return true
    }
}

/// With Windows-1252's characters for C1 controls, as browsers read them.
func withoutC1Controls(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    func isControl(_ scalar: Unicode.Scalar) -> Bool { (0x80...0x9F).contains(scalar.value) }
    guard text.contains(where: isControl) else { return text }
    return text.map { isControl($0) ? windows1252[Int($0.value) - 0x80] : $0 }
}

/// One step; nil if nothing looks wrong.
private func decodedOnce(
    _ text: [Unicode.Scalar], _ effort: inout RepairEffort
) -> [Unicode.Scalar]? {
    guard isMojibake(text) else { return nil }
    for encoding in SingleByteEncoding.allCases {
        guard var bytes = encoding.bytes(of: text) else { continue }
        // In MacRoman a dash before a space would look like a part of a character.
        if encoding != .macRoman { bytes = withNoBreakSpaces(bytes) }
        if encoding.isWindows { bytes = withLossesMarked(bytes) }
        if let decoded = decodedUTF8(bytes) { return decoded }
    }
    let inParts = withPartsDecoded(text, &effort)
    return inParts != text ? inParts : withoutC1Controls(text)
}

// MARK: - Parts of a text

/// Decodes what looks like UTF-8 by itself, where the whole text has no one encoding.
private func withPartsDecoded(
    _ text: [Unicode.Scalar], _ effort: inout RepairEffort
) -> [Unicode.Scalar] {
    let clues = text.map(MojibakeClues.init)
    var result: [Unicode.Scalar] = []
    var position = 0
    while position < text.count {
        // After what continues a character, only part of a larger garble would be found.
        let isAmidst = position > 0 && clues[position - 1].contains(.strictContinuation)
        let length = isAmidst ? 0 : lengthOfUTF8(clues[position...])
        guard length > 0 else {
            result.append(text[position])
            position += 1
            continue
        }
        let part = Array(text[position..<(position + length)])
        result += length < text.count ? decodedAnew(part, &effort) : part
        position += length
    }
    return result
}

/// How long a row of what looks like UTF-8 sequences is, each of two to four characters.
private func lengthOfUTF8(_ clues: ArraySlice<MojibakeClues>) -> Int {
    var position = clues.startIndex
    while position < clues.endIndex {
        let continuations = clues[(position + 1)...].prefix(3).prefix { $0.contains(.continuation) }
        let leads: [(MojibakeClues.Set, Int)] = [(.firstOf2, 1), (.firstOf3, 2), (.firstOf4, 3)]
        guard
            let lead = leads.first(where: { set, count in
                clues[position].contains(set) && continuations.count >= count
            })
        else { break }
        position += 1 + lead.1
    }
    return position - clues.startIndex
}

// MARK: - Bytes

/// With 0xA0 instead of spaces, where UTF-8 has lost it to something that took it for one.
private func withNoBreakSpaces(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0x20), bytes.contains(where: { $0 >= 0xC2 }) else { return bytes }
    var bytes = withGraveWords(bytes)
    var position = 0
    while position < bytes.count {
        let length = bytes[position] < 0xC2 ? 0 : lengthOfCharacter(withSpaceIn: bytes[position...])
        for i in position..<(position + length) where bytes[i] == 0x20 { bytes[i] = 0xA0 }
        position += max(1, length)
    }
    return bytes
}

/// "Ã " is the word "à", and its space stays, but for the Portuguese words that it begins.
private func withGraveWords(_ bytes: [UInt8]) -> [UInt8] {
    var result: [UInt8] = []
    for (i, byte) in bytes.enumerated() {
        result.append(byte)
        guard byte == 0xC3, i + 1 < bytes.count, bytes[i + 1] == 0x20 else { continue }
        let next = bytes[(i + 2)...]
        if ![" ", "quele", "quela", "quilo", "s "].contains(where: { next.starts(with: $0.utf8) }) {
            result.append(0xA0)
        }
    }
    return result
}

/// The length of a character that would be UTF-8 if a space in it were 0xA0, or 0. Of those, only
/// leads are taken that make likely characters.
private func lengthOfCharacter(withSpaceIn bytes: ArraySlice<UInt8>) -> Int {
    guard let lead = bytes.first else { return 0 }
    let next = Array(bytes.dropFirst().prefix(3))
    func isSpace(_ i: Int) -> Bool { i < next.count && next[i] == 0x20 }
    func isContinuation(_ i: Int) -> Bool { i < next.count && continuation.contains(next[i]) }
    func isUsual(_ i: Int) -> Bool { isContinuation(i) && next[i] != 0x85 && next[i] != 0xA0 }
    switch lead {
    case 0xC2, 0xC3, 0xC5, 0xCE, 0xD0, 0xD9:
        return isSpace(0) ? 2 : 0
    case 0xE0...0xE3:
        return lead >= 0xE2 && isSpace(0) && isUsual(1) || isUsual(0) && isSpace(1) ? 3 : 0
    case 0xF0:
        let spaces = (0..<3).count(where: isSpace)
        return spaces == 1 && (0..<3).count(where: isContinuation) == 2 ? 4 : 0
    default: return 0
    }
}

/// With U+FFFD for characters of which bytes are lost: these are 0x1A here, or a question mark.
private func withLossesMarked(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.contains(0x1A) || bytes.contains(UInt8(ascii: "?")) else { return bytes }
    var result: [UInt8] = []
    var position = 0
    while position < bytes.count {
        let length = lengthOfLoss(at: bytes[position...])
        if length > 0 {
            result += [0xEF, 0xBF, 0xBD]
            position += length
        } else {
            result.append(bytes[position])
            position += 1
        }
    }
    return result
}

/// The length of a character that has lost a byte, or 0. A question mark counts for one byte at
/// most, but for two in a pair of surrogates.
private func lengthOfLoss(at bytes: ArraySlice<UInt8>) -> Int {
    guard let lead = bytes.first else { return 0 }
    let next = Array(bytes.dropFirst().prefix(5))
    func isLost(_ byte: UInt8) -> Bool { byte == 0x1A || byte == UInt8(ascii: "?") }
    func isContinuation(_ byte: UInt8) -> Bool { continuation.contains(byte) }
    if lead == 0xED, next.count == 5, (0xA0...0xAF).contains(next[0]), next[2] == 0xED,
        (0xB0...0xBF).contains(next[3]), isLost(next[1]) || isLost(next[4]),
        [next[1], next[4]].allSatisfy({ isLost($0) || isContinuation($0) })
    {
        return 6
    }
    let count =
        switch lead {
        case 0x1A: 0
        case 0xC2...0xDF: 1
        case 0xE0...0xEF: 2
        case 0xF0...0xF4: 3
        default: -1
        }
    guard count >= 0, next.count >= count else { return 0 }
    let rest = next.prefix(count)
    let marks = rest.count { $0 == UInt8(ascii: "?") }
    guard count == 0 || rest.contains(where: isLost), marks <= 1,
        rest.allSatisfy({ isLost($0) || isContinuation($0) }),
        count != 1 || marks == 0 || lead <= 0xC3
    else { return 0 }
    return count + 1
}

/// UTF-8, and two kinds of what is nearly that: characters as pairs of surrogates of three bytes
/// each (CESU-8), and 0xC0 0x80 for U+0000 (Java); nil if it is neither.
private func decodedUTF8(_ bytes: [UInt8]) -> [Unicode.Scalar]? {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(bytes.count)
    var position = 0
    while position < bytes.count {
        let next = bytes[(position + 1)...].prefix(5)
        func bits(_ i: Int, _ count: Int) -> UInt32 {
            UInt32(bytes[position + i]) & (1 << count - 1)
        }
        let lead = bytes[position]
        if lead == 0xC0, next.first == 0x80 || next.elementsEqual([0x0A]) {
            // At the end of a text, ftfy takes 0xC0 and a line break for it too.
            result.append("\0")
            position += 2
        } else if lead == 0xED, next.count == 5, isSurrogate(next.prefix(2), 0xA0...0xAF),
            next[position + 3] == 0xED,
            isSurrogate(next.dropFirst(3), 0xB0...0xBF)
                || (0xB0...0xBF).contains(next[position + 4]) && isFinalBreak(bytes, position + 5)
        {
            let value = bits(1, 4) << 16 | bits(2, 6) << 10 | bits(4, 4) << 6 | bits(5, 6)
            guard let scalar = Unicode.Scalar(0x10000 + value) else { return nil }
            result.append(scalar)
            position += 6
        } else {
            let length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4
            guard
                let character = String(
                    validating: bytes[position...].prefix(length), as: UTF8.self),
                let scalar = character.unicodeScalars.first
            else { return nil }
            result.append(scalar)
            position += length
        }
    }
    return result
}

/// ftfy takes a line break at the end of a text for the last byte of a pair too.
private func isFinalBreak(_ bytes: [UInt8], _ position: Int) -> Bool {
    position == bytes.count - 1 && bytes[position] == 0x0A
}

private let continuation: ClosedRange<UInt8> = 0x80...0xBF

private func isSurrogate(_ bytes: ArraySlice<UInt8>, _ range: ClosedRange<UInt8>) -> Bool {
    bytes.count == 2 && bytes.first.map(range.contains) == true
        && bytes.last.map(continuation.contains) == true
}
