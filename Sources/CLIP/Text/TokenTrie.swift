/// A trie (prefix tree) of the tokens of several texts, in which each shared prefix is stored once.
///
/// The text tower is causal: the activations at a position depend on the tokens up to it only, so
/// those of a shared prefix have the same bits in every text.
struct TokenTrie: Sendable {
    /// The token id of each row to compute.
    private(set) var ids: [Int] = []
    /// The position of each row's token in the texts that contain it.
    private(set) var positions: [Int] = []
    /// The rows that each text consists of.
    private(set) var sequences = Sequences()
    /// The row of each text's last token.
    private(set) var ends: [Int] = []

    /// Makes the trie of rows of ids, none of which is empty.
    ///
    /// Only neighbouring texts share a prefix, so the texts should be sorted. If `shares` is false,
    /// no prefix is shared.
    init(_ texts: [ArraySlice<Int>], shares: Bool = true) {
        var path: [Int] = []  // the row of each position of the previous text
        var previous: ArraySlice<Int> = []
        for text in texts {
            let common = shares ? Self.commonPrefix(text, previous) : 0
            let own = ids.count..<(ids.count + text.count - common)
            path.removeSubrange(common...)
            path += own
            ids += text.dropFirst(common)
            positions += common..<text.count
            sequences.own.append(own)
            sequences.all.append(Self.ranges(of: path))
            ends.append(path[path.count - 1])
            previous = text
        }
    }

    /// Returns the length of the longest common prefix of two texts, in tokens.
    static func commonPrefix(_ a: ArraySlice<Int>, _ b: ArraySlice<Int>) -> Int {
        zip(a, b).prefix { $0 == $1 }.count
    }

    private static func ranges(of rows: [Int]) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        for row in rows {
            if let last = ranges.last, last.upperBound == row {
                ranges[ranges.count - 1] = last.lowerBound..<(row + 1)
            } else {
                ranges.append(row..<(row + 1))
            }
        }
        return ranges
    }
}
