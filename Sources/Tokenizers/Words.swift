/// A part of a text that is tokenized separately: a special token or a range of scalars.
enum Word {
    case start, end
    case text(Range<Int>)
}

/// A cleaned text and its words.
struct Words {
    let text: [Unicode.Scalar]
    var words: [Word] = []
}

/// Cleans a text and splits it into words.
///
/// With Hugging Face's rules, the parts between special tokens are cleaned separately.
func words(of text: String, _ rules: BPETokenizer.Rules) -> [Words] {
    switch rules {
    case .openAI: return [WordPattern.openAI.words(of: cleaned(text))]
    case .openCLIP: return [WordPattern.openCLIP.words(of: cleaned(text))]
    case .huggingFace:
        // The end token is recognised as it is written, the start token in lower case too.
        let pattern = WordPattern.huggingFace
        let parts = split(Array(text.unicodeScalars), by: pattern.end).map { part -> [Words] in
            // The tokenizers library normalises by Unicode 9.
            let normalized = composed(part, asOfUnicode: 9)
            let parts = split(lowercased(normalized, knowsFinalSigma: false), by: pattern.start)
            return Array(
                parts.map { [pattern.words(of: $0)] }
                    .joined(separator: [Words(text: [], words: [.start])]))
        }
        return Array(parts.joined(separator: [Words(text: [], words: [.end])]))
    }
}

/// The pattern that splits a text into words.
///
/// The first alternative that matches wins:
///
///     start|end|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
struct WordPattern {
    let start, end: [Unicode.Scalar]
    /// True if the text of `end` is a special token; false if it is split into ordinary words.
    let hasSpecials: Bool
    /// True if the pattern ignores case.
    ///
    /// The text is in lower case, but this still matters for two scalars: the long s (U+017F) then
    /// matches s, and the combining iota (U+0345) matches no alternative.
    let ignoresCase: Bool
    /// The alternatives that are literal texts: contractions and special tokens.
    ///
    /// The text of a special token that is spelled with a long s is a single ordinary word.
    private let spelled: [[Unicode.Scalar]]

    static let openAI = WordPattern("<|startoftext|>", "<|endoftext|>")
    static let openCLIP = WordPattern("<start_of_text>", "<end_of_text>")
    static let huggingFace = WordPattern(
        "<|startoftext|>", "<|endoftext|>", hasSpecials: false, ignoresCase: false)

    private init(
        _ start: String, _ end: String, hasSpecials: Bool = true, ignoresCase: Bool = true
    ) {
        self.start = Array(start.unicodeScalars)
        self.end = Array(end.unicodeScalars)
        self.hasSpecials = hasSpecials
        self.ignoresCase = ignoresCase
        let contractions = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
        spelled = contractions.map { Array($0.unicodeScalars) } + [self.start, self.end]
    }

    func words(of text: [Unicode.Scalar]) -> Words {
        var result = Words(text: text)
        result.words.reserveCapacity(text.count / 4 + 1)
        var position = 0
        while position < text.count {
            let kind = kind(of: text[position])
            if kind == .none {
                position += 1
                continue
            }
            var end = position + 1
            if let length = lengthOfSpelled(text, at: position) {
                end = position + length
            } else if kind != .number {
                while end < text.count && self.kind(of: text[end]) == kind { end += 1 }
            }
            let word = position..<end
            if text[position] == "<", text[word].elementsEqual(self.start) {
                result.words.append(.start)
            } else if text[position] == "<", text[word].elementsEqual(self.end) {
                if hasSpecials {
                    result.words.append(.end)
                } else {
                    // GPT-2's pattern splits it further.
                    result.words += [word.prefix(2), word.dropFirst(2).dropLast(2), word.suffix(2)]
                        .map { .text($0) }
                }
            } else {
                result.words.append(.text(word))
            }
            position = end
        }
        return result
    }

    private func lengthOfSpelled(_ text: [Unicode.Scalar], at position: Int) -> Int? {
        guard text[position] == "'" || text[position] == "<" else { return nil }
        let beginning = text[position...].prefix(15).map {
            ignoresCase && $0 == "\u{17F}" ? "s" : $0
        }
        return spelled.first { beginning.starts(with: $0) }?.count
    }

    /// The classes of characters that the pattern distinguishes.
    private enum Kind {
        case none, letter, number, other
    }

    private func kind(of scalar: Unicode.Scalar) -> Kind {
        switch scalar {
        case "a"..."z", "A"..."Z": .letter
        case "0"..."9": .number
        case "\u{345}": ignoresCase ? .none : .other
        case _ where scalar.isSpace: .none
        case _ where scalar.isASCII: .other
        default:
            switch scalar.isLetterOrNumber {
            case (true, _): .letter
            case (_, true): .number
            default: .other
            }
        }
    }
}

/// Returns the parts of a text between the occurrences of a separator.
private func split(
    _ text: [Unicode.Scalar], by separator: [Unicode.Scalar]
) -> [[Unicode.Scalar]] {
    var parts: [[Unicode.Scalar]] = []
    var (start, position) = (0, 0)
    while position < text.count {
        if text[position] == separator[0], text[position...].starts(with: separator) {
            parts.append(Array(text[start..<position]))
            position += separator.count
            start = position
        } else {
            position += 1
        }
    }
    return parts + [Array(text[start...])]
}
