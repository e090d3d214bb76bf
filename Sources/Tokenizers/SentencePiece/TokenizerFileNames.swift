extension SentencePieceTokenizer {
    /// Returns the names of tokenizer files, in order of preference: the one that the reference
    /// reads first.
    ///
    /// Both files of Gemma give the same ids, and `tokenizer.json` is eight times as large.
    ///
    /// - Parameters:
    ///   - kind: The kind of model; nil if it is unknown.
    ///   - rules: The rules for cleaning and normalising text.
    /// - Returns: Four names.
    package static func fileNames(_ kind: Format.Kind?, _ rules: Rules) -> [String] {
        let all = ["tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model"]
        let first =
            switch (kind, rules) {
            // `SiglipTokenizer` and SentencePiece itself read only the SentencePiece model.
            case (.siglip, .huggingFace), (.siglipMultilingual, .huggingFace): "spiece.model"
            case (.siglip, .sentencePiece), (.siglipMultilingual, .sentencePiece): "spiece.model"
            case (.siglip, .bigVision), (.siglipMultilingual, .bigVision): "spiece.model"
            case (.siglip, .openCLIP), (.siglipMultilingual, .openCLIP): "tokenizer.json"
            case (.siglip2, _): "tokenizer.model"
            case (.metaCLIP2, _): "sentencepiece.bpe.model"
            case (nil, _): "tokenizer.json"
            }
        return [first] + all.filter { $0 != first }
    }
}

extension SentencePieceTokenizer.Format.Kind {
    /// The kind of model with a token table of this many rows; nil if there is none.
    package init?(tokenRows count: Int) {
        switch count {
        case 32_000: self = .siglip
        case 250_000: self = .siglipMultilingual
        case 256_000: self = .siglip2
        case 901_629: self = .metaCLIP2
        default: return nil
        }
    }
}
