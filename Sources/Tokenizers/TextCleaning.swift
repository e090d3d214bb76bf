/// A text as the byte pairs see it: repaired, unescaped, with single spaces, in lower case.
///
/// The reference's `whitespace_clean(basic_clean(text)).lower()`.
func cleaned(_ text: String) -> [Unicode.Scalar] {
    if let plain = cleanedASCII(text) { return plain }
    var scalars = repaired(Array(text.unicodeScalars))
    scalars = htmlUnescaped(htmlUnescaped(scalars))
    return lowercased(withSingleSpaces(scalars))
}

/// The same for text of printing ASCII without `&`; nil for all other.
private func cleanedASCII(_ text: String) -> [Unicode.Scalar]? {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: " "): if let last = result.last, last != " " { result.append(" ") }
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): result.append(Unicode.Scalar(byte | 0x20))
        case UInt8(ascii: "&"): return nil
        case UInt8(ascii: "!")...UInt8(ascii: "~"): result.append(Unicode.Scalar(byte))
        default: return nil
        }
    }
    if result.last == " " { result.removeLast() }
    return result
}

/// One space for every run of whitespace, none at the ends.
private func withSingleSpaces(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    for scalar in text {
        if !scalar.isSpace {
            result.append(scalar)
        } else if result.last != " " {
            result.append(" ")
        }
    }
    // Python strips four separators that its patterns do not take for whitespace.
    func isStripped(_ scalar: Unicode.Scalar) -> Bool {
        scalar == " " || ("\u{1C}"..."\u{1F}").contains(scalar)
    }
    let start = result.prefix(while: isStripped).count
    let end = result.lastIndex { !isStripped($0) }.map { $0 + 1 } ?? start
    return Array(result[start..<end])
}

/// Python's `str.lower`: Unicode's full mapping, and ς for Σ at the end of a word.
///
/// - Parameter knowsFinalSigma: whether Σ depends on what is around it; not in Rust.
func lowercased(_ text: [Unicode.Scalar], knowsFinalSigma: Bool = true) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    for (i, scalar) in text.enumerated() {
        if scalar.isASCII {
            result.append(
                ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar)
        } else if scalar == "Σ" {
            result.append(knowsFinalSigma && isFinalSigma(at: i, in: text) ? "ς" : "σ")
        } else if scalar.properties.changesWhenLowercased {
            result += scalar.properties.lowercaseMapping.unicodeScalars
        } else {
            result.append(scalar)
        }
    }
    return result
}

/// Unicode's Final_Sigma: a cased letter before and none after, whatever ignorable lies between.
private func isFinalSigma(at index: Int, in text: [Unicode.Scalar]) -> Bool {
    let before = text[..<index].last { !$0.properties.isCaseIgnorable }
    let after = text[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return before.map(isCased) == true && after.map(isCased) != true
}

/// Unicode's Cased. Python up to 3.14 has Unicode 16 and takes U+0295 for a small letter, which it
/// has not been since 17.
private func isCased(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isCased || scalar == "\u{295}"
}

extension Unicode.Scalar {
    /// Unicode's White_Space, which is what `\s` matches.
    var isSpace: Bool {
        value < 0x1680
            ? self == " " || ("\t"..."\r").contains(self) || self == "\u{85}" || self == "\u{A0}"
            : properties.isWhitespace
    }

    /// Unicode's general category: L is what `\p{L}` matches, N what `\p{N}` does.
    var isLetterOrNumber: (letter: Bool, number: Bool) {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            (true, false)
        case .decimalNumber, .letterNumber, .otherNumber: (false, true)
        default: (false, false)
        }
    }
}
