/// A vocabulary and its pipeline: UTF-8 in, ids out.
struct SentencePieceEncoder: Sendable {
    let vocabulary: CompactVocabulary

    /// Appends the ids of a text in UTF-8, without start and end tokens.
    func append(_ text: [UInt8], to ids: inout [Int]) {
        if let rules = vocabulary.settings.normalizer {
            let normalize = SentencePieceNormalizer(rules: rules, vocabulary: vocabulary)
            appendPieces(of: normalize(text), to: &ids)
            return
        }
        for part in vocabulary.settings.pipeline.parts(of: text, vocabulary.map) {
            switch part {
            case .id(let id): ids.append(id)
            case .text(let word, _): appendPieces(of: word, to: &ids)
            }
        }
    }

    /// Appends the ids of normalised text.
    private func appendPieces(of text: [UInt8], to ids: inout [Int]) {
        if text.isEmpty { return }
        let settings = vocabulary.settings
        if settings.algorithm == .bpe, !settings.mergesByScore {
            ids += HuggingFaceBPE(vocabulary: vocabulary).ids(of: text)
            return
        }
        if settings.takesWholeWords, let id = vocabulary.id(of: text) {
            ids.append(id)
            return
        }
        var unknown: Range<Int>?
        func appendUnknown() {
            if let unknown { appendIDs(ofUnknown: text[unknown], to: &ids) }
            unknown = nil
        }
        func append(_ id: Int?, _ range: Range<Int>) {
            if let id {
                appendUnknown()
                ids.append(id)
            } else if settings.joinsUnknown || unknown == nil {
                unknown = (unknown?.lowerBound ?? range.lowerBound)..<range.upperBound
            } else {
                appendUnknown()
                unknown = range
            }
        }
        switch settings.algorithm {
        case .unigram: UnigramEncoder(vocabulary: vocabulary).forEachPiece(of: text, append)
        case .bpe: ScoredBPE(vocabulary: vocabulary).forEachPiece(of: text, append)
        }
        appendUnknown()
    }

    /// Appends the ids of a run of unknown characters: their bytes, or one for all.
    private func appendIDs(ofUnknown text: ArraySlice<UInt8>, to ids: inout [Int]) {
        let settings = vocabulary.settings
        // Hugging Face looks the whole run up, which may be a piece that no path takes.
        if settings.normalizer == nil, let id = vocabulary.id(of: text) {
            ids.append(id)
        } else if settings.fallsBackToBytes,
            text.allSatisfy({ settings.byteIDs[Int($0)] >= 0 })
        {
            ids += text.map { settings.byteIDs[Int($0)] }
        } else if let id = settings.unknown {
            ids.append(id)
        }
    }

    /// Returns the text of ids.
    ///
    /// Control pieces and ids without a piece are left out, U+2581 becomes a space, bytes become
    /// UTF-8, and a space at the beginning is removed if the tokenizer puts one there.
    func decode(_ ids: some Sequence<Int>) -> String {
        let settings = vocabulary.settings
        var bytes: [UInt8] = []
        for id in ids where id >= 0 && id < vocabulary.count {
            let piece = vocabulary.piece(id)
            let kind = vocabulary.kind(id)
            let isAdded = settings.pipeline.addedTokens.contains { $0.id == id && $0.isSpecial }
            if kind == .control || kind == .absent || isAdded { continue }
            if kind == .unknown || id == settings.unknown {
                bytes += " \u{2047} ".utf8
            } else if settings.fallsBackToBytes, let byte = SentencePieceModel.byte(of: piece[...]),
                kind == .byte || settings.normalizer == nil
            {
                bytes.append(byte)
            } else {
                bytes += piece.replacing(.metaspace, with: [UInt8(ascii: " ")])
            }
        }
        if addsPrefix, bytes.first == UInt8(ascii: " ") { bytes.removeFirst() }
        return String(decoding: bytes, as: UTF8.self)
    }

    private var addsPrefix: Bool {
        if let rules = vocabulary.settings.normalizer {
            return rules.addsDummyPrefix || rules.removesExtraWhitespace
        }
        return vocabulary.settings.pipeline.preTokenization.contains {
            if case .metaspace(_, let prefix, _) = $0 { prefix != .never } else { false }
        }
    }
}
