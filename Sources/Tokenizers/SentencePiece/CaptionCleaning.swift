/// Cleans a text as open_clip's `clean="canonicalize"` does: it repairs the text, unescapes HTML
/// entities, replaces `_` by a space, deletes ASCII punctuation, converts to lower case and reduces
/// whitespace to single spaces.
///
/// Source: `canonicalize_text(basic_clean(text))` in `tokenizer.py` of open_clip.
func canonicalized(_ text: String) -> [Unicode.Scalar] {
    let scalars = unescapedRepair(of: text).map { $0 == "_" ? " " : $0 }
    return lowercased(scalars.filter { !$0.isASCIIPunctuation }).joinedBySpaces
}

/// Cleans a text as open_clip's `clean="whitespace"` does: it repairs the text, unescapes HTML
/// entities and reduces whitespace to single spaces.
///
/// Source: `whitespace_clean(basic_clean(text))` in `tokenizer.py` of open_clip.
func withCleanWhitespace(_ text: String) -> [Unicode.Scalar] {
    unescapedRepair(of: text).joinedBySpaces
}

private func unescapedRepair(of text: String) -> [Unicode.Scalar] {
    htmlUnescaped(htmlUnescaped(repaired(Array(text.unicodeScalars))))
}

/// Cleans a part of a text as transformers' `SiglipTokenizer` does: it converts to lower case,
/// deletes ASCII punctuation and reduces whitespace to single spaces.
///
/// Source: `canonicalize_text` in `tokenization_siglip.py` of huggingface/transformers.
func withoutPunctuation(_ text: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
    lowercased(Array(text)).filter { !$0.isASCIIPunctuation }.joinedBySpaces
}

extension Unicode.Scalar {
    /// True for the characters of Python's `string.punctuation`.
    fileprivate var isASCIIPunctuation: Bool {
        switch self {
        case "!"..."/", ":"..."@", "["..."`", "{"..."~": true
        default: false
        }
    }

    /// True for the characters at which Python's `str.split` splits.
    var isPythonSpace: Bool { isSpace || ("\u{1C}"..."\u{1F}").contains(self) }
}

extension [Unicode.Scalar] {
    /// The text with single spaces for whitespace, and none at both ends.
    fileprivate var joinedBySpaces: [Unicode.Scalar] {
        Array(split(whereSeparator: \.isPythonSpace).joined(separator: CollectionOfOne(" ")))
    }
}
