import CLIP
import Files

/// Descriptions of a model's parts for `clip info`.
extension CLIPModel {
    /// The tokenizer's vocabulary, and its file or the word "missing".
    var tokenizerInWords: String {
        guard let vocabulary = configuration.text.vocabulary else {
            let file = tokenizerPath.map { ", \($0)" } ?? ""
            return "unknown: no configuration names the vocabulary\(file)"
        }
        guard vocabulary != .clip else { return vocabulary.inWords }
        let file =
            tokenizerPath
            ?? "missing (texts need its file beside the weights, such as tokenizer.model)"
        return "\(vocabulary.inWords), \(file)"
    }

    /// The error of reading the tokenizer's file; nil if it can be read or if there is none.
    var tokenizerError: CLIPError? {
        guard configuration.text.vocabulary != nil, tokenizerPath != nil else { return nil }
        do throws(CLIPError) {
            _ = try tokenizer
            return nil
        } catch {
            return error
        }
    }

    /// The rules of tokenization and preprocessing, as `--tokenizer` and `--preprocess` name them.
    var rulesInWords: String {
        "\(tokenizerRules.rawValue) for texts, \(preprocessor.rules.rawValue) for images"
    }

    /// The activation of both towers, or of each if they differ.
    var activationInWords: String {
        let written = configuration.text.activation
        guard let shown = configuration.imageActivation, shown != written else {
            return written.rawValue
        }
        return "\(shown.rawValue) for images, \(written.rawValue) for texts"
    }

    /// Returns the members of the object of `clip info --json` about scores, texts and rules.
    func furtherInfo(
        isActivationKnown: Bool, _ tokenizerError: CLIPError?
    ) -> [JSONValue.Member] {
        let (text, isAnyShape) = (configuration.text, preprocessor.resizeMode == .patches)
        func optional(_ value: String?) -> JSONValue { value.map { .string($0) } ?? .null }
        var endToken = JSONValue.null
        if case .first(let id) = text.pooling { endToken = .integer(id) }
        return [
            // The activation is a part of the embedding space.
            ("fingerprint", optional(isActivationKnown ? fingerprint : nil)),
            ("logit_bias", logitBias.map { .float($0) } ?? .null),
            (
                "image_activation",
                optional(isActivationKnown ? configuration.imageActivation?.rawValue : nil)
            ),
            ("vocabulary", optional(text.vocabulary?.rawValue)),
            ("vocabulary_size", .integer(text.vocabularySize)),
            ("tokenizer_file", optional(tokenizerPath)),
            ("tokenizer_error", optional(tokenizerError.map { "\($0)" })),
            ("tokenizer_rules", .string(tokenizerRules.rawValue)),
            ("preprocessing_rules", .string(preprocessor.rules.rawValue)),
            ("causal", .bool(text.isCausal)),
            ("text_pooling", .string(text.pooling.name)),
            ("text_pooling_id", endToken),
            ("patch_size", isAnyShape ? .integer(preprocessor.patchSize) : .null),
            ("patch_limit", isAnyShape ? .integer(preprocessor.patchLimit) : .null),
        ]
    }
}

extension CLIPConfiguration {
    /// The activation of the image tower's MLPs; nil for a ModifiedResNet, which has none.
    fileprivate var imageActivation: Activation? {
        guard case .visionTransformer(let vision) = vision else { return nil }
        return vision.activation
    }
}

extension CLIPConfiguration.Text {
    /// The text tower in a few words.
    var inWords: String {
        """
        width \(width), \(layers) layers, \(heads) heads, \(contextLength) positions, \
        \(vocabularySize) ids, \(isCausal ? "causal" : "not causal"), pooled at \(pooling.inWords)
        """
    }
}

extension CLIPConfiguration.TextPooling {
    fileprivate var inWords: String {
        switch self {
        case .largestID: "the largest id"
        case .last: "the last position"
        case .first(let id): "the first id \(id)"
        }
    }

    /// The name in JSON.
    fileprivate var name: String {
        switch self {
        case .largestID: "largest_id"
        case .last: "last"
        case .first: "first_id"
        }
    }
}

extension CLIPConfiguration.Vocabulary {
    fileprivate var inWords: String {
        switch self {
        case .clip: "CLIP's byte pairs"
        case .siglip: "SigLIP's pieces"
        case .siglipMultilingual: "multilingual SigLIP's pieces"
        case .siglip2: "SigLIP 2's pieces"
        case .metaCLIP2: "MetaCLIP 2's pieces"
        }
    }
}

extension ImagePreprocessor {
    /// The filter and the treatment of images that are not square.
    var resizingInWords: String {
        let words = "\(interpolation.rawValue), \(resizeMode.rawValue)"
        guard resizeMode == .patches else { return words }
        return "\(words) (at most \(patchLimit) of \(patchSize) x \(patchSize) pixels)"
    }
}

extension WeightLayout {
    /// The libraries that use the layout.
    var inWords: String {
        switch self {
        case .openAI: "OpenAI, open_clip"
        case .timm: "open_clip with timm's image tower"
        case .huggingFace: "Hugging Face"
        }
    }
}
