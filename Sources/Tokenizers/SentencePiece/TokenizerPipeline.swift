/// The steps of Hugging Face's `tokenizers` before the model: added tokens, normaliser and
/// pre-tokeniser.
///
/// Source: the crate huggingface/tokenizers 0.23.
struct TokenizerPipeline: Equatable, Sendable {
    /// A string that becomes an id wherever it occurs in a text.
    struct AddedToken: Equatable, Sendable {
        var text: [UInt8]
        var id: Int
        var stripsLeft = false
        var stripsRight = false
        /// True if it is looked for after normalising, in its normalised form.
        var isNormalized = false
        var isSpecial = true
    }

    /// A step of the normaliser.
    enum Normalization: Equatable, Sendable {
        /// The map of characters of the file, applied to grapheme clusters as Hugging Face does.
        case precompiled
        case lowercase
        case replace([UInt8], with: [UInt8])
        /// Replaces runs of at least two spaces.
        case replaceSpaces(with: [UInt8])
        case strip(left: Bool, right: Bool)
        case prepend([UInt8])
        case composed
    }

    /// A step of the pre-tokeniser.
    enum PreTokenization: Equatable, Sendable {
        enum Prefix: String, Sendable { case first, always, never }

        case whitespace
        /// Replaces spaces, adds the replacement in front, and splits before each replacement.
        case metaspace(replacement: [UInt8], prefix: Prefix, splits: Bool)
        /// Splits after each occurrence of a string.
        case splitAfter([UInt8])
    }

    /// A part of a text: an id, or UTF-8 for the model.
    enum Part: Equatable {
        case id(Int)
        case text([UInt8], isFirst: Bool)
    }

    var addedTokens: [AddedToken] = []
    var normalization: [Normalization] = []
    var preTokenization: [PreTokenization] = []
    private var raw = ByteTrie()
    private var normalized = ByteTrie()

    /// Prepares the search of added tokens; called once, when all is set.
    mutating func index(normalizing map: CharacterMap?) {
        (raw, normalized) = (ByteTrie(), ByteTrie())
        for (number, token) in addedTokens.enumerated() {
            if token.isNormalized {
                normalized.insert(applyingNormalization(to: token.text, map).text, number)
            } else {
                raw.insert(token.text, number)
            }
        }
    }

    /// Splits a text into ids and words for the model.
    func parts(of text: [UInt8], _ map: CharacterMap?) -> [Part] {
        var parts: [Part] = []
        for part in split(text, isFirst: true, raw) {
            guard case .text(let text, let isFirst) = part else {
                parts.append(part)
                continue
            }
            let (result, isStripped) = applyingNormalization(to: text, map)
            for part in split(result, isFirst: isFirst && !isStripped, normalized) {
                guard case .text(let text, let isFirst) = part else {
                    parts.append(part)
                    continue
                }
                parts += words(of: text, isFirst: isFirst)
            }
        }
        return parts
    }

    /// Cuts the added tokens out of a text, the leftmost first, the longest among these.
    private func split(_ text: [UInt8], isFirst: Bool, _ tokens: ByteTrie) -> [Part] {
        guard !tokens.isEmpty else {
            return text.isEmpty ? [] : [.text(text, isFirst: isFirst)]
        }
        var parts: [Part] = []
        var (start, position) = (0, 0)
        func append(upTo end: Int) {
            guard start < end else { return }
            parts.append(.text(Array(text[start..<end]), isFirst: isFirst && start == 0))
        }
        while position < text.count {
            guard let match = tokens.longestMatch(in: text, at: position) else {
                position += 1
                continue
            }
            let token = addedTokens[match.value]
            var (from, to) = (position, match.end)
            if token.stripsLeft { from = max(start, text.startOfWhitespace(before: from)) }
            if token.stripsRight { to = text.endOfWhitespace(from: to) }
            append(upTo: from)
            parts.append(.id(token.id))
            (start, position) = (to, max(to, match.end))
        }
        append(upTo: text.count)
        return parts
    }
}

// MARK: - Normalising

extension TokenizerPipeline {
    /// Returns a text after all steps of the normaliser, and whether its beginning was stripped.
    private func applyingNormalization(
        to text: [UInt8], _ map: CharacterMap?
    ) -> (text: [UInt8], isStripped: Bool) {
        var text = text
        var isStripped = false
        for step in normalization {
            switch step {
            case .precompiled: if let map { text = Self.mapped(text, map) }
            case .lowercase: text = Self.changed(text) { lowercased($0, knowsFinalSigma: false) }
            case .composed: text = Self.changed(text) { Tokenizers.composed($0) }
            case .replace(let old, let new): text = text.replacing(old, with: new)
            case .replaceSpaces(let new): text = Self.replacingSpaces(of: text, with: new)
            case .prepend(let prefix): if !text.isEmpty { text = prefix + text }
            case .strip(let left, let right):
                if right {
                    text.removeLast(text.count - text.startOfWhitespace(before: text.count))
                }
                if left {
                    let end = text.endOfWhitespace(from: 0)
                    isStripped = isStripped || end > 0
                    text.removeFirst(end)
                }
            }
        }
        return (text, isStripped)
    }

    private static func changed(
        _ text: [UInt8], _ change: ([Unicode.Scalar]) -> [Unicode.Scalar]
    ) -> [UInt8] {
        change(Array(String(decoding: text, as: UTF8.self).unicodeScalars)).utf8
    }

    private static func replacingSpaces(of text: [UInt8], with new: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        var position = 0
        while position < text.count {
            var end = position
            while end < text.count, text[end] == UInt8(ascii: " ") { end += 1 }
            if end - position > 1 {
                result += new
                position = end
            } else {
                result.append(text[position])
                position += 1
            }
        }
        return result
    }

    /// Applies the map of characters as Hugging Face does: to a grapheme cluster of less than six
    /// bytes as a whole if a sequence of the map begins it, otherwise to each of its scalars.
    private static func mapped(_ text: [UInt8], _ map: CharacterMap) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        var start = 0
        for character in String(decoding: text, as: UTF8.self) {
            let end = start + character.utf8.count
            if end - start < 6, let found = map.shortestMatch(in: text, start..<end) {
                result += map.bytes(found)
            } else if character.unicodeScalars.count == 1, end - start < 6 {
                result += text[start..<end]
            } else {
                var position = start
                while position < end {
                    let next = min(end, position + text.lengthOfScalar(at: position))
                    if let found = map.shortestMatch(in: text, position..<next) {
                        result += map.bytes(found)
                    } else {
                        result += text[position..<next]
                    }
                    position = next
                }
            }
            start = end
        }
        return result
    }
}

// MARK: - Words

extension TokenizerPipeline {
    private func words(of text: [UInt8], isFirst: Bool) -> [Part] {
        var words = text.isEmpty ? [] : [(text: text, isFirst: isFirst)]
        for step in preTokenization {
            words = words.flatMap { word -> [(text: [UInt8], isFirst: Bool)] in
                switch step {
                case .whitespace: word.text.splitAtWhitespace().map { ($0, false) }
                case .splitAfter(let string):
                    word.text.split(at: string, afterIt: true).map { ($0, false) }
                case .metaspace(let replacement, let prefix, let splits):
                    Self.metaspaced(word, replacement, prefix, splits).map { ($0, false) }
                }
            }
        }
        return words.map { .text($0.text, isFirst: $0.isFirst) }
    }

    private static func metaspaced(
        _ word: (text: [UInt8], isFirst: Bool), _ replacement: [UInt8],
        _ prefix: PreTokenization.Prefix, _ splits: Bool
    ) -> [[UInt8]] {
        var text = word.text.replacing([UInt8(ascii: " ")], with: replacement)
        if prefix == .always || (prefix == .first && word.isFirst),
            !text.starts(with: replacement)
        {
            text = replacement + text
        }
        return splits ? text.split(at: replacement, afterIt: false) : [text]
    }
}
