extension CLIPModel {
    /// Returns the token ids of each text, at most `contextLength` each.
    func rows(of texts: [String], truncating: Bool) throws(CLIPError) -> [[Int]] {
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
