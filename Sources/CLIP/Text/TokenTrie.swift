/// Texts as a tree of tokens: what several begin with is there once.
///
/// The text tower is causal, so a position's activations depend on the tokens up to it alone, and those of
/// a common beginning are the same in every text, to the bit.
struct TokenTrie: Sendable {
    /// The id and the position of each row to compute.
    private(set) var ids: [Int] = []
    private(set) var positions: [Int] = []
    /// The rows of each text.
    private(set) var sequences = Sequences()
    /// The row of each text's last token.
    private(set) var ends: [Int] = []

    /// - Parameters:
    ///   - texts: rows of ids, none empty. Only neighbours share, so they should be sorted.
    ///   - shares: whether they share at all.
    init(_ texts: [ArraySlice<Int>], shares: Bool = true) {
        var path: [Int] = []  // the row of each position of the text before
        var previous: ArraySlice<Int> = []
        for text in texts {
            let common = shares ? Self.commonBeginning(text, previous) : 0
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

    /// How many tokens two texts begin with alike.
    static func commonBeginning(_ a: ArraySlice<Int>, _ b: ArraySlice<Int>) -> Int {
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
