extension CLIPModel {
    /// Tokenizes texts; no row is longer than the context.
    func rows(of texts: [String], truncating: Bool) throws(CLIPError) -> [[Int]] {
        var rows: [[Int]] = []
        for text in texts {
            rows.append(
                try tokenizer.tokenize(
                    text, contextLength: configuration.text.contextLength, truncating: truncating))
        }
        return rows
    }

    /// Checks the number of a row's token ids and their range.
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
