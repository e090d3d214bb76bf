internal import Files
internal import Tokenizers

/// The tokenizer of a model, which is read from a file beside the weights at its first use, unless
/// it is CLIP's.
struct ModelTokenizer: Sendable {
    private let source: Source
    private let loaded: Lazy<Result<Tokenizer, CLIPError>>

    /// Makes the tokenizer of a text tower.
    ///
    /// - Parameters:
    ///   - text: The text tower.
    ///   - folder: The folder of the weights, with a slash at its end; nil for weights in memory.
    ///   - rules: The reference implementation to follow.
    ///   - cleaning: How the rules of open_clip clean texts; the vocabulary's own if nil.
    ///   - keepsAspectRatio: True if the image tower keeps the aspect ratio of images: of such a
    ///     model, transformers ignores the tokenizer's class in `tokenizer_config.json`.
    ///   - cache: The folder of compact forms of large vocabularies; nil for none.
    init(
        _ text: CLIPConfiguration.Text, folder: String?, rules: Tokenizer.Rules,
        cleaning: SentencePieceTokenizer.Format.Cleaning? = nil, keepsAspectRatio: Bool = false,
        cache: String? = nil
    ) {
        self.init(
            Source(
                text: text, folder: folder, rules: rules, cleaning: cleaning,
                keepsAspectRatio: keepsAspectRatio, cache: cache))
    }

    private init(_ source: Source) {
        self.source = source
        loaded = Lazy { Result { () throws(CLIPError) in try source.load() } }
    }

    /// Returns the tokenizer with other rules or another folder of compact forms.
    func with(rules: Tokenizer.Rules? = nil, cache: String? = nil) -> ModelTokenizer {
        var source = source
        source.rules = rules ?? source.rules
        source.cache = cache ?? source.cache
        return ModelTokenizer(source)
    }

    /// The rules that the tokenizer follows, without reading its file.
    var rules: Tokenizer.Rules { source.rules }

    /// The cleaning of texts that the configuration states; nil for that of the vocabulary.
    var cleaning: SentencePieceTokenizer.Format.Cleaning? { source.cleaning }

    /// A name of the rules and of what else determines the ids of texts beside the tokenizer's
    /// file: `hf`, or `hf, cased` if `tokenizer_config.json` names Gemma's class.
    var variant: String {
        var name = source.rules.rawValue
        if (try? source.isCased) == true { name += ", cased" }
        if source.rules == .openCLIP, let cleaning = source.cleaning {
            name += ", \(cleaning.rawValue)"
        }
        return name
    }

    /// The path of the tokenizer's file; nil if it is CLIP's, or if there is none.
    var path: String? { source.text.vocabulary == .clip ? nil : source.path }

    /// The names of the tokenizer's file, in order of preference.
    var fileNames: [String] { source.names }

    /// The tokenizer, which is read at the first use; throws `CLIPError` if that fails.
    var value: Tokenizer {
        get throws(CLIPError) { try loaded.value.get() }
    }
}

extension ModelTokenizer {
    /// The file of a tokenizer and the rules for it.
    private struct Source {
        let text: CLIPConfiguration.Text
        let folder: String?
        var rules: Tokenizer.Rules
        let cleaning: SentencePieceTokenizer.Format.Cleaning?
        let keepsAspectRatio: Bool
        var cache: String?

        var names: [String] {
            SentencePieceTokenizer.fileNames(
                text.vocabulary?.format?.kind, rules.ofSentencePiece ?? .openCLIP)
        }

        /// The path of the first of the files that exists; nil if none does.
        var path: String? {
            folder.flatMap { folder in names.map { folder + $0 }.first(where: fileExists) }
        }

        func load() throws(CLIPError) -> Tokenizer {
            if text.vocabulary == .clip {
                guard let rules = rules.ofBytePairs else {
                    throw .unavailableRules(
                        rules.rawValue, expected: BPETokenizer.Rules.allCases.map(\.rawValue))
                }
                guard text.vocabularySize >= BPETokenizer.vocabularySize else {
                    throw .unknownArchitecture(
                        path: folder ?? "",
                        expected: """
                            \(BPETokenizer.vocabularySize) token ids, because the configuration \
                            names no tokenizer (hf_tokenizer_name), which stands for CLIP's
                            """,
                        found: "\(text.vocabularySize)")
                }
                return .bytePairs(BPETokenizer(rules: rules))
            }
            guard let own = rules.ofSentencePiece else {
                throw .unavailableRules(
                    rules.rawValue, expected: SentencePieceTokenizer.Rules.allCases.map(\.rawValue))
            }
            guard let path else { throw .missingTokenizer(folder: folder ?? "", expected: names) }
            guard var format = text.vocabulary?.format else {
                throw .unknownArchitecture(
                    path: path,
                    expected: """
                        a configuration beside the weights that names the tokenizer \
                        (hf_tokenizer_name), or one of the published vocabularies
                        """,
                    found: "a vocabulary of \(text.vocabularySize) ids")
            }
            format.contextLength = text.contextLength
            format.convertsToLowerCase = try !isCased
            if let cleaning { format.cleaning = cleaning }
            let tokenizer: SentencePieceTokenizer
            do throws(TokenizerFileError) {
                tokenizer = try SentencePieceTokenizer(
                    contentsOf: path, format: format, rules: own, cacheFolder: cache)
            } catch {
                throw CLIPError(error)
            }
            try check(tokenizer, path)
            return .sentencePiece(tokenizer)
        }

        /// Checks that the tokenizer is of the model: it has an id for each row of the token table.
        ///
        /// T5's and SigLIP's vocabularies may have 100 extra ids behind those of the pieces, which
        /// no text gets and which have no rows.
        private func check(
            _ tokenizer: SentencePieceTokenizer, _ path: String
        ) throws(CLIPError) {
            let (rows, count) = (text.vocabularySize, tokenizer.vocabularySize)
            let isOfT5 = text.vocabulary == .siglip || text.vocabulary == .siglipMultilingual
            guard (rows...(rows + (isOfT5 ? 100 : 0))).contains(count) else {
                throw .malformedTokenizer(
                    path: path, part: "the vocabulary",
                    expected: "\(rows) ids, one for each row of the model's token table",
                    found: "\(count)")
            }
        }

        /// True if the rules are transformers' and the tokenizer of SigLIP 2 keeps the case of
        /// texts: its class in `tokenizer_config.json` is Gemma's, or that of a `tokenizer.json` as
        /// it is; SigLIP 2's own class converts to lower case.
        var isCased: Bool {
            get throws(CLIPError) {
                guard rules == .huggingFace, text.vocabulary == .siglip2, !keepsAspectRatio,
                    let folder, fileExists(folder + "tokenizer_config.json")
                else { return false }
                let json = try ConfigurationFile.json(path: folder + "tokenizer_config.json")
                let name = json["tokenizer_class"]?.string ?? ""
                return name.hasPrefix("Gemma")
                    || ["PreTrainedTokenizerFast", "TokenizersBackend"].contains(name)
            }
        }
    }
}

extension CLIPModel {
    /// The rules of tokenization in force: those asked for, or the model's own.
    package var tokenizerRules: Tokenizer.Rules { modelTokenizer.rules }
    /// The path of the tokenizer's file; nil if it is CLIP's, or if there is none.
    package var tokenizerPath: String? { modelTokenizer.path }
    /// A name of the tokenizer's rules and of what else determines the ids of texts, by which
    /// embeddings of texts are told apart.
    package var tokenizerVariant: String { modelTokenizer.variant }
}

extension CLIPConfiguration.Vocabulary {
    /// The start token, end token and padding of rows, and the cleaning of texts; nil for CLIP's
    /// byte pairs.
    var format: SentencePieceTokenizer.Format? {
        switch self {
        case .clip: nil
        case .siglip: .siglip
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
