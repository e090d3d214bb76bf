/// Repairs text that was decoded with the wrong encoding (mojibake): `schÃ¶n` becomes `schön`.
///
/// As long as the text looks wrong, it is encoded in one of ten single-byte encodings and decoded
/// as UTF-8. If that fails for the whole text, the parts that look like UTF-8 are repaired.
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

/// Returns the largest number of rounds in which a text of `count` scalars is repaired.
///
/// Ordinary texts need two or three. Without a limit, a long text crafted to change by one
/// character in each round would take hours.
func roundsOfRepair(_ count: Int) -> Int { max(32, 500_000 / max(1, count)) }

/// A budget for the work of repairing one text, in scalars examined.
///
/// Rounds are nested: the repair of a line decodes it again, which decodes its parts again. A
/// crafted text of a megabyte can make each level reach its limit, which would take minutes. So
/// every line has a budget of 64 rounds, several times the need of ordinary texts; work beyond that
/// is charged to a budget that all lines share.
struct RepairEffort {
    private var line = 0
    private var shared = 50_000_000

    /// Begins a line of `count` scalars, with a budget of 64 rounds.
    mutating func begin(line count: Int) { line = 64 * count }

    /// Spends a round of `count` scalars; returns false if the budget is exhausted.
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

/// Replaces C1 controls by the characters of Windows-1252, as browsers do.
func withoutC1Controls(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    func isControl(_ scalar: Unicode.Scalar) -> Bool { (0x80...0x9F).contains(scalar.value) }
    guard text.contains(where: isControl) else { return text }
    return text.map { isControl($0) ? windows1252[Int($0.value) - 0x80] : $0 }
}

/// Repairs a text in one round; returns nil if the text does not look like mojibake.
private func decodedOnce(
    _ text: [Unicode.Scalar], _ effort: inout RepairEffort
) -> [Unicode.Scalar]? {
    guard isMojibake(text) else { return nil }
    for encoding in SingleByteEncoding.allCases {
        guard var bytes = encoding.bytes(of: text) else { continue }
        // In MacRoman, a dash before a space would look like the start of a character.
        if encoding != .macRoman { bytes = withNoBreakSpaces(bytes) }
        if encoding.isWindows { bytes = withLossesMarked(bytes) }
        if let decoded = decodedUTF8(bytes) { return decoded }
    }
    let inParts = withPartsDecoded(text, &effort)
    return inParts != text ? inParts : withoutC1Controls(text)
}

// MARK: - Parts of a text

/// Decodes the parts of a text that look like UTF-8, for texts that have no single encoding.
private func withPartsDecoded(
    _ text: [Unicode.Scalar], _ effort: inout RepairEffort
) -> [Unicode.Scalar] {
    let clues = text.map(MojibakeClues.init)
    var result: [Unicode.Scalar] = []
    var position = 0
    while position < text.count {
        // After a continuation byte, the sequence would be a fragment of a longer garbled one.
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

/// Returns the number of characters at the beginning that look like UTF-8 sequences of two to four
/// bytes.
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

/// Restores the bytes 0xA0 of UTF-8 sequences in which they were replaced by spaces.
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

/// Restores the word "à" from "Ã " and keeps the space, except at the start of Portuguese words
/// such as "àquele".
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

/// Returns the length of a sequence that would be UTF-8 if a space in it were 0xA0, or 0.
///
/// Only lead bytes of likely characters are considered.
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

/// Replaces UTF-8 sequences with lost bytes, which appear as 0x1A or `?`, by U+FFFD.
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

/// Returns the length of a sequence that has lost a byte, or 0.
///
/// A sequence may contain one question mark, a surrogate pair two.
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

/// Decodes UTF-8 and two variants of it; returns nil if the bytes are invalid.
///
/// The variants are surrogate pairs of three bytes each (CESU-8) and 0xC0 0x80 for U+0000 (Java).
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
            // At the end of a text, ftfy reads 0xC0 and a line break as U+0000 too.
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

/// Returns true at a line break that ends the text, which ftfy accepts as the last byte of a
/// surrogate pair.
private func isFinalBreak(_ bytes: [UInt8], _ position: Int) -> Bool {
    position == bytes.count - 1 && bytes[position] == 0x0A
}

private let continuation: ClosedRange<UInt8> = 0x80...0xBF

private func isSurrogate(_ bytes: ArraySlice<UInt8>, _ range: ClosedRange<UInt8>) -> Bool {
    bytes.count == 2 && bytes.first.map(range.contains) == true
        && bytes.last.map(continuation.contains) == true
}
