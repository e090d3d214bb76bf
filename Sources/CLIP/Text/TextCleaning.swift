/// A text as the byte pairs see it: repaired, unescaped, with single spaces, in lower case.
///
/// The reference's `whitespace_clean(basic_clean(text)).lower()`.
func cleaned(_ text: String) -> [Unicode.Scalar] {
    var scalars = repaired(Array(text.unicodeScalars))
    scalars = htmlUnescaped(htmlUnescaped(scalars))
    return lowercased(withSingleSpaces(scalars))
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
private func lowercased(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    for (i, scalar) in text.enumerated() {
        if scalar.isASCII {
            result.append(
                ("A"..."Z").contains(scalar) ? Unicode.Scalar(UInt8(scalar.value) + 32) : scalar)
        } else if scalar == "Σ" {
            result.append(isFinalSigma(at: i, in: text) ? "ς" : "σ")
        } else {
            result += scalar.properties.lowercaseMapping.unicodeScalars
        }
    }
    return result
}

/// Unicode's Final_Sigma: a cased letter before and none after, whatever ignorable lies between.
private func isFinalSigma(at index: Int, in text: [Unicode.Scalar]) -> Bool {
    let before = text[..<index].last { !$0.properties.isCaseIgnorable }
    let after = text[(index + 1)...].first { !$0.properties.isCaseIgnorable }
    return before?.properties.isCased == true && after?.properties.isCased != true
}

extension Unicode.Scalar {
    /// Unicode's White_Space, which is what `\s` matches.
    var isSpace: Bool {
        isASCII ? self == " " || ("\t"..."\r").contains(self) : properties.isWhitespace
    }
}
