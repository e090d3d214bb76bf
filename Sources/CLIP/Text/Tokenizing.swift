@_exported public import Tokenizers

extension BPETokenizer {
    /// Returns the token ids of a text, with start and end tokens and without padding.
    ///
    /// ```swift
    /// let ids = try BPETokenizer().tokenize("a cat")  // [49406, 320, 2368, 49407]
    /// ```
    ///
    /// - Parameters:
    ///   - text: Any text, even an empty one.
    ///   - contextLength: The largest number of ids, at least 2.
    ///   - truncating: True to truncate a text that is too long and replace its last id by the end
    ///     token, as OpenAI's `tokenize(truncate=True)` does.
    /// - Returns: At most `contextLength` ids.
    /// - Throws: `CLIPError.textTooLong` if the text is too long and `truncating` is false.
    public func tokenize(
        _ text: String, contextLength: Int = 77, truncating: Bool = false
    ) throws(CLIPError) -> [Int] {
        precondition(
            contextLength >= 2, "expected a context of at least 2 tokens, found \(contextLength)")
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
