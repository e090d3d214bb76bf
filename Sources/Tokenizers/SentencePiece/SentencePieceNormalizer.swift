/// SentencePiece's normaliser: the map of characters, spaces, and the dummy prefix.
///
/// Source: `Normalizer::Normalize` in `normalizer.cc` of google/sentencepiece.
struct SentencePieceNormalizer {
    let rules: TokenizerSettings.Normalizer
    let vocabulary: CompactVocabulary

    /// Returns the normalised form of a text in UTF-8.
    func callAsFunction(_ text: [UInt8]) -> [UInt8] {
        let space = rules.escapesWhitespace ? [UInt8].metaspace : [UInt8(ascii: " ")]
        if text.isEmpty { return [] }
        var position = 0
        if rules.removesExtraWhitespace {
            while position < text.count {
                let next = prefix(of: text, at: position)
                guard next.text == [UInt8(ascii: " ")] else { break }
                position = next.end
            }
        }
        if position == text.count { return [] }

        var result: [UInt8] = []
        result.reserveCapacity(text.count * 2)
        if !rules.putsWhitespaceLast, rules.addsDummyPrefix { result += space }
        var isAfterSpace = rules.removesExtraWhitespace
        while position < text.count {
            let next = prefix(of: text, at: position)
            var rest = next.text
            if isAfterSpace { rest = rest.drop { $0 == UInt8(ascii: " ") } }
            if !rest.isEmpty {
                for byte in rest {
                    if byte == UInt8(ascii: " ") { result += space } else { result.append(byte) }
                }
                isAfterSpace = rest.last == UInt8(ascii: " ")
            }
            position = next.end
            if !rules.removesExtraWhitespace { isAfterSpace = false }
        }
        if rules.removesExtraWhitespace {
            while result.suffix(space.count) == space[...] { result.removeLast(space.count) }
        }
        if rules.putsWhitespaceLast, rules.addsDummyPrefix { result += space }
        return result
    }

    /// Returns the normalised form of the next characters, and the end of these.
    ///
    /// User-defined pieces are left as they are.
    private func prefix(
        of text: [UInt8], at position: Int
    ) -> (text: ArraySlice<UInt8>, end: Int) {
        if vocabulary.settings.hasUserDefined,
            let end = vocabulary.endOfUserDefined(in: text, at: position)
        {
            return (text[position..<end], end)
        }
        if let map = vocabulary.map, let match = map.longestMatch(in: text, at: position) {
            return (map.bytes(match.text)[...], position + match.length)
        }
        let end = min(text.count, position + text.lengthOfScalar(at: position))
        return (text[position..<end], end)
    }
}

extension CompactVocabulary {
    /// Returns the end of the longest user-defined piece at a position; nil if there is none.
    func endOfUserDefined(in text: [UInt8], at position: Int) -> Int? {
        var node = Self.root
        var end: Int?
        for index in position..<text.count {
            guard let next = step(node, text[index]) else { break }
            node = next.node
            if let id = next.id, kind(id) == .userDefined { end = index + 1 }
        }
        return end
    }
}
