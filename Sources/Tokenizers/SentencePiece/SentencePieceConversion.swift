/// The pipelines that Hugging Face's library makes of SentencePiece models.
///
/// Source: `convert_slow_tokenizer.py` and `tokenization_*.py` of huggingface/transformers 5.24.
enum SentencePieceConversion: String, Sendable, CaseIterable {
    /// The pipeline of SentencePiece itself.
    case none
    /// T5's pipeline: Unigram without byte fallback.
    case t5
    /// Gemma's pipeline: BPE with byte fallback.
    case gemma
    /// Gemma's pipeline with lower-casing, that of SigLIP 2.
    case lowercaseGemma = "gemma-lowercase"
    /// The pipeline of XLM-RoBERTa: special tokens come first, and all other ids are one higher.
    case xlmRoBERTa = "xlm-roberta"
}

extension SentencePieceModel {
    /// Returns the model with the pipeline and the ids of Hugging Face's library.
    ///
    /// - Parameter conversion: The conversion.
    /// - Returns: The converted model.
    /// - Throws: `TokenizerDefect` if the model has another algorithm than the conversion is for.
    func converted(_ conversion: SentencePieceConversion) throws(TokenizerDefect) -> Self {
        if conversion == .none { return self }
        let expected: TokenizerSettings.Algorithm =
            [.gemma, .lowercaseGemma].contains(conversion) ? .bpe : .unigram
        guard settings.algorithm == expected else {
            throw .unsupported(
                "trainer_spec.model_type", expected: expected.rawValue,
                found: settings.algorithm.rawValue)
        }
        var model = self
        model.settings.normalizer = nil
        var steps: [TokenizerPipeline.Normalization] = characterMap.isEmpty ? [] : [.precompiled]
        switch conversion {
        case .none: break
        case .t5:
            model.settings.fallsBackToBytes = false
            steps += [.strip(left: false, right: true), .replaceSpaces(with: .metaspace)]
            model.settings.pipeline.preTokenization = [
                .metaspace(replacement: .metaspace, prefix: .first, splits: true)
            ]
            model.addReservedTokens()
        case .gemma, .lowercaseGemma:
            steps = [.replace([UInt8(ascii: " ")], with: .metaspace)]
            if conversion == .lowercaseGemma { steps.insert(.lowercase, at: 0) }
            model.settings.pipeline.preTokenization = [.splitAfter([UInt8(ascii: " ")])]
            try model.replaceByteByTab()
            model.addReservedTokens()
        case .xlmRoBERTa:
            try model.renumberLikeXLMRoBERTa()
            model.settings.fallsBackToBytes = false
            model.settings.pipeline.preTokenization = [
                .whitespace, .metaspace(replacement: .metaspace, prefix: .always, splits: true),
            ]
        }
        model.settings.pipeline.normalization = steps
        return model
    }

    /// Adds the pieces that are no ordinary ones as tokens that are found in texts.
    private mutating func addReservedTokens() {
        settings.pipeline.addedTokens = (0..<count).compactMap { id in
            switch kinds[id] {
            case .control, .unknown, .userDefined:
                TokenizerPipeline.AddedToken(
                    text: Array(piece(id)), id: id, isSpecial: kinds[id] != .userDefined)
            case .normal, .unused, .byte, .absent: nil
            }
        }
    }

    /// Replaces the piece of the byte 9 by a tab, as the conversion of Gemma does if no piece is a
    /// tab.
    private mutating func replaceByteByTab() throws(TokenizerDefect) {
        guard !(0..<count).contains(where: { piece($0).elementsEqual([9]) }),
            let tab = (0..<count).first(where: { Self.byte(of: piece($0)) == 9 })
        else { return }
        var model = SentencePieceModel()
        for id in 0..<count {
            try model.append(id == tab ? [9] : piece(id), scores[id], kinds[id])
        }
        (model.settings, model.characterMap) = (settings, characterMap)
        self = model
    }

    private mutating func renumberLikeXLMRoBERTa() throws(TokenizerDefect) {
        // Ids are renumbered by these.
        for (id, name) in ["<unk>", "<s>", "</s>"].enumerated() {
            guard id < count, piece(id).elementsEqual(name.utf8) else {
                throw TokenizerDefect(
                    "piece \(id)", expected: "\"\(name)\", as in vocabularies of XLM-RoBERTa",
                    found: id < count ? self.name(id) : "none")
            }
        }
        var model = SentencePieceModel()
        let special = ["<s>", "<pad>", "</s>", "<unk>"]
        for name in special { try model.append(Array(name.utf8), 0, .control) }
        for id in 3..<count { try model.append(piece(id), scores[id], kinds[id]) }
        try model.append(Array("<mask>".utf8), 0, .control)
        (model.settings, model.characterMap) = (settings, characterMap)
        model.settings.unknown = 3
        let ids = Array(zip(special + ["<mask>"], [0, 1, 2, 3, model.count - 1]))
        model.settings.pipeline.addedTokens = ids.map { name, id in
            TokenizerPipeline.AddedToken(
                text: Array(name.utf8), id: id, stripsLeft: name == "<mask>")
        }
        self = model
    }
}
