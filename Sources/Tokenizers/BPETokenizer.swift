/// CLIP's tokenizer: cleaned, lower-cased text to ids of a byte-pair vocabulary of 49,408.
///
/// Text is handled as integers, Unicode's scalars and then bytes: Swift's characters would join what
/// the references keep apart. Properties of characters are those of the Unicode that Swift has (17 in
/// Swift 6.3), the normal form C is that of Unicode 17.
///
/// Source: `simple_tokenizer.py` of openai/CLIP.
public struct BPETokenizer: Sendable {
    /// Whose rules clean a text and cut it into words; the byte pairs are the same.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// Repairs with ftfy, unescapes HTML; `<|startoftext|>` and `<|endoftext|>` are special.
        case openAI = "openai"
        /// The same, but `<start_of_text>` and `<end_of_text>` are special.
        case openCLIP = "open_clip"
        /// Of transformers and its `tokenizer.json`: neither repairs nor unescapes, so that `don’t` and
        /// `&amp;` become other ids; OpenAI's special texts, wherever they stand. Pads with 49407.
        case huggingFace = "hf"
    }

    /// The number of ids.
    public static let vocabularySize = 49_408
    /// The id that starts every row, `<|startoftext|>`.
    public static let startToken = 49_406
    /// The id that ends every row, `<|endoftext|>`; the largest of all.
    public static let endToken = 49_407

    /// The rules that it follows.
    public let rules: Rules
    /// The id that fills rows up: 0, and the end's in Hugging Face's rules.
    public var padding: Int { rules == .huggingFace ? Self.endToken : 0 }

    /// Makes a tokenizer; its vocabulary is compiled in.
    public init(rules: Rules = .openAI) { self.rules = rules }

    /// The ids of a text, without start and end; empty for an empty text.
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

    /// The ids of a text between those of start and end, as many as they are.
    package func row(of text: String) -> [Int] {
        var row = [Self.startToken]
        appendTokens(of: text, to: &row)
        row.append(Self.endToken)
        return row
    }

    /// A row of ids, filled up to a length.
    ///
    /// - Parameter id: what fills it; `padding` if nil.
    public func padded(_ row: [Int], to length: Int, with id: Int? = nil) -> [Int] {
        row + [Int](repeating: id ?? padding, count: max(0, length - row.count))
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

// MARK: - Byte pairs

extension BPETokenizer {
    /// The ids of one word: its bytes, the last one marked as an end, merged pair by pair, the pair
    /// of the lowest rank first, from left to right. Of most words the outcome is in a table.
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

    /// The simple way, for few symbols.
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

    private func mergedPairs(ofMany symbols: [Int]) -> [Int] {
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

extension [UInt8] {
    fileprivate mutating func append(utf8 scalar: Unicode.Scalar) {
        if scalar.isASCII {
            append(UInt8(scalar.value))
        } else {
            append(contentsOf: UTF8.encode(scalar) ?? UTF8.encodedReplacementCharacter)
        }
    }
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
