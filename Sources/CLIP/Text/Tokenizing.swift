@_exported public import Tokenizers

extension Tokenizer {
    /// Returns the token ids of a text, with start and end tokens and without padding.
    ///
    /// ```swift
    /// let ids = try model.tokenizer.tokenize("a cat", contextLength: 64)
    /// ```
    ///
    /// - Parameters:
    ///   - text: Any text, even an empty one.
    ///   - contextLength: The largest number of ids, at least 2; the model's
    ///     `configuration.text.contextLength`.
    ///   - truncating: True to truncate a text that is too long and replace its last id by the end
    ///     token.
    /// - Returns: At most `contextLength` ids.
    /// - Throws: `CLIPError.textTooLong` if the text is too long and `truncating` is false.
    public func tokenize(
        _ text: String, contextLength: Int = 77, truncating: Bool = false
    ) throws(CLIPError) -> [Int] {
        try fitted(row(of: text), text, contextLength, truncating, endToken: endToken)
    }
}

/// Returns a row of at most `limit` ids, the last of which is the end token.
private func fitted(
    _ row: [Int], _ text: String, _ limit: Int, _ truncating: Bool, endToken: Int
) throws(CLIPError) -> [Int] {
    precondition(limit >= 2, "expected a context of at least 2 tokens, found \(limit)")
    guard row.count > limit else { return row }
    guard truncating else { throw .textTooLong(text: text, tokens: row.count, limit: limit) }
    return row.prefix(limit - 1) + [endToken]
}

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
        try fitted(row(of: text), text, contextLength, truncating, endToken: Self.endToken)
    }
}
