/// OpenAI's tokenizer: cleaned, lower-cased text to ids of a byte-pair vocabulary of 49,408.
///
/// Text is handled as integers, Unicode's scalars and then bytes: Swift's characters would join what
/// the reference keeps apart.
///
/// Source: `simple_tokenizer.py` of openai/CLIP.
public struct BPETokenizer: Sendable {
    /// The number of ids.
    public static let vocabularySize = 49_408
    /// The id that starts every row, `<|startoftext|>`.
    public static let startToken = 49_406
    /// The id that ends every row, `<|endoftext|>`; the largest of all.
    public static let endToken = 49_407

    /// Makes a tokenizer; its vocabulary is compiled in.
    public init() {}

    /// The ids of a text, without start and end; empty for an empty text.
    public func encode(_ text: String) -> [Int] {
        var ids: [Int] = []
        for word in words(of: cleaned(text)) {
            switch word {
            case .start: ids.append(Self.startToken)
            case .end: ids.append(Self.endToken)
            case .text(let scalars): appendTokens(of: scalars, to: &ids)
            }
        }
        return ids
    }

    /// The row of ids that a text tower takes: start, text, end; not padded.
    ///
    /// - Parameters:
    ///   - text: any text, the empty one too.
    ///   - contextLength: how many ids the row may have; at least 2.
    ///   - truncating: whether a text that is too long is cut, its last id being replaced by the
    ///     end, as OpenAI's `tokenize(truncate=True)` does.
    /// - Throws: `CLIPError.textTooLong` if it is too long and not to be cut.
    public func tokenize(
        _ text: String, contextLength: Int = 77, truncating: Bool = false
    ) throws(CLIPError) -> [Int] {
        precondition(contextLength >= 2, "a context of \(contextLength)")
        var row = [Self.startToken] + encode(text) + [Self.endToken]
        if row.count > contextLength {
            guard truncating else {
                throw .textTooLong(text: text, tokens: row.count, limit: contextLength)
            }
            row.removeLast(row.count - contextLength)
            row[contextLength - 1] = Self.endToken
        }
        return row
    }

    /// The text that ids stand for, as the reference's `decode` gives it: a space after each word.
    ///
    /// Ids outside 0..<49,408 are left out; bytes that are not UTF-8 become U+FFFD.
    public func decode(_ ids: [Int]) -> String {
        var bytes: [UInt8] = []
        func append(_ id: Int) {
            switch id {
            case 0..<256: bytes.append(Self.byteOfSymbol[id])
            case 256..<512: bytes += [Self.byteOfSymbol[id - 256], UInt8(ascii: " ")]
            case 512..<Self.startToken:
                let (left, right) = Vocabulary.parts(of: id)
                append(left)
                append(right)
            case Self.startToken: bytes += Array("<|startoftext|>".utf8)
            case Self.endToken: bytes += Array("<|endoftext|>".utf8)
            default: break
            }
        }
        ids.forEach(append)
        return String(decoding: bytes, as: UTF8.self)
    }
}

// MARK: - Words

extension BPETokenizer {
    private enum Word {
        case start, end
        case text(ArraySlice<Unicode.Scalar>)
    }

    /// Splits text as the reference's pattern does, of which the first alternative that fits wins:
    ///
    ///     <\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
    private func words(of text: [Unicode.Scalar]) -> [Word] {
        var words: [Word] = []
        var position = 0
        while position < text.count {
            let rest = text[position...]
            let kind = Kind(text[position])
            if kind == .none {
                position += 1
                continue
            }
            if rest.starts(with: Self.startText) {
                words.append(.start)
                position += Self.startText.count
                continue
            }
            if rest.starts(with: Self.endText) {
                words.append(.end)
                position += Self.endText.count
                continue
            }
            let length =
                if kind == .number {
                    1
                } else {
                    wordOfPattern(in: rest) ?? rest.prefix { Kind($0) == kind }.count
                }
            words.append(.text(rest.prefix(length)))
            position += length
        }
        return words
    }

    private static let startText = Array("<|startoftext|>".unicodeScalars)
    private static let endText = Array("<|endoftext|>".unicodeScalars)
    /// What else the pattern spells out. It ignores case, so the long s is an s to it: a special
    /// text with one is a word, though not a special token.
    private static let patternWords =
        ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"]
        .map { Array($0.unicodeScalars) } + [startText, endText]

    /// The length of a contraction at the start of a text, or of a special text with a long s.
    private func wordOfPattern(in text: ArraySlice<Unicode.Scalar>) -> Int? {
        guard text.first == "'" || text.first == "<" else { return nil }
        let start = text.prefix(Self.startText.count).map { $0 == "\u{17F}" ? "s" : $0 }
        return Self.patternWords.first { start.starts(with: $0) }?.count
    }

    /// The classes of characters that the pattern tells apart.
    private enum Kind {
        case none, letter, number, other

        init(_ scalar: Unicode.Scalar) {
            switch scalar {
            case "a"..."z", "A"..."Z": self = .letter
            case "0"..."9": self = .number
            // The pattern ignores case, and the case of this mark is that of a letter (ι), which it
            // is not: no alternative takes it.
            case "\u{345}": self = .none
            case _ where scalar.isSpace: self = .none
            case _ where scalar.isASCII: self = .other
            default:
                switch scalar.properties.generalCategory {
                case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter,
                    .otherLetter:
                    self = .letter
                case .decimalNumber, .letterNumber, .otherNumber: self = .number
                default: self = .other
                }
            }
        }
    }
}

// MARK: - Byte pairs

extension BPETokenizer {
    /// The ids of one word: its bytes, the last one marked as an end, merged pair by pair, the pair
    /// of the lowest rank first, from left to right.
    private func appendTokens(of word: ArraySlice<Unicode.Scalar>, to ids: inout [Int]) {
        var symbols: [Int] = []
        for scalar in word {
            for byte in UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter {
                symbols.append(Self.symbolOfByte[Int(byte)])
            }
        }
        guard let last = symbols.indices.last else { return }
        symbols[last] += 256
        ids += mergedPairs(of: symbols)
    }

    private func mergedPairs(of symbols: [Int]) -> [Int] {
        guard symbols.count > 1 else { return symbols }
        // The symbols as a linked list, and the pairs that can merge in a heap: a word of a million
        // letters costs no more than its length times a logarithm.
        var symbols = symbols
        var next = Array(1...symbols.count)
        var previous = Array(-1..<(symbols.count - 1))
        var heap = PairHeap()
        func push(_ left: Int) {
            guard left >= 0, next[left] < symbols.count else { return }
            if let merged = Vocabulary.merge(symbols[left], symbols[next[left]]) {
                heap.push(rank: merged, position: left)
            }
        }
        for left in 0..<(symbols.count - 1) { push(left) }

        while let (merged, left) = heap.pop() {
            // A pair of which a part has been merged meanwhile is out of date.
            guard symbols[left] >= 0, next[left] < symbols.count,
                Vocabulary.merge(symbols[left], symbols[next[left]]) == merged
            else { continue }
            let right = next[left]
            symbols[left] = merged
            symbols[right] = -1
            next[left] = next[right]
            if next[right] < symbols.count { previous[next[right]] = left }
            push(previous[left])
            push(left)
        }
        return symbols.filter { $0 >= 0 }
    }

    /// GPT-2's order of bytes: those that print come first.
    private static let byteOfSymbol: [UInt8] = {
        let printing = Array<UInt8>(0x21...0x7E) + Array(0xA1...0xAC) + Array(0xAE...0xFF)
        return printing + (0...255).filter { !printing.contains($0) }
    }()

    private static let symbolOfByte: [Int] = {
        var symbols = [Int](repeating: 0, count: 256)
        for (symbol, byte) in byteOfSymbol.enumerated() { symbols[Int(byte)] = symbol }
        return symbols
    }()
}

/// Pairs that may merge, the lowest rank first, of equal ranks the leftmost.
private struct PairHeap {
    /// Rank and position in one number, which orders as the two do.
    private var keys: [UInt64] = []

    mutating func push(rank: Int, position: Int) {
        keys.append(UInt64(rank) << 48 | UInt64(position))
        var child = keys.count - 1
        while child > 0, keys[child] < keys[(child - 1) / 2] {
            keys.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> (rank: Int, position: Int)? {
        guard let top = keys.first else { return nil }
        let last = keys.removeLast()
        if !keys.isEmpty {
            keys[0] = last
            var parent = 0
            while true {
                var child = 2 * parent + 1
                if child + 1 < keys.count && keys[child + 1] < keys[child] { child += 1 }
                guard child < keys.count, keys[child] < keys[parent] else { break }
                keys.swapAt(parent, child)
                parent = child
            }
        }
        return (Int(top >> 48), Int(top & 0xFFFF_FFFF_FFFF))
    }
}
