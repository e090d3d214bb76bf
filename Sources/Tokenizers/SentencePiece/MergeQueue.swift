/// A min-heap of merges of neighbouring symbols, ordered by rank and then from left to right.
struct MergeQueue {
    struct Merge {
        let rank: UInt64
        /// The order among equal ranks: the index of the left symbol in the lower 32 bits; in the
        /// upper 32 the id of the result for Hugging Face, and 0 for SentencePiece.
        let order: UInt64
        /// The number of bytes or the id of the result, by which an outdated merge is recognised.
        let mark: UInt32
        /// The node of the result in the trie, if there is one.
        var node: UInt32 = 0

        var left: Int { Int(order & 0xFFFF_FFFF) }

        func isBefore(_ other: Merge) -> Bool {
            rank != other.rank ? rank < other.rank : order < other.order
        }
    }

    private var merges: [Merge] = []

    mutating func push(_ merge: Merge) {
        merges.append(merge)
        var child = merges.count - 1
        while child > 0, merges[child].isBefore(merges[(child - 1) / 2]) {
            merges.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> Merge? {
        guard let top = merges.first else { return nil }
        let last = merges.removeLast()
        if !merges.isEmpty {
            var parent = 0
            while true {
                var child = 2 * parent + 1
                if child + 1 < merges.count, merges[child + 1].isBefore(merges[child]) {
                    child += 1
                }
                guard child < merges.count, merges[child].isBefore(last) else { break }
                merges[parent] = merges[child]
                parent = child
            }
            merges[parent] = last
        }
        return top
    }
}

/// The symbols of a text as a linked list, in which neighbours are joined.
struct SymbolList {
    struct Symbol {
        var start: Int32
        var end: Int32
        var previous: Int32
        /// -1 after the last symbol.
        var next: Int32
        /// The node in the trie, or `SymbolList.noNode` if no piece begins like the symbol; with a
        /// list of merges, the id.
        var node: UInt32
        /// True if it is never joined.
        var isFrozen = false

        var isEmpty: Bool { start == end }
        var count: UInt32 { UInt32(end - start) }
    }

    static let noNode = UInt32.max

    private(set) var symbols: [Symbol] = []

    mutating func append(_ range: Range<Int>, _ node: UInt32, isFrozen: Bool = false) {
        let index = Int32(symbols.count)
        if index > 0 { symbols[Int(index) - 1].next = index }
        symbols.append(
            Symbol(
                start: Int32(range.lowerBound), end: Int32(range.upperBound), previous: index - 1,
                next: -1, node: node, isFrozen: isFrozen))
    }

    /// Joins a symbol with the next one, which becomes empty.
    mutating func join(_ left: Int, _ node: UInt32) {
        let right = Int(symbols[left].next)
        symbols[left].end = symbols[right].end
        symbols[left].node = node
        symbols[left].next = symbols[right].next
        if symbols[right].next >= 0 { symbols[Int(symbols[right].next)].previous = Int32(left) }
        symbols[right].start = symbols[right].end
    }

    /// Calls a closure with each symbol that is left, in order.
    func forEach(_ body: (Symbol) -> Void) {
        for symbol in symbols where !symbol.isEmpty { body(symbol) }
    }
}
