internal import Files
internal import Tokenizers

/// The tokenizer of a model, which is read from a file beside the weights at its first use, unless
/// it is CLIP's.
struct ModelTokenizer: Sendable {
    private let text: CLIPConfiguration.Text
    /// The folder of the weights; nil for weights in memory.
    private let folder: String?
    let rules: Tokenizer.Rules
    /// The folder of compact forms of large vocabularies; nil for none.
    private let cache: String?
    private let loaded: Lazy<Result<Tokenizer, CLIPError>>

    /// The file names of tokenizers, by priority: the smaller files before the larger.
    static let fileNames = [
        "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "tokenizer.json",
    ]

    init(
        _ text: CLIPConfiguration.Text, folder: String?, rules: Tokenizer.Rules,
        cache: String? = nil
    ) {
        (self.text, self.folder, self.rules, self.cache) = (text, folder, rules, cache)
        loaded = Lazy {
            Result { () throws(CLIPError) in
                try Self.load(text, folder: folder, rules: rules, cache: cache)
            }
        }
    }

    /// Returns the tokenizer with other rules or another folder of compact forms.
    func with(rules: Tokenizer.Rules? = nil, cache: String? = nil) -> ModelTokenizer {
        ModelTokenizer(
            text, folder: folder, rules: rules ?? self.rules, cache: cache ?? self.cache)
    }

    /// The rules that the tokenizer follows, without reading its file.
    ///
    /// They are the rules asked for, except for Gemma's tokenizer under SigLIP 2's name in
    /// transformers.
    var rulesInForce: Tokenizer.Rules {
        guard let folder, (try? Self.isGemma(rules, text, in: folder)) == true else { return rules }
        return .sentencePiece
    }

    /// The path of the tokenizer's file; nil if it is CLIP's, or if there is none.
    var path: String? { text.vocabulary == .clip ? nil : folder.flatMap(Self.file) }

    /// The tokenizer, which is read at the first use; throws `CLIPError` if that fails.
    var value: Tokenizer {
        get throws(CLIPError) { try loaded.value.get() }
    }

    private static func file(in folder: String) -> String? {
        fileNames.map { folder + $0 }.first(where: fileExists)
    }

    private static func load(
        _ text: CLIPConfiguration.Text, folder: String?, rules: Tokenizer.Rules, cache: String?
    ) throws(CLIPError) -> Tokenizer {
        if text.vocabulary == .clip {
            guard let rules = rules.ofBytePairs else {
                throw .unavailableRules(
                    rules.rawValue, expected: BPETokenizer.Rules.allCases.map(\.rawValue))
            }
            return .bytePairs(BPETokenizer(rules: rules))
        }
        guard var own = rules.ofSentencePiece else {
            throw .unavailableRules(
                rules.rawValue, expected: SentencePieceTokenizer.Rules.allCases.map(\.rawValue))
        }
        guard let folder, let path = file(in: folder) else {
            throw .missingTokenizer(folder: folder ?? "", expected: fileNames)
        }
        guard let vocabulary = text.vocabulary else {
            throw .unknownArchitecture(
                path: path,
                expected: """
                    a configuration beside the weights that names the tokenizer \
                    (hf_tokenizer_name), or one of the published vocabularies
                    """,
                found: "a vocabulary of \(text.vocabularySize) ids")
        }
        if try isGemma(rules, text, in: folder) { own = .sentencePiece }
        var format = vocabulary.format
        format.contextLength = text.contextLength
        do throws(TokenizerFileError) {
            return .sentencePiece(
                try SentencePieceTokenizer(
                    contentsOf: path, format: format, rules: own, cacheFolder: cache))
        } catch {
            throw CLIPError(error)
        }
    }

    /// Returns true if transformers' rules are asked for, and a `tokenizer_config.json` names
    /// Gemma's tokenizer, which does not convert text to lower case; SigLIP 2's own does.
    private static func isGemma(
        _ rules: Tokenizer.Rules, _ text: CLIPConfiguration.Text, in folder: String
    ) throws(CLIPError) -> Bool {
        guard rules == .huggingFace, text.vocabulary == .siglip2 else { return false }
        let path = folder + "tokenizer_config.json"
        guard fileExists(path) else { return false }
        let json = try ConfigurationFile.json(path: path)
        return json["tokenizer_class"]?.string?.hasPrefix("Gemma") ?? false
    }
}

extension CLIPConfiguration.Vocabulary {
    /// The start token, end token and padding of rows, and the cleaning of texts.
    fileprivate var format: SentencePieceTokenizer.Format {
        switch self {
        case .clip, .siglip: .siglip
        case .siglipMultilingual: .siglipMultilingual
        case .siglip2: .siglip2
        case .metaCLIP2: .metaCLIP2
        }
    }
}

extension CLIPError {
    /// Makes the error of a tokenizer's file.
    init(_ error: TokenizerFileError) {
        self =
            switch error {
            case .unreadable(let path, let reason): .unreadableFile(path: path, reason: reason)
            case .malformed(let path, let part, let expected, let found),
                .unsupported(let path, let part, let expected, let found):
                .malformedTokenizer(path: path, part: part, expected: expected, found: found)
            @unknown default: .unreadableFile(path: "", reason: "\(error)")
            }
    }
}
