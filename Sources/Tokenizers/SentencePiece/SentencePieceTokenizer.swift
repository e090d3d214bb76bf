/// The tokenizer of SigLIP, SigLIP 2 and MetaCLIP 2: SentencePiece's Unigram and BPE models.
///
/// ```swift
/// let tokenizer = try SentencePieceTokenizer(contentsOf: "tokenizer.model", format: .siglip2)
/// let ids = tokenizer.encode("a photo of a cat")  // [235250, 2686, 576, 476, 4401]
/// print(tokenizer.decode(ids))
/// ```
///
/// The vocabulary is read from a SentencePiece model (`spiece.model`, `tokenizer.model`) or from
/// Hugging Face's `tokenizer.json`. A setting that changes ids and is not supported is an error.
/// With a cache folder, a compact form is kept there, which is mapped and needs no parsing. Any
/// number of threads may use a tokenizer at once.
public struct SentencePieceTokenizer: Sendable {
    /// The reference implementation that determines how text is cleaned and normalised.
    public enum Rules: String, Sendable, CaseIterable, Codable {
        /// The rules of open_clip: text is repaired, and for SigLIP converted to lower case without
        /// punctuation.
        case openCLIP = "open_clip"
        /// The rules of transformers 5: `SiglipTokenizer`, which converts to lower case and deletes
        /// punctuation, `Siglip2Tokenizer`, which converts to lower case, `GemmaTokenizer`, which
        /// does not, and `XLMRobertaTokenizer`.
        case huggingFace = "hf"
        /// The rules of big_vision: ASCII letters become lower case, and SentencePiece does the
        /// rest.
        case bigVision = "big_vision"
        /// SentencePiece alone, or the pipeline of `tokenizer.json`, without any cleaning.
        case sentencePiece = "sentencepiece"
    }

    /// The frame of rows and the cleaning of texts, which depend on the model.
    public struct Format: Sendable, Equatable {
        /// The kind of model.
        public enum Kind: String, Sendable, CaseIterable, Codable {
            /// SigLIP with an English vocabulary of 32,000 pieces.
            case siglip
            /// SigLIP with the multilingual vocabulary mC4 of 250,000 pieces and 100 more that
            /// have no row in a model's token table.
            case siglipMultilingual = "siglip-i18n"
            /// SigLIP 2, with Gemma's vocabulary of 256,000 pieces.
            case siglip2
            /// MetaCLIP 2, with XLM-V's vocabulary of 901,629 pieces.
            case metaCLIP2 = "metaclip2"
        }

        /// The cleaning of texts by the rules of open_clip, as named in its `tokenizer_kwargs`.
        public enum Cleaning: String, Sendable, CaseIterable, Codable {
            /// Converts to lower case, deletes ASCII punctuation and reduces whitespace to single
            /// spaces.
            case canonicalize
            /// Reduces whitespace to single spaces.
            case whitespace
        }

        /// The kind of model.
        public var kind: Kind
        /// The number of positions of a row.
        public var contextLength: Int
        /// The id that starts a row; nil for none.
        public var startToken: Int?
        /// The id that ends a row, before the padding.
        public var endToken: Int
        /// The id that pads rows.
        public var padding: Int
        /// The cleaning of texts by the rules of open_clip; other rules ignore it.
        public var cleaning = Cleaning.canonicalize
        /// True if the rules of transformers convert texts of SigLIP 2 to lower case, as
        /// `Siglip2Tokenizer` does and `GemmaTokenizer` does not; other kinds and rules ignore it.
        public var convertsToLowerCase = true

        /// SigLIP: 64 positions, padded with the end token 1.
        public static let siglip = Format(
            kind: .siglip, contextLength: 64, startToken: nil, endToken: 1, padding: 1)
        /// SigLIP's multilingual models: 64 positions, padded with the end token 1.
        public static let siglipMultilingual = Format(
            kind: .siglipMultilingual, contextLength: 64, startToken: nil, endToken: 1, padding: 1)
        /// SigLIP 2: 64 positions, ended by 1 and padded with 0.
        public static let siglip2 = Format(
            kind: .siglip2, contextLength: 64, startToken: nil, endToken: 1, padding: 0)
        /// MetaCLIP 2: 77 positions, started by 0, ended by 2 and padded with 1.
        public static let metaCLIP2 = Format(
            kind: .metaCLIP2, contextLength: 77, startToken: 0, endToken: 2, padding: 1,
            cleaning: .whitespace)
    }

    /// The rules for cleaning and normalising text.
    public let rules: Rules
    /// The frame of rows.
    public let format: Format
    private let encoder: SentencePieceEncoder

    /// The number of token ids.
    public var vocabularySize: Int { encoder.vocabulary.count }
    /// The id that ends every row.
    public var endToken: Int { format.endToken }
    /// The id that pads rows.
    public var padding: Int { format.padding }

    /// Reads a vocabulary.
    ///
    /// - Parameters:
    ///   - path: The path of `tokenizer.json`, `tokenizer.model` or `spiece.model`. A
    ///     `tokenizer.json` has a pipeline of its own, to which `rules` adds the cleaning.
    ///   - format: The frame of rows.
    ///   - rules: The rules for cleaning and normalising text.
    ///   - cacheFolder: The folder of compact forms, which is made if missing; nil to parse the
    ///     file each time.
    /// - Throws: `TokenizerFileError`.
    public init(
        contentsOf path: String, format: Format, rules: Rules = .openCLIP,
        cacheFolder: String? = nil
    ) throws(TokenizerFileError) {
        let vocabulary = try VocabularyCache.vocabulary(
            path: path, Self.conversion(format, rules), folder: cacheFolder)
        do throws(TokenizerDefect) {
            try self.init(vocabulary, format: format, rules: rules)
        } catch {
            throw error.of(path: path)
        }
    }

    /// Reads a vocabulary from the bytes of a file.
    ///
    /// - Parameters:
    ///   - bytes: The content of `tokenizer.json`, `tokenizer.model` or `spiece.model`.
    ///   - name: The name of the bytes in errors.
    ///   - format: The frame of rows.
    ///   - rules: The rules for cleaning and normalising text.
    /// - Throws: `TokenizerFileError`.
    public init(
        bytes: [UInt8], name: String = "", format: Format, rules: Rules = .openCLIP
    ) throws(TokenizerFileError) {
        do throws(TokenizerDefect) {
            let vocabulary = try VocabularyCache.vocabulary(
                bytes: bytes, Self.conversion(format, rules))
            try self.init(vocabulary, format: format, rules: rules)
        } catch {
            throw error.of(path: name)
        }
    }

    private init(
        _ vocabulary: CompactVocabulary, format: Format, rules: Rules
    ) throws(TokenizerDefect) {
        let ids = [format.startToken, format.endToken, format.padding].compactMap { $0 }
        guard ids.allSatisfy((0..<vocabulary.count).contains) else {
            throw TokenizerDefect(
                "the vocabulary", expected: "the ids \(ids) of \(format.kind.rawValue)",
                found: "\(vocabulary.count) ids")
        }
        (self.format, self.rules) = (format, rules)
        // `Siglip2Tokenizer` puts this step before those of any `tokenizer.json`.
        let isLowercase = Self.conversion(format, rules) == .lowercaseGemma
        encoder = SentencePieceEncoder(
            vocabulary: isLowercase ? vocabulary.lowercasing : vocabulary)
    }

    private static func conversion(_ format: Format, _ rules: Rules) -> SentencePieceConversion {
        switch (format.kind, rules) {
        // The ids of XLM-RoBERTa's vocabularies are not those of the SentencePiece model.
        case (.metaCLIP2, _): .xlmRoBERTa
        case (_, .bigVision), (_, .sentencePiece): .none
        // `SiglipTokenizer` calls SentencePiece.
        case (.siglip, .huggingFace), (.siglipMultilingual, .huggingFace): .none
        case (.siglip, .openCLIP), (.siglipMultilingual, .openCLIP): .t5
        case (.siglip2, .openCLIP): .gemma
        case (.siglip2, .huggingFace): format.convertsToLowerCase ? .lowercaseGemma : .gemma
        }
    }

    /// Returns the token ids of a text, without start and end tokens.
    ///
    /// - Complexity: O(*n* log *n*) for BPE and O(*n*) for Unigram, in the length of the text.
    public func encode(_ text: String) -> [Int] {
        var ids: [Int] = []
        switch (format.kind, rules) {
        case (_, .openCLIP):
            switch format.cleaning {
            case .canonicalize: encoder.append(canonicalized(text).utf8, to: &ids)
            case .whitespace: encoder.append(withCleanWhitespace(text).utf8, to: &ids)
            }
        case (.siglip, .huggingFace), (.siglipMultilingual, .huggingFace):
            if encoder.vocabulary.settings.normalizer == nil {
                // `SiglipTokenizer` does not read `tokenizer.json`; texts are cleaned as by it.
                encoder.append(withoutPunctuation(text.unicodeScalars).utf8, to: &ids)
            } else {
                SlowSiglipTokenizer(encoder: encoder).append(text, to: &ids)
            }
        case (.siglip2, .huggingFace), (.metaCLIP2, _), (_, .sentencePiece):
            encoder.append(Array(text.utf8), to: &ids)
        case (_, .bigVision):
            let lower = text.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
            encoder.append(lower, to: &ids)
        }
        return ids
    }

    /// Returns the token ids of a text with the start and end tokens, not padded.
    ///
    /// - Parameter text: Any text, even an empty one.
    /// - Returns: At least the end token.
    package func row(of text: String) -> [Int] {
        var row = format.startToken.map { [$0] } ?? []
        row += encode(text)
        // `SiglipTokenizer` adds no second end token.
        let isEnded =
            rules == .huggingFace && encoder.vocabulary.settings.normalizer != nil
            && row.last == format.endToken
        if !isEnded { row.append(format.endToken) }
        return row
    }

    /// Pads a row of token ids to a length; returns a longer row unchanged.
    ///
    /// - Parameters:
    ///   - row: A row of token ids.
    ///   - length: The length to pad to; the context length if nil.
    /// - Returns: At least `length` ids.
    public func padded(_ row: [Int], to length: Int? = nil) -> [Int] {
        let count = (length ?? format.contextLength) - row.count
        return row + [Int](repeating: format.padding, count: max(0, count))
    }

    /// Returns the text of token ids.
    ///
    /// Control tokens and ids outside the vocabulary are skipped, unknown text becomes ` ⁇ `, and
    /// invalid UTF-8 becomes U+FFFD.
    public func decode(_ ids: [Int]) -> String { encoder.decode(ids) }
}
