internal import CVocabulary

/// Returns a text in Unicode's normal form C (NFC), of Unicode 17.
///
/// Scalars that were assigned after the Unicode version `version` are unchanged.
///
/// Source: Unicode Standard Annex 15.
func composed(_ text: [Unicode.Scalar], asOfUnicode version: Int = 17) -> [Unicode.Scalar] {
    guard text.contains(where: { $0.value >= 0x300 && clip_composition_may_change($0.value) })
    else { return text }
    func isLater(_ scalar: Unicode.Scalar) -> Bool {
        version < 17 && scalar.value >= 0x300 && (scalar.properties.age?.major ?? 0) > version
    }
    let parts = text.split(omittingEmptySubsequences: false, whereSeparator: isLater).map { part in
        var scalars: [Unicode.Scalar] = []
        scalars.reserveCapacity(part.count)
        for scalar in part { appendParts(of: scalar, to: &scalars) }
        sortMarks(of: &scalars)
        return joined(scalars)
    }
    let later = text.filter(isLater)
    return Array(zip(parts, later).map { $0 + [$1] }.joined()) + (parts.last ?? [])
}

/// Appends the full canonical decomposition of a scalar.
private func appendParts(of scalar: Unicode.Scalar, to result: inout [Unicode.Scalar]) {
    if let syllable = Hangul.index(of: scalar) {
        let (vowels, finals) = (Hangul.vowelCount, Hangul.finalCount)
        result.append(Hangul.scalar(Hangul.firstInitial, syllable / (vowels * finals)))
        result.append(Hangul.scalar(Hangul.firstVowel, syllable / finals % vowels))
        if syllable % finals > 0 {
            result.append(Hangul.scalar(Hangul.beforeFinals, syllable % finals))
        }
        return
    }
    var (first, second): (UInt32, UInt32) = (0, 0)
    guard scalar.value >= 0xC0, clip_composition_parts(scalar.value, &first, &second),
        let head = Unicode.Scalar(first)
    else { return result.append(scalar) }
    appendParts(of: head, to: &result)
    if second > 0, let mark = Unicode.Scalar(second) { result.append(mark) }
}

/// Sorts every run of combining marks by combining class (canonical ordering).
private func sortMarks(of text: inout [Unicode.Scalar]) {
    var start = 0
    while start < text.count {
        guard combiningClass(text[start]) > 0 else {
            start += 1
            continue
        }
        let end = text[start...].firstIndex { combiningClass($0) == 0 } ?? text.count
        if end - start > 1 {
            let run = text[start..<end].enumerated().sorted {
                (combiningClass($0.element), $0.offset) < (combiningClass($1.element), $1.offset)
            }
            text.replaceSubrange(start..<end, with: run.map(\.element))
        }
        start = end
    }
}

private func combiningClass(_ scalar: Unicode.Scalar) -> UInt8 {
    scalar.value < 0x300 ? 0 : scalar.properties.canonicalCombiningClass.rawValue
}

/// Composes each scalar with the last starter before it, if a composition exists and no scalar
/// between them blocks it.
///
/// A mark of the same or a higher combining class blocks, and so does a starter.
private func joined(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    var starter: Int?
    var lastClass: UInt8 = 0
    for scalar in text {
        let itsClass = combiningClass(scalar)
        if let at = starter, at == result.count - 1 || (lastClass > 0 && lastClass < itsClass),
            let both = composition(result[at], scalar)
        {
            result[at] = both
            continue
        }
        if itsClass == 0 { starter = result.count }
        lastClass = itsClass
        result.append(scalar)
    }
    return result
}

private func composition(_ first: Unicode.Scalar, _ second: Unicode.Scalar) -> Unicode.Scalar? {
    let initial = first.value &- Hangul.firstInitial
    let vowel = second.value &- Hangul.firstVowel
    if initial < Hangul.initialCount && vowel < Hangul.vowelCount {
        let syllable = (initial * Hangul.vowelCount + vowel) * Hangul.finalCount
        return Hangul.scalar(Hangul.firstSyllable, syllable)
    }
    let final = second.value &- Hangul.beforeFinals
    if let syllable = Hangul.index(of: first), syllable % Hangul.finalCount == 0, final > 0,
        final < Hangul.finalCount
    {
        return Hangul.scalar(first.value, final)
    }
    let both = clip_composition_of(first.value, second.value)
    return both == 0 ? nil : Unicode.Scalar(both)
}

/// The arithmetic of Hangul syllables, which consist of an initial, a vowel and an optional final.
private enum Hangul {
    static let firstSyllable: UInt32 = 0xAC00
    static let (firstInitial, firstVowel, beforeFinals): (UInt32, UInt32, UInt32) =
        (0x1100, 0x1161, 0x11A7)
    static let (initialCount, vowelCount, finalCount): (UInt32, UInt32, UInt32) = (19, 21, 28)

    /// Returns the index of a Hangul syllable among all of them; nil for other scalars.
    static func index(of scalar: Unicode.Scalar) -> UInt32? {
        let index = scalar.value &- firstSyllable
        return index < initialCount * vowelCount * finalCount ? index : nil
    }

    static func scalar(_ first: UInt32, _ offset: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(first + offset) ?? "\u{FFFD}"
    }
}
