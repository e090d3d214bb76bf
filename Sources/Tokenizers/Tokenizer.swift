/// The tokenizer of a model: CLIP's byte pairs, or a SentencePiece model.
///
/// ```swift
/// let model = try CLIPModel(path: "ViT-B-16-SigLIP2-256")
/// let ids = try model.tokenizer.encode("a photo of a cat")
/// ```
public enum Tokenizer: Sendable {
    /// CLIP's byte pairs.
    case bytePairs(BPETokenizer)
    /// A SentencePiece model, as SigLIP, SigLIP 2 and MetaCLIP 2 have.
    case sentencePiece(SentencePieceTokenizer)

    /// The reference implementation whose rules a model's tokenizer follows.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// The rules of openai/CLIP; for CLIP's byte pairs only.
        case openAI = "openai"
        /// The rules of open_clip.
        case openCLIP = "open_clip"
        /// The rules of transformers.
        case huggingFace = "hf"
        /// The rules of big_vision; for SentencePiece models only.
        case bigVision = "big_vision"
        /// SentencePiece alone, without cleaning; for SentencePiece models only.
        case sentencePiece = "sentencepiece"

        /// The same rules for CLIP's byte pairs; nil if there are none.
        public var ofBytePairs: BPETokenizer.Rules? { BPETokenizer.Rules(rawValue: rawValue) }
        /// The same rules for a SentencePiece model; nil if there are none.
        public var ofSentencePiece: SentencePieceTokenizer.Rules? {
            SentencePieceTokenizer.Rules(rawValue: rawValue)
        }
    }

    /// The rules that the tokenizer follows.
    public var rules: Rules {
        let name =
            switch self {
            case .bytePairs(let tokenizer): tokenizer.rules.rawValue
            case .sentencePiece(let tokenizer): tokenizer.rules.rawValue
            }
        guard let rules = Rules(rawValue: name) else {
            preconditionFailure("expected rules of either kind of tokenizer, found \(name)")
        }
        return rules
    }

    /// The number of token ids.
    public var vocabularySize: Int {
        switch self {
        case .bytePairs: BPETokenizer.vocabularySize
        case .sentencePiece(let tokenizer): tokenizer.vocabularySize
        }
    }

    /// The id that ends every row.
    public var endToken: Int {
        switch self {
        case .bytePairs: BPETokenizer.endToken
        case .sentencePiece(let tokenizer): tokenizer.endToken
        }
    }

    /// The id that pads rows.
    public var padding: Int {
        switch self {
        case .bytePairs(let tokenizer): tokenizer.padding
        case .sentencePiece(let tokenizer): tokenizer.padding
        }
    }

    /// Returns the token ids of a text, without start and end tokens.
    public func encode(_ text: String) -> [Int] {
        switch self {
        case .bytePairs(let tokenizer): tokenizer.encode(text)
        case .sentencePiece(let tokenizer): tokenizer.encode(text)
        }
    }

    /// Returns the text of token ids.
    public func decode(_ ids: [Int]) -> String {
        switch self {
        case .bytePairs(let tokenizer): tokenizer.decode(ids)
        case .sentencePiece(let tokenizer): tokenizer.decode(ids)
        }
    }

    /// Pads a row of token ids to a length; returns a longer row unchanged.
    ///
    /// - Parameters:
    ///   - row: A row of token ids.
    ///   - length: The length to pad to.
    ///   - id: The id that pads the row; `padding` if nil.
    /// - Returns: At least `length` ids.
    public func padded(_ row: [Int], to length: Int, with id: Int? = nil) -> [Int] {
        row + [Int](repeating: id ?? padding, count: max(0, length - row.count))
    }

    /// Returns the token ids of a text with the start and end tokens, not padded or truncated.
    package func row(of text: String) -> [Int] {
        switch self {
        case .bytePairs(let tokenizer): tokenizer.row(of: text)
        case .sentencePiece(let tokenizer): tokenizer.row(of: text)
        }
    }
}
