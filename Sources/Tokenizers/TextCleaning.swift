/// Repairs a text, unescapes HTML entities, reduces whitespace to single spaces and converts the
/// text to lower case.
///
/// Source: `whitespace_clean(basic_clean(text)).lower()` in `simple_tokenizer.py` of openai/CLIP.
func cleaned(_ text: String) -> [Unicode.Scalar] {
    if let plain = cleanedASCII(text) { return plain }
    var scalars = repaired(Array(text.unicodeScalars))
    scalars = htmlUnescaped(htmlUnescaped(scalars))
    return lowercased(withSingleSpaces(scalars))
}

/// Cleans a text of printable ASCII without `&`, which is faster; returns nil for any other text.
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

/// Replaces every run of whitespace by one space, and removes it at both ends.
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
    // Python's `strip` removes four separators that `\s` of its `regex` module does not match.
    func isStripped(_ scalar: Unicode.Scalar) -> Bool {
        scalar == " " || ("\u{1C}"..."\u{1F}").contains(scalar)
    }
    let start = result.prefix(while: isStripped).count
    let end = result.lastIndex { !isStripped($0) }.map { $0 + 1 } ?? start
    return Array(result[start..<end])
}

/// Converts a text to lower case with Unicode's full mapping, as Python's `str.lower` does.
///
/// Σ at the end of a word becomes ς if `knowsFinalSigma` is true. Hugging Face's tokenizer lacks
/// this rule.
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

/// Returns true if Unicode's condition Final_Sigma holds: a cased letter precedes, and none
/// follows, case-ignorable scalars aside.
private func isFinalSigma(at index: Int, in text: [Unicode.Scalar]) -> Bool {
    let before = text[..<index].last { !$0.properties.isCaseIgnorable }
    let after = text[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return before.map(isCased) == true && after.map(isCased) != true
}

/// Returns true if a scalar has Unicode's property Cased, as in Python up to 3.14.
///
/// Python 3.14 follows Unicode 16, which counts U+0295 as a lower-case letter. Unicode 17 does not.
private func isCased(_ scalar: Unicode.Scalar) -> Bool {
    scalar.properties.isCased || scalar == "\u{295}"
}

extension Unicode.Scalar {
    /// True if the scalar has Unicode's property White_Space, which `\s` matches.
    var isSpace: Bool {
        value < 0x1680
            ? self == " " || ("\t"..."\r").contains(self) || self == "\u{85}" || self == "\u{A0}"
            : properties.isWhitespace
    }

    /// The general category as two flags: L, which `\p{L}` matches, and N, which `\p{N}` matches.
    var isLetterOrNumber: (letter: Bool, number: Bool) {
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            (true, false)
        case .decimalNumber, .letterNumber, .otherNumber: (false, true)
        default: (false, false)
        }
    }
}
