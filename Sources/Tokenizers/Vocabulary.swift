internal import CVocabulary

/// The tables that are compiled in: CLIP's merges and HTML's entities.
enum Vocabulary {
    /// The id of the token that two tokens merge into, which is also the merge's rank.
    static func merge(_ left: Int, _ right: Int) -> Int? {
        guard let left = UInt16(exactly: left), let right = UInt16(exactly: right) else {
            return nil
        }
        let merged = clip_vocabulary_merge(left, right)
        return merged < 0 ? nil : Int(merged)
    }

    /// The id of the merged token that a whole word becomes; nil if it is one byte or becomes several.
    static func token(of word: [UInt8]) -> Int? {
        let id = clip_vocabulary_word(word, word.count)
        return id < 0 ? nil : Int(id)
    }

    /// The two tokens of which the merged token `id`, in 512..<49,406, is made.
    static func parts(of id: Int) -> (left: Int, right: Int) {
        var (left, right): (UInt16, UInt16) = (0, 0)
        clip_vocabulary_parts(UInt16(id), &left, &right)
        return (Int(left), Int(right))
    }

    /// The code points of an HTML entity, by its name with its semicolon if that has one; empty if
    /// there is none.
    static func htmlEntity(named name: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
        var bytes: [UInt8] = []
        for scalar in name {
            guard scalar.isASCII else { return [] }  // no name has others
            bytes.append(UInt8(scalar.value))
        }
        var codePoints: [UInt32] = [0, 0]
        let count = clip_html_entity(bytes, bytes.count, &codePoints)
        return codePoints.prefix(count).compactMap { Unicode.Scalar($0) }
    }
}
