/// Repairs a text as `ftfy.fix_text` does with its defaults.
///
/// Each line is repaired until nothing changes or its `RepairEffort` is spent: HTML entities,
/// mojibake, ligatures, full-width and half-width forms, curly quotes, line breaks, terminal
/// escapes, control characters, and NFC.
///
/// Source: the behaviour of ftfy 6.3.
func repaired(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    var result: [Unicode.Scalar] = []
    var unescapes = true
    var effort = RepairEffort()
    var start = 0
    while start < text.count {
        // A line ends after its line break or after a million characters.
        let end =
            text[start...].prefix(1_000_000).firstIndex(of: "\n").map { $0 + 1 }
            ?? min(start + 1_000_000, text.count)
        var line = Array(text[start..<end])
        // A line with a tag, and all after it, is taken for HTML, whose entities are intended.
        if line.contains("<") { unescapes = false }
        effort.begin(line: line.count)
        for _ in 0..<roundsOfRepair(line.count) {
            guard effort.spend(line.count) else { break }
            let next = repairedOnce(line, unescapes: unescapes, &effort)
            if next == line { break }
            line = next
        }
        result += line
        start = end
    }
    return result
}

private func repairedOnce(
    _ line: [Unicode.Scalar], unescapes: Bool, _ effort: inout RepairEffort
) -> [Unicode.Scalar] {
    var line = unescapes ? withEntitiesReplaced(line) : line
    line = withPlainCharacters(withoutC1Controls(decodedAnew(line, &effort)))
    return composed(withoutControls(withoutEscapes(withPlainBreaks(line))))
}

// MARK: - Entities

/// Replaces HTML entities that end with a semicolon, also those with names in capitals.
private func withEntitiesReplaced(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard text.contains("&") else { return text }
    var result: [Unicode.Scalar] = []
    var position = 0
    // The position of a semicolon that is to be read as an ampersand.
    var ampersand: Int?
    while position < text.count {
        let scalar = position == ampersand ? "&" : text[position]
        if scalar == "&", let length = entityLength(in: text[(position + 1)...]) {
            let name = text[(position + 1)..<(position + 1 + length)]
            let replacement = replacement(ofEntity: name) ?? ["&"] + name
            position = name.endIndex
            if replacement == ["&"] {
                // This ampersand may begin another entity. If that were left to the next round, a
                // long chain of such entities would take as many rounds.
                position -= 1
                ampersand = position
            } else {
                result += replacement
            }
        } else {
            result.append(scalar)
            position += 1
        }
    }
    return result
}

/// Returns the length of a match of `#?[0-9A-Za-z]{1,24};` at the start of a text, or nil.
private func entityLength(in text: ArraySlice<Unicode.Scalar>) -> Int? {
    let sign = text.first == "#" ? 1 : 0
    let body = text.dropFirst(sign).prefix {
        ("0"..."9").contains($0) || ("a"..."z").contains($0) || ("A"..."Z").contains($0)
    }
    guard (1...24).contains(body.count), body.endIndex < text.endIndex, text[body.endIndex] == ";"
    else { return nil }
    return sign + body.count + 1
}

/// Returns the replacement of an entity, given the text after its ampersand; nil if unknown.
private func replacement(ofEntity name: ArraySlice<Unicode.Scalar>) -> [Unicode.Scalar]? {
    if name.first == "#" {
        let unescaped = htmlUnescaped(["&"] + name)
        return unescaped.contains(";") ? nil : unescaped
    }
    let exact = Vocabulary.htmlEntity(named: name)
    if !exact.isEmpty { return exact }

    // &EACUTE; is É, unless a prefix of it is an entity itself, as &AMP in &AMPERE;.
    let hasLowercase = name.contains { ("a"..."z").contains($0) }
    let hasNamedPrefix = (2..<max(2, name.count)).contains {
        !Vocabulary.htmlEntity(named: name.prefix($0)).isEmpty
    }
    guard !hasLowercase, !hasNamedPrefix else { return nil }
    let lowercased = name.map {
        ("A"..."Z").contains($0) ? Unicode.Scalar(UInt8($0.value) + 32) : $0
    }
    let value = Vocabulary.htmlEntity(named: lowercased)
    return value.isEmpty ? nil : value.flatMap { $0.properties.uppercaseMapping.unicodeScalars }
}

// MARK: - Characters

/// Replaces ligatures by letters, full-width and half-width forms by ordinary characters, and curly
/// quotes by straight ones.
///
/// The low single quote, U+201A, stays.
private func withPlainCharacters(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard text.contains(where: { $0.value >= 0x132 }) else { return text }
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    for scalar in text {
        switch scalar.value {
        case 0..<0x132: result.append(scalar)
        case 0x201C...0x201F: result.append("\"")
        case 0x2BC, 0x2018...0x201B: result.append("'")
        case 0x3000, 0xFF01...0xFFEE:
            result += width(of: scalar.value).compactMap { Unicode.Scalar($0) }
        case 0x132...0x1F3, 0xFB00...0xFB06:
            // Only ŉ contains a quote, which becomes straight.
            result +=
                ligatures[scalar]?.unicodeScalars.map { $0 == "\u{2BC}" ? "'" : $0 } ?? [scalar]
        default: result.append(scalar)
        }
    }
    return result
}

private let ligatures: [Unicode.Scalar: String] = [
    "\u{132}": "IJ", "\u{133}": "ij", "\u{149}": "\u{2BC}n", "\u{1C4}": "D\u{17D}",
    "\u{1C5}": "D\u{17E}", "\u{1C6}": "d\u{17E}", "\u{1C7}": "LJ", "\u{1C8}": "Lj",
    "\u{1C9}": "lj", "\u{1CA}": "NJ", "\u{1CB}": "Nj", "\u{1CC}": "nj", "\u{1F1}": "DZ",
    "\u{1F2}": "Dz", "\u{1F3}": "dz", "\u{FB00}": "ff", "\u{FB01}": "fi", "\u{FB02}": "fl",
    "\u{FB03}": "ffi", "\u{FB04}": "ffl", "\u{FB05}": "\u{17F}t", "\u{FB06}": "st",
]

private func width(of value: UInt32) -> [UInt32] {
    switch value {
    case 0x3000: [0x20]
    case 0xFF01...0xFF5E: [value - 0xFEE0]  // ASCII
    case 0xFF5F, 0xFF60: [value - 0xFF5F + 0x2985]
    case 0xFF61...0xFF9F: [halfWidthKatakana[Int(value - 0xFF61)]]
    case 0xFFA0: [0x1160]
    case 0xFFA1...0xFFBE: [halfWidthConsonants[Int(value - 0xFFA1)]]
    case 0xFFC2...0xFFC7: [value - 0xFFC2 + 0x1161]  // vowels, six by six
    case 0xFFCA...0xFFCF: [value - 0xFFCA + 0x1167]
    case 0xFFD2...0xFFD7: [value - 0xFFD2 + 0x116D]
    case 0xFFDA...0xFFDC: [value - 0xFFDA + 0x1173]
    case 0xFFE0: [0xA2]
    case 0xFFE1: [0xA3]
    case 0xFFE2: [0xAC]
    case 0xFFE3: [0x20, 0x304]
    case 0xFFE4: [0xA6]
    case 0xFFE5: [0xA5]
    case 0xFFE6: [0x20A9]
    case 0xFFE8: [0x2502]
    case 0xFFE9...0xFFEC: [value - 0xFFE9 + 0x2190]  // arrows
    case 0xFFED: [0x25A0]
    case 0xFFEE: [0x25CB]
    default: [value]
    }
}

private let halfWidthKatakana: [UInt32] = [
    0x3002, 0x300C, 0x300D, 0x3001, 0x30FB, 0x30F2, 0x30A1, 0x30A3, 0x30A5, 0x30A7, 0x30A9, 0x30E3,
    0x30E5, 0x30E7, 0x30C3, 0x30FC, 0x30A2, 0x30A4, 0x30A6, 0x30A8, 0x30AA, 0x30AB, 0x30AD, 0x30AF,
    0x30B1, 0x30B3, 0x30B5, 0x30B7, 0x30B9, 0x30BB, 0x30BD, 0x30BF, 0x30C1, 0x30C4, 0x30C6, 0x30C8,
    0x30CA, 0x30CB, 0x30CC, 0x30CD, 0x30CE, 0x30CF, 0x30D2, 0x30D5, 0x30D8, 0x30DB, 0x30DE, 0x30DF,
    0x30E0, 0x30E1, 0x30E2, 0x30E4, 0x30E6, 0x30E8, 0x30E9, 0x30EA, 0x30EB, 0x30EC, 0x30ED, 0x30EF,
    0x30F3, 0x3099, 0x309A,
]

private let halfWidthConsonants: [UInt32] = [
    0x1100, 0x1101, 0x11AA, 0x1102, 0x11AC, 0x11AD, 0x1103, 0x1104, 0x1105, 0x11B0, 0x11B1, 0x11B2,
    0x11B3, 0x11B4, 0x11B5, 0x111A, 0x1106, 0x1107, 0x1108, 0x1121, 0x1109, 0x110A, 0x110B, 0x110C,
    0x110D, 0x110E, 0x110F, 0x1110, 0x1111, 0x1112,
]

/// Replaces CR, CR LF, U+0085, U+2028 and U+2029 by line feeds.
private func withPlainBreaks(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    let isBroken = text.contains {
        $0 == "\r" || $0 == "\u{85}" || $0 == "\u{2028}" || $0 == "\u{2029}"
    }
    guard isBroken else { return text }
    var result: [Unicode.Scalar] = []
    result.reserveCapacity(text.count)
    for (i, scalar) in text.enumerated() {
        switch scalar {
        case "\r":
            if i + 1 == text.count || text[i + 1] != "\n" { result.append("\n") }
        case "\u{2028}", "\u{2029}", "\u{85}": result.append("\n")
        default: result.append(scalar)
        }
    }
    return result
}

/// Removes terminal escapes (colours, cursor movements): `ESC [`, digits and semicolons, a letter.
private func withoutEscapes(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    guard text.contains("\u{1B}") else { return text }
    var result: [Unicode.Scalar] = []
    var position = 0
    while position < text.count {
        if text[position] == "\u{1B}", position + 1 < text.count, text[position + 1] == "[" {
            let parameters = text[(position + 2)...].prefix {
                $0 == ";" || $0.properties.generalCategory == .decimalNumber
            }
            if parameters.endIndex < text.count {
                let last = text[parameters.endIndex]
                if ("a"..."z").contains(last) || ("A"..."Z").contains(last) {
                    position = parameters.endIndex + 1
                    continue
                }
            }
        }
        result.append(text[position])
        position += 1
    }
    return result
}

/// Removes control characters (except tab, line feed, form feed and carriage return), byte order
/// marks and deprecated formatting characters.
private func withoutControls(_ text: [Unicode.Scalar]) -> [Unicode.Scalar] {
    func isControl(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0...0x8, 0xB, 0xE...0x1F, 0x7F, 0x206A...0x206F, 0xFEFF, 0xFFF9...0xFFFC: true
        default: false
        }
    }
    return text.contains(where: isControl) ? text.filter { !isControl($0) } : text
}
