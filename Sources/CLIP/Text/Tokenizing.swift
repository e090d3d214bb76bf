@_exported public import Tokenizers

extension BPETokenizer {
    /// The row of ids that a text tower takes: start, text, end; not padded.
    ///
    /// - Parameters:
    ///   - text: any text, the empty one too.
    ///   - contextLength: how many ids the row may have; at least 2.
    ///   - truncating: whether a text that is too long is cut, its last id being replaced by the
    ///     end, as OpenAI's `tokenize(truncate=True)` does.
    /// - Throws: `CLIPError.textTooLong` if it is too long and not to be cut.
    public func tokenize(
        _ text: String, contextLength: Int = 77, truncating: Bool = false
    ) throws(CLIPError) -> [Int] {
        precondition(contextLength >= 2, "a context of \(contextLength)")
        var row = row(of: text)
        if row.count > contextLength {
            guard truncating else {
                throw .textTooLong(text: text, tokens: row.count, limit: contextLength)
            }
            row.removeLast(row.count - contextLength)
            row[contextLength - 1] = Self.endToken
        }
        return row
    }
}
