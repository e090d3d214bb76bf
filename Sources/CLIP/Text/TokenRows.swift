extension CLIPModel {
    /// Checks the number of a row's token ids and their range.
    func check(_ row: [Int]) throws(CLIPError) {
        guard !row.isEmpty else { throw .invalidTokens(reason: "a row is empty") }
        guard row.count <= configuration.text.contextLength else {
            throw .invalidTokens(
                reason: """
                    a row has \(row.count), but the model takes \
                    \(configuration.text.contextLength)
                    """)
        }
        let ids = 0..<configuration.text.vocabularySize
        if let id = row.first(where: { !ids.contains($0) }) {
            throw .invalidTokens(reason: "\(id) is not in the vocabulary of \(ids.upperBound)")
        }
    }
}
