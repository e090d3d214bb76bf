internal import Files

/// SentencePiece's precompiled map of characters to their normalised text.
///
/// It is a double-array trie of UTF-8 sequences, each with the offset of a zero-terminated text. In
/// a file, the size of the trie in bytes (32 bits) precedes the trie and the texts.
///
/// Source: `normalizer.cc` of google/sentencepiece and the units of its `darts.h`.
struct CharacterMap: Sendable {
    /// The largest number of bytes of a map.
    static let maximumSize = 1 << 22
    /// The largest number of bytes of a sequence and of a text.
    static let maximumLength = 256

    private let file: MappedFile
    private let trie: Int
    private let unitCount: Int
    private let texts: Range<Int>

    /// Creates a map that `check` has accepted.
    ///
    /// - Parameters:
    ///   - file: The file that contains the map.
    ///   - range: The range of the map in the file.
    init?(_ file: MappedFile, _ range: Range<Int>) {
        guard range.count > 4, range.lowerBound >= 0, range.upperBound <= file.count else {
            return nil
        }
        let size = Int(file.uint32(at: range.lowerBound))
        guard size <= range.count - 4 else { return nil }
        self.file = file
        trie = range.lowerBound + 4
        unitCount = size / 4
        texts = (trie + size)..<range.upperBound
    }

    /// Returns the longest sequence at a position that has a normalised text.
    ///
    /// - Parameters:
    ///   - input: UTF-8 text.
    ///   - position: The position of its first byte, which begins a character.
    /// - Returns: The number of bytes of the sequence, and the range of its text in the file; nil
    ///   if there is none.
    func longestMatch(
        in input: [UInt8], at position: Int
    ) -> (length: Int, text: Range<Int>)? {
        match(in: input, position..<input.count, longest: true)
    }

    /// Returns the text of the shortest sequence at the beginning of a part of a text, which is
    /// what Hugging Face's normaliser takes; nil if there is none.
    func shortestMatch(in input: [UInt8], _ range: Range<Int>) -> Range<Int>? {
        match(in: input, range, longest: false)?.text
    }

    private func match(
        in input: [UInt8], _ range: Range<Int>, longest: Bool
    ) -> (length: Int, text: Range<Int>)? {
        var node = 0
        guard var unit = unit(node) else { return nil }
        node ^= Self.offset(unit)
        var found: (length: Int, value: Int)?
        for position in range {
            let byte = input[position]
            // No sequence contains a zero.
            if byte == 0 { break }
            node ^= Int(byte)
            guard let next = self.unit(node), Self.label(next) == UInt32(byte) else { break }
            unit = next
            node ^= Self.offset(unit)
            if Self.hasLeaf(unit), let leaf = self.unit(node) {
                found = (position - range.lowerBound + 1, Int(leaf & 0x7FFF_FFFF))
                if !longest { break }
            }
        }
        guard let found, found.value < texts.count else { return nil }
        let start = texts.lowerBound + found.value
        var end = start
        while end < texts.upperBound, file.byte(at: end) != 0 { end += 1 }
        return (found.length, start..<end)
    }

    /// Returns the UTF-8 of a match.
    func bytes(_ text: Range<Int>) -> [UInt8] { file.bytes(text) }

    private func unit(_ index: Int) -> UInt32? {
        index < unitCount ? file.uint32(at: trie + 4 * index) : nil
    }

    private static func hasLeaf(_ unit: UInt32) -> Bool { unit >> 8 & 1 == 1 }
    private static func label(_ unit: UInt32) -> UInt32 { unit & 0x8000_00FF }
    private static func offset(_ unit: UInt32) -> Int { Int(unit >> 10) << Int(unit >> 6 & 8) }
}

extension CharacterMap {
    /// Checks the map of a file: all that can be reached in the trie lies within it, without
    /// cycles, and no sequence or text is too long.
    static func check(_ map: [UInt8]) throws(TokenizerDefect) {
        let part = "the precompiled map of characters"
        guard (5...maximumSize).contains(map.count) else {
            throw TokenizerDefect(
                part, expected: "5 to \(maximumSize) bytes", found: "\(map.count)")
        }
        let size = Int(littleEndian32(map, 0))
        guard size < map.count - 4, size % 4 == 0, size >= 4 else {
            throw TokenizerDefect(
                part, expected: "a trie of 4 to \(map.count - 5) bytes, a multiple of 4",
                found: "\(size)")
        }
        let texts = Array(map[(4 + size)...])
        guard texts.last == 0, String(validating: texts, as: UTF8.self) != nil else {
            throw TokenizerDefect(
                part, expected: "zero-terminated texts in UTF-8", found: "other bytes")
        }
        let units = (0..<(size / 4)).map { littleEndian32(map, 4 + 4 * $0) }
        try checkTrie(units, texts)
    }

    /// Checks a trie, in which nodes may share children.
    private static func checkTrie(
        _ units: [UInt32], _ texts: [UInt8]
    ) throws(TokenizerDefect) {
        let part = "the precompiled map of characters"
        // The longest path below a node; nil before it is visited, -1 while its children are.
        var heights = [Int?](repeating: nil, count: units.count)
        var open = [0]
        while let node = open.popLast() {
            let base = node ^ offset(units[node])
            if heights[node] == nil {
                heights[node] = -1
                if node > 0, hasLeaf(units[node]) {
                    guard base < units.count else {
                        throw TokenizerDefect(
                            part, expected: "units below \(units.count)", found: "\(base)")
                    }
                    try checkText(Int(units[base] & 0x7FFF_FFFF), texts)
                }
                open.append(node)
                for byte in 1...255 {
                    let child = base ^ byte
                    guard child < units.count, label(units[child]) == UInt32(byte) else { continue }
                    guard heights[child] != -1 else {
                        throw TokenizerDefect(
                            part, expected: "no cycle", found: "one at the unit \(child)")
                    }
                    if heights[child] == nil { open.append(child) }
                }
            } else if heights[node] == -1 {
                var height = 0
                for byte in 1...255 {
                    let child = base ^ byte
                    guard child < units.count, label(units[child]) == UInt32(byte) else { continue }
                    height = max(height, 1 + (heights[child] ?? 0))
                }
                guard height <= maximumLength else {
                    throw .unsupported(
                        part, expected: "sequences of at most \(maximumLength) bytes",
                        found: "a longer one")
                }
                heights[node] = height
            }
        }
    }

    private static func checkText(_ start: Int, _ texts: [UInt8]) throws(TokenizerDefect) {
        let part = "the precompiled map of characters"
        guard start < texts.count, texts[start] & 0xC0 != 0x80 else {
            throw TokenizerDefect(
                part, expected: "offsets of texts below \(texts.count)", found: "\(start)")
        }
        guard texts[start...].prefix(maximumLength + 1).contains(0) else {
            throw .unsupported(
                part, expected: "texts of at most \(maximumLength) bytes", found: "a longer one")
        }
    }

    private static func littleEndian32(_ bytes: [UInt8], _ offset: Int) -> UInt32 {
        bytes[offset..<(offset + 4)].reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
