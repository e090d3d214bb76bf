/// The token ids of a text, as the text tower reads them.
struct TextRow: Sendable {
    /// The ids up to the pooled position if the tower is causal; else those of the whole context.
    let ids: ArraySlice<Int>
    /// The position whose output becomes the embedding; the last of `ids` if the tower is causal.
    let position: Int
}

extension CLIPConfiguration.Text {
    /// The id that fills rows up to the context; nil if the vocabulary is unknown.
    var padding: Int? {
        vocabulary == .clip ? 0 : vocabulary?.format?.padding
    }

    /// Returns a row of ids as the tower reads it.
    ///
    /// - Throws: `CLIPError.wrongTokenCount` if the row needs padding and its id is unknown.
    func row(_ ids: [Int]) throws(CLIPError) -> TextRow {
        var ids = ids
        if !isCausal || pooling == .last, ids.count < contextLength {
            guard let padding else {
                throw .wrongTokenCount(expected: contextLength...contextLength, found: ids.count)
            }
            ids += [Int](repeating: padding, count: contextLength - ids.count)
        }
        let position =
            switch pooling {
            case .largestID: ids.firstIndex(of: ids.max() ?? 0) ?? 0
            case .last: ids.count - 1
            case .first(let id): ids.firstIndex(of: id) ?? 0
            }
        return TextRow(ids: isCausal ? ids[...position] : ids[...], position: position)
    }
}

extension CLIPModel {
    /// Returns the token ids of each text, at most `contextLength` each.
    func rows(of texts: [String], truncating: Bool) throws(CLIPError) -> [[Int]] {
        // Without texts, the tokenizer's file need not exist.
        guard !texts.isEmpty else { return [] }
        let tokenizer = try tokenizer
        var rows: [[Int]] = []
        for text in texts {
            rows.append(
                try tokenizer.tokenize(
                    text, contextLength: configuration.text.contextLength, truncating: truncating))
        }
        return rows
    }

    /// Throws an error if a row has no token ids or too many, or one outside the vocabulary.
    func check(_ row: [Int]) throws(CLIPError) {
        let counts = 1...configuration.text.contextLength
        guard counts.contains(row.count) else {
            throw .wrongTokenCount(expected: counts, found: row.count)
        }
        let size = configuration.text.vocabularySize
        if let id = row.first(where: { !(0..<size).contains($0) }) {
            throw .unknownToken(id: id, vocabularySize: size)
        }
    }
}
