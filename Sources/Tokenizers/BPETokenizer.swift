/// CLIP's tokenizer: a byte-pair encoding of cleaned, lower-case text with 49,408 ids.
///
/// ```swift
/// let tokenizer = BPETokenizer()
/// let ids = try tokenizer.tokenize("a cat")  // [49406, 320, 2368, 49407]
/// print(tokenizer.decode(ids))
/// ```
///
/// Text is processed as Unicode scalars and then bytes, because Swift's characters would join
/// scalars that the references treat separately. Properties of scalars are those of Swift's Unicode
/// version (17 in Swift 6.3); the normal form C is that of Unicode 17.
///
/// Source: `simple_tokenizer.py` of openai/CLIP.
public struct BPETokenizer: Sendable {
    /// The reference implementation that determines how text is cleaned and split into words.
    ///
    /// The merges of byte pairs are the same for all.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// OpenAI's rules: text is repaired as by ftfy, and HTML entities are unescaped.
        ///
        /// `<|startoftext|>` and `<|endoftext|>` are special tokens.
        case openAI = "openai"
        /// The rules of open_clip: those of OpenAI, but with `<start_of_text>` and `<end_of_text>`
        /// as special tokens.
        case openCLIP = "open_clip"
        /// The rules of transformers and its `tokenizer.json`.
        ///
        /// Text is neither repaired nor unescaped, so `don’t` and `&amp;` get other ids. OpenAI's
        /// special tokens are recognised even within words. Padding is 49407.
        case huggingFace = "hf"
    }

    /// The number of token ids.
    public static let vocabularySize = 49_408
    /// The id that starts every row, `<|startoftext|>`.
    public static let startToken = 49_406
    /// The id that ends every row, `<|endoftext|>`, the largest of all ids.
    public static let endToken = 49_407

    /// The rules for cleaning text and splitting it into words.
    public let rules: Rules
    /// The id that pads rows: 0, or `endToken` with Hugging Face's rules.
    public var padding: Int { rules == .huggingFace ? Self.endToken : 0 }

    /// Creates a tokenizer, whose vocabulary is compiled into the library.
    public init(rules: Rules = .openAI) { self.rules = rules }

    /// Returns the token ids of a text, without the start and end tokens.
    public func encode(_ text: String) -> [Int] {
        var ids: [Int] = []
        appendTokens(of: text, to: &ids)
        return ids
    }

    private func appendTokens(of text: String, to ids: inout [Int]) {
        var bytes: [UInt8] = []
        for part in words(of: text, rules) {
            for word in part.words {
                switch word {
                case .start: ids.append(Self.startToken)
                case .end: ids.append(Self.endToken)
                case .text(let range):
                    bytes.removeAll(keepingCapacity: true)
                    for scalar in part.text[range] { bytes.append(utf8: scalar) }
                    appendTokens(ofWord: bytes, to: &ids)
                }
            }
        }
    }

    /// Returns the token ids of a text with the start and end tokens, not padded or truncated.
    package func row(of text: String) -> [Int] {
        var row = [Self.startToken]
        appendTokens(of: text, to: &row)
        row.append(Self.endToken)
        return row
    }

    /// Pads a row of token ids to a length; returns a longer row unchanged.
    ///
    /// - Parameters:
    ///   - row: A row of token ids.
    ///   - length: The length to pad to.
    ///   - id: The id that pads the row; `padding` if nil.
    /// - Returns: At least `length` ids.
    public func padded(_ row: [Int], to length: Int, with id: Int? = nil) -> [Int] {
        row + [Int](repeating: id ?? padding, count: max(0, length - row.count))
    }

    /// Returns the text of token ids as the reference's `decode` does, with a space after each
    /// word.
    ///
    /// Ids outside 0..<49,408 are skipped; invalid UTF-8 becomes U+FFFD.
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

// MARK: - Byte pairs

extension BPETokenizer {
    /// Appends the ids of one word.
    ///
    /// The symbols of the word are its bytes, of which the last is marked as the end of the word.
    /// Pairs of symbols are merged in the order of their ranks, the leftmost first among equals.
    /// Most words are looked up in a table instead.
    private func appendTokens(ofWord word: [UInt8], to ids: inout [Int]) {
        let last = Self.symbolOfByte[Int(word[word.count - 1])] + 256
        if word.count == 1 { return ids.append(last) }
        if let id = Vocabulary.token(of: word) { return ids.append(id) }
        var symbols = word.map { Self.symbolOfByte[Int($0)] }
        symbols[symbols.count - 1] = last
        if symbols.count <= 24 {
            mergePairs(of: &symbols)
            ids += symbols
        } else {
            ids += mergedPairs(ofMany: symbols)
        }
    }

    /// Merges pairs in place in quadratic time, which is fastest for few symbols.
    private func mergePairs(of symbols: inout [Int]) {
        while true {
            var (best, first) = (Int.max, 0)
            for left in 0..<(symbols.count - 1) {
                if let merged = Vocabulary.merge(symbols[left], symbols[left + 1]), merged < best {
                    (best, first) = (merged, left)
                }
            }
            if best == Int.max { return }
            symbols[first] = best
            symbols.remove(at: first + 1)
        }
    }

    /// Merges the pairs of many symbols in O(n log n) time.
    ///
    /// Symbols form a linked list; a heap has the pairs that can merge.
    private func mergedPairs(ofMany symbols: [Int]) -> [Int] {
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
            // A pair is stale if one of its symbols has been merged since it was pushed.
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

    /// The bytes in GPT-2's order, in which printable ones come first.
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

extension [UInt8] {
    fileprivate mutating func append(utf8 scalar: Unicode.Scalar) {
        if scalar.isASCII {
            append(UInt8(scalar.value))
        } else {
            append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
}

/// A min-heap of pairs that may merge, ordered by rank and then by position.
private struct PairHeap {
    /// The pairs, each as a 64-bit number: the rank in the upper 16 bits, the position in the
    /// lower 48.
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
