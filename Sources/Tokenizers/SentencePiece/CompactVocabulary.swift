internal import Files

/// A vocabulary in one block of memory or one mapped file, which needs no parsing.
///
/// The block has, in little-endian order, a header with a checksum, the settings, the map of
/// characters, the pieces with their kinds and scores, the `PieceTable` of the pieces that occur in
/// texts, and a table of merges. All indices are checked when they are used.
struct CompactVocabulary: Sendable {
    /// A part of the block.
    enum Section: Int, CaseIterable {
        case settings, map, kinds, ends, text, scores, slots, merges
    }

    /// The node of the empty prefix.
    static let root = PieceTable.root
    static let magic = UInt64(littleEndian: 0x3130_434F_5650_5343)  // "CSPVOC01"
    static let headerWords = 28

    let file: MappedFile
    private(set) var settings: TokenizerSettings
    let map: CharacterMap?
    /// The number of ids.
    let count: Int
    private let slotCount: Int
    private let mergeSlotCount: Int
    private let multiplier: UInt64
    private let starts: [Int]
    private let slots: Int
    private let scores: Int

    /// Opens a block; fails if it is damaged, or of another tokenizer or version.
    ///
    /// - Parameters:
    ///   - file: The block.
    ///   - digest: The SHA-256 of the tokenizer file that it must come from.
    init?(_ file: MappedFile, digest: [UInt8]) {
        let size = 8 * Self.headerWords
        guard file.count >= size, file.uint64(at: 0) == Self.magic,
            file.uint64(at: 8) == UInt64(file.count),
            file.uint64(at: size - 8) == file.fastChecksum(of: 0..<(size - 8)),
            file.bytes(23 * 8..<27 * 8) == digest,
            file.uint64(at: 22 * 8) == file.fastChecksum(of: size..<file.count)
        else { return nil }
        func word(_ index: Int) -> Int { Int(clamping: file.uint64(at: 8 * index)) }
        (count, slotCount, mergeSlotCount) = (word(2), word(3), word(4))
        multiplier = file.uint64(at: 40)
        guard (1...SentencePieceModel.maximumCount).contains(count), multiplier & 1 == 1,
            (1..<(1 << 31)).contains(slotCount), (0..<(1 << 31)).contains(mergeSlotCount)
        else { return nil }
        var ranges: [Range<Int>] = []
        for section in Section.allCases {
            let (start, length) = (word(6 + 2 * section.rawValue), word(7 + 2 * section.rawValue))
            guard start >= size, start <= file.count, length >= 0, length <= file.count - start
            else { return nil }
            ranges.append(start..<(start + length))
        }
        func length(_ section: Section) -> Int { ranges[section.rawValue].count }
        guard length(.kinds) == count, length(.ends) == 4 * (count + 1),
            length(.scores) == 8 * count, length(.slots) == 8 * slotCount,
            length(.merges) == 16 * mergeSlotCount,
            let json = try? JSONValue(parsing: file.bytes(ranges[0])),
            var settings = TokenizerSettings(json: json, count: count)
        else { return nil }
        map = CharacterMap(file, ranges[Section.map.rawValue])
        guard map != nil || length(.map) == 0 else { return nil }
        settings.pipeline.index(normalizing: map)
        self.settings = settings
        self.file = file
        starts = ranges.map(\.lowerBound)
        slots = starts[Section.slots.rawValue]
        scores = starts[Section.scores.rawValue]
        textCount = length(.text)
    }

    private let textCount: Int

    /// The vocabulary with lower-casing before the steps of its normaliser, unless it is one of
    /// them.
    var lowercasing: CompactVocabulary {
        guard settings.normalizer == nil, !settings.pipeline.normalization.contains(.lowercase)
        else { return self }
        var copy = self
        copy.settings.pipeline.normalization.insert(.lowercase, at: 0)
        copy.settings.pipeline.index(normalizing: map)
        return copy
    }

    /// Returns the score of a piece.
    func score(_ id: Int) -> Double {
        precondition(id >= 0 && id < count, "expected an id below \(count), found \(id)")
        return Double(bitPattern: file.uint64(at: scores + 8 * id))
    }

    /// Returns the kind of a piece.
    func kind(_ id: Int) -> SentencePieceModel.Kind {
        precondition(id >= 0 && id < count, "expected an id below \(count), found \(id)")
        let number = file.byte(at: starts[Section.kinds.rawValue] + id)
        return SentencePieceModel.Kind(rawValue: number) ?? .absent
    }

    /// Returns the UTF-8 of a piece.
    func piece(_ id: Int) -> [UInt8] {
        precondition(id >= 0 && id < count, "expected an id below \(count), found \(id)")
        let ends = starts[Section.ends.rawValue] + 4 * id
        let (start, end) = (Int(file.uint32(at: ends)), Int(file.uint32(at: ends + 4)))
        guard start <= end, end <= textCount else { return [] }
        let text = starts[Section.text.rawValue]
        return file.bytes((text + start)..<(text + end))
    }

    // MARK: - The trie

    /// Returns the node of a prefix that is one byte longer, and the id of the piece that ends
    /// there; nil if no piece has this prefix.
    func step(_ node: UInt32, _ byte: UInt8) -> (node: UInt32, id: Int?)? {
        let key = UInt64(node) << 8 | UInt64(byte)
        var index = PieceTable.home(key, multiplier, slotCount)
        for _ in 0..<slotCount {
            let slot = file.uint64(at: slots + 8 * index)
            if slot >> 24 == key { return (UInt32(index), id(slot)) }
            if slot == PieceTable.emptySlot { return nil }
            index = index + 1 == slotCount ? 0 : index + 1
        }
        return nil
    }

    /// Returns the id of the piece that ends at a node; nil if none does.
    func id(ofNode node: UInt32) -> Int? {
        Int(node) < slotCount ? id(file.uint64(at: slots + 8 * Int(node))) : nil
    }

    private func id(_ slot: UInt64) -> Int? {
        let value = Int(slot & 0xFF_FFFF)
        return value > 0 && value <= count ? value - 1 : nil
    }

    /// Returns the id of a piece that occurs in texts; nil if there is none.
    func id(of piece: some Sequence<UInt8>) -> Int? {
        var (node, id): (UInt32, Int?) = (Self.root, nil)
        for byte in piece {
            guard let next = step(node, byte) else { return nil }
            (node, id) = next
        }
        return id
    }

    // MARK: - Merges

    /// Returns the rank of the merge of two ids and the resulting id; nil if they do not merge.
    func merge(_ left: UInt32, _ right: UInt32) -> (rank: UInt32, id: UInt32)? {
        guard mergeSlotCount > 0 else { return nil }
        let key = UInt64(left) << 32 | UInt64(right)
        let merges = starts[Section.merges.rawValue]
        var index = PieceTable.home(key, multiplier, mergeSlotCount)
        for _ in 0..<mergeSlotCount {
            let found = file.uint64(at: merges + 16 * index)
            if found == key {
                let value = file.uint64(at: merges + 16 * index + 8)
                let id = UInt32(truncatingIfNeeded: value)
                return Int(id) < count ? (UInt32(value >> 32), id) : nil
            }
            if found == PieceTable.emptySlot { return nil }
            index = index + 1 == mergeSlotCount ? 0 : index + 1
        }
        return nil
    }
}
