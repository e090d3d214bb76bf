/// A set of byte strings with values, of which the longest at a position is found.
///
/// It is for few strings, such as the added tokens of a tokenizer. `CompactVocabulary` is for many.
struct ByteTrie: Equatable, Sendable {
    /// The children by parent and byte: the parent in the upper 56 bits of the key.
    private var children: [UInt64: Int] = [:]
    private var values: [Int?] = [nil]

    var isEmpty: Bool { values.count == 1 }

    /// Adds a string; a string that is there already gets the new value.
    mutating func insert(_ string: some Sequence<UInt8>, _ value: Int) {
        var node = 0
        for byte in string {
            let key = UInt64(node) << 8 | UInt64(byte)
            if let child = children[key] {
                node = child
            } else {
                children[key] = values.count
                node = values.count
                values.append(nil)
            }
        }
        if node > 0 { values[node] = value }
    }

    /// Returns the end and the value of the longest string at a position; nil if there is none.
    func longestMatch(in text: [UInt8], at position: Int) -> (end: Int, value: Int)? {
        var node = 0
        var found: (end: Int, value: Int)?
        for index in position..<text.count {
            guard let child = children[UInt64(node) << 8 | UInt64(text[index])] else { break }
            node = child
            if let value = values[node] { found = (index + 1, value) }
        }
        return found
    }
}
