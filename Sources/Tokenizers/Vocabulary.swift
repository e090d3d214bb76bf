internal import CVocabulary

/// The compiled-in tables of CLIP's merges and HTML's entities.
enum Vocabulary {
    /// Returns the id of the token that two tokens merge into; nil if they do not merge.
    ///
    /// Ids ascend with the merge rank, so the merge with the lowest id comes first.
    static func merge(_ left: Int, _ right: Int) -> Int? {
        guard let left = UInt16(exactly: left), let right = UInt16(exactly: right) else {
            return nil
        }
        let merged = clip_vocabulary_merge(left, right)
        return merged < 0 ? nil : Int(merged)
    }

    /// Returns the id of the token that a whole word becomes; nil if the word has one byte or
    /// becomes several tokens.
    static func token(of word: [UInt8]) -> Int? {
        let id = clip_vocabulary_word(word, word.count)
        return id < 0 ? nil : Int(id)
    }

    /// Returns the two tokens that merge into the token `id`, which is in 512..<49,406.
    static func parts(of id: Int) -> (left: Int, right: Int) {
        var (left, right): (UInt16, UInt16) = (0, 0)
        clip_vocabulary_parts(UInt16(id), &left, &right)
        return (Int(left), Int(right))
    }

    /// Returns the scalars of an HTML entity; an empty array if no entity has this name.
    ///
    /// The name includes its semicolon, if it has one.
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
