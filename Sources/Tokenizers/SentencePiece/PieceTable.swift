/// A trie of pieces as a hash table, as it stands in a `CompactVocabulary`.
///
/// Each slot is a prefix of pieces: the slot of the prefix without its last byte in the upper 32
/// bits, then the last byte, then the id of the piece that is this prefix plus 1, or 0.
struct PieceTable {
    /// The node of the empty prefix.
    static let root = UInt32.max - 1
    static let emptySlot = UInt64.max

    private(set) var slots: [UInt64]
    /// The multiplier of the hash function, which is random: keys cannot be chosen to collide.
    let multiplier: UInt64

    /// Makes the table of the pieces of a model that occur in texts.
    ///
    /// - Parameter model: The model.
    /// - Throws: `TokenizerDefect` if a piece occurs twice.
    init(_ model: SentencePieceModel) throws(TokenizerDefect) {
        multiplier = UInt64.random(in: 0 ... .max) | 1
        slots = []
        var capacity = max(64, model.text.count / 2)
        while try !fill(capacity, model) { capacity += capacity / 2 }
    }

    /// Returns the index at which the search for a key of 64 bits begins.
    static func home(_ key: UInt64, _ multiplier: UInt64, _ capacity: Int) -> Int {
        let mixed = (key ^ key >> 23) &* multiplier
        return Int((mixed >> 32 &* UInt64(capacity)) >> 32)
    }

    /// Fills the table; returns false if the capacity is too small.
    private mutating func fill(
        _ capacity: Int, _ model: SentencePieceModel
    ) throws(TokenizerDefect) -> Bool {
        slots = [UInt64](repeating: Self.emptySlot, count: capacity)
        var free = capacity - capacity / 4
        let isSentencePiece = model.settings.normalizer != nil
        for id in 0..<model.count {
            switch model.kinds[id] {
            case .absent: continue
            case .unknown, .control, .byte: if isSentencePiece { continue }
            case .normal, .userDefined, .unused: break
            }
            var node = Self.root
            var index = 0
            let piece = model.range(id)
            for position in piece {
                let key = UInt64(node) << 8 | UInt64(model.text[position])
                index = Self.home(key, multiplier, capacity)
                while slots[index] >> 24 != key {
                    if slots[index] == Self.emptySlot {
                        free -= 1
                        if free < 0 { return false }
                        slots[index] = key << 24
                        break
                    }
                    index = index + 1 == capacity ? 0 : index + 1
                }
                node = UInt32(index)
            }
            guard slots[index] & 0xFF_FFFF == 0 else {
                throw TokenizerDefect(
                    "piece \(id)", expected: "a piece that occurs once",
                    found: "\(model.name(id)), as piece \((slots[index] & 0xFF_FFFF) - 1)")
            }
            slots[index] |= UInt64(id + 1)
        }
        return true
    }

    /// Returns the node of a prefix and further bytes; nil if no piece begins like that.
    func walk(_ node: UInt32, _ bytes: some Collection<UInt8>) -> UInt32? {
        var node = node
        for byte in bytes {
            let key = UInt64(node) << 8 | UInt64(byte)
            var index = Self.home(key, multiplier, slots.count)
            // A quarter of the slots is empty.
            while slots[index] >> 24 != key {
                if slots[index] == Self.emptySlot { return nil }
                index = index + 1 == slots.count ? 0 : index + 1
            }
            node = UInt32(index)
        }
        return node
    }

    /// Returns the id of the piece that ends at a node; nil if none does.
    func id(ofNode node: UInt32) -> Int? {
        guard node != Self.root else { return nil }
        let value = Int(slots[Int(node)] & 0xFF_FFFF)
        return value > 0 ? value - 1 : nil
    }

    /// Returns the id of a piece; nil if there is none.
    func id(of piece: some Collection<UInt8>) -> Int? {
        walk(Self.root, piece).flatMap(id(ofNode:))
    }
}
