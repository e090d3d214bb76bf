internal import Files

/// The settings as JSON, as they stand in a `CompactVocabulary`.
extension TokenizerSettings {
    var json: JSONValue {
        var members: [JSONValue.Member] = [
            ("algorithm", .string(algorithm.rawValue)),
            ("unknown", unknown.map { .integer($0) } ?? .null),
            ("bytes", .bool(fallsBackToBytes)), ("joins", .bool(joinsUnknown)),
            ("words", .bool(takesWholeWords)), ("by_score", .bool(mergesByScore)),
            ("user_defined", .bool(hasUserDefined)),
            ("byte_ids", .array(byteIDs.map { .integer($0) })),
            ("lowest", .number(lowestScore)),
        ]
        if let normalizer {
            let flags = [
                normalizer.addsDummyPrefix, normalizer.removesExtraWhitespace,
                normalizer.escapesWhitespace, normalizer.putsWhitespaceLast,
            ]
            members.append(("sentencepiece", .array(flags.map { .bool($0) })))
        }
        members.append(("normalizer", .array(pipeline.normalization.map(\.json))))
        members.append(("words_of", .array(pipeline.preTokenization.map(\.json))))
        members.append(("added", .array(pipeline.addedTokens.map(\.json))))
        return .object(members)
    }

    /// Reads settings from JSON.
    ///
    /// - Parameters:
    ///   - json: What `json` returned.
    ///   - count: The number of ids.
    init?(json: JSONValue, count: Int) {
        guard let algorithm = json["algorithm"]?.string.flatMap(Algorithm.init(rawValue:)),
            let bytes = json["bytes"]?.bool, let joins = json["joins"]?.bool,
            let words = json["words"]?.bool, let added = json["added"]?.array,
            let normalizer = json["normalizer"]?.array, let steps = json["words_of"]?.array,
            let unknown = json["unknown"], let mergesByScore = json["by_score"]?.bool,
            let hasUserDefined = json["user_defined"]?.bool,
            let lowest = json["lowest"]?.number,
            let byteIDs = json["byte_ids"]?.array?.compactMap(\.integer),
            byteIDs.count == (bytes ? 256 : 0),
            byteIDs.allSatisfy({ $0 >= -1 && $0 < count })
        else { return nil }
        self.algorithm = algorithm
        (fallsBackToBytes, joinsUnknown, takesWholeWords) = (bytes, joins, words)
        (self.hasUserDefined, self.byteIDs) = (hasUserDefined, byteIDs)
        (lowestScore, self.mergesByScore) = (lowest, mergesByScore)
        if unknown != .null {
            guard let id = unknown.integer, id >= 0, id < count else { return nil }
            self.unknown = id
        }
        self.normalizer = nil
        if let flags = json["sentencepiece"]?.array?.compactMap(\.bool) {
            guard flags.count == 4 else { return nil }
            self.normalizer = Normalizer(
                addsDummyPrefix: flags[0], removesExtraWhitespace: flags[1],
                escapesWhitespace: flags[2], putsWhitespaceLast: flags[3])
        }
        pipeline.normalization = normalizer.compactMap(TokenizerPipeline.Normalization.init(json:))
        pipeline.preTokenization = steps.compactMap(TokenizerPipeline.PreTokenization.init(json:))
        pipeline.addedTokens = added.compactMap(TokenizerPipeline.AddedToken.init(json:))
        guard pipeline.normalization.count == normalizer.count,
            pipeline.preTokenization.count == steps.count,
            pipeline.addedTokens.count == added.count
        else { return nil }
    }
}

extension JSONValue {
    var bool: Bool? {
        if case .bool(let value) = self { return value }
        return nil
    }

    var utf8: [UInt8]? { string.map { Array($0.utf8) } }

    static func utf8(_ bytes: [UInt8]) -> JSONValue {
        .string(String(decoding: bytes, as: UTF8.self))
    }
}

extension TokenizerPipeline.AddedToken {
    var json: JSONValue {
        .array([
            .utf8(text), .integer(id), .bool(stripsLeft), .bool(stripsRight), .bool(isNormalized),
            .bool(isSpecial),
        ])
    }

    init?(json: JSONValue) {
        guard let values = json.array, values.count == 6, let text = values[0].utf8,
            let id = values[1].integer, id >= 0, let left = values[2].bool,
            let right = values[3].bool, let isNormalized = values[4].bool,
            let isSpecial = values[5].bool
        else { return nil }
        self.init(
            text: text, id: id, stripsLeft: left, stripsRight: right, isNormalized: isNormalized,
            isSpecial: isSpecial)
    }
}

extension TokenizerPipeline.Normalization {
    var json: JSONValue {
        switch self {
        case .precompiled: .array([.string("precompiled")])
        case .lowercase: .array([.string("lowercase")])
        case .composed: .array([.string("composed")])
        case .replace(let old, let new): .array([.string("replace"), .utf8(old), .utf8(new)])
        case .replaceSpaces(let new): .array([.string("spaces"), .utf8(new)])
        case .prepend(let prefix): .array([.string("prepend"), .utf8(prefix)])
        case .strip(let left, let right): .array([.string("strip"), .bool(left), .bool(right)])
        }
    }

    init?(json: JSONValue) {
        guard let values = json.array, let name = values.first?.string else { return nil }
        let texts = values.dropFirst().compactMap(\.utf8)
        let flags = values.dropFirst().compactMap(\.bool)
        switch (name, texts.count, flags.count) {
        case ("precompiled", 0, 0): self = .precompiled
        case ("lowercase", 0, 0): self = .lowercase
        case ("composed", 0, 0): self = .composed
        case ("replace", 2, 0): self = .replace(texts[0], with: texts[1])
        case ("spaces", 1, 0): self = .replaceSpaces(with: texts[0])
        case ("prepend", 1, 0): self = .prepend(texts[0])
        case ("strip", 0, 2): self = .strip(left: flags[0], right: flags[1])
        default: return nil
        }
    }
}

extension TokenizerPipeline.PreTokenization {
    var json: JSONValue {
        switch self {
        case .whitespace: .array([.string("whitespace")])
        case .splitAfter(let string): .array([.string("split"), .utf8(string)])
        case .metaspace(let replacement, let prefix, let splits):
            .array([
                .string("metaspace"), .utf8(replacement), .string(prefix.rawValue), .bool(splits),
            ])
        }
    }

    init?(json: JSONValue) {
        guard let values = json.array, let name = values.first?.string else { return nil }
        switch (name, values.count) {
        case ("whitespace", 1): self = .whitespace
        case ("split", 2):
            guard let string = values[1].utf8 else { return nil }
            self = .splitAfter(string)
        case ("metaspace", 4):
            guard let replacement = values[1].utf8, let splits = values[3].bool,
                let prefix = values[2].string.flatMap(Prefix.init(rawValue:))
            else { return nil }
            self = .metaspace(replacement: replacement, prefix: prefix, splits: splits)
        default: return nil
        }
    }
}
