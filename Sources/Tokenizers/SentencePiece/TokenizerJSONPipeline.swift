internal import Files

/// The steps before the model in Hugging Face's `tokenizer.json`.
extension SentencePieceModel {
    /// The keys of each step; any other key would be a setting that this version does not know.
    private static let keys: [String: Set<String>] = [
        "Precompiled": ["precompiled_charsmap"], "Lowercase": [], "NFC": [],
        "Strip": ["strip_left", "strip_right"], "Prepend": ["prepend"],
        "Replace": ["pattern", "content"], "WhitespaceSplit": [],
        "Metaspace": ["replacement", "prepend_scheme", "add_prefix_space", "split", "str_rep"],
        "Split": ["pattern", "behavior", "invert"],
    ]

    mutating func readNormalizer(_ json: JSONValue) throws(TokenizerDefect) {
        var model = self
        try Self.forEachStep(of: json, "normalizers", "the normalizer") {
            (step, type) throws(TokenizerDefect) in
            try model.readNormalization(step, type)
        }
        self = model
    }

    private mutating func readNormalization(
        _ step: JSONValue, _ type: String
    ) throws(TokenizerDefect) {
        switch type {
        case "Precompiled":
            guard let text = step["precompiled_charsmap"]?.utf8, let map = decodedBase64(text)
            else {
                throw TokenizerDefect(
                    "precompiled_charsmap", expected: "Base64", found: "something else")
            }
            guard characterMap.isEmpty else {
                throw .unsupported(
                    "the normalizer", expected: "one precompiled_charsmap", found: "two")
            }
            characterMap = map
            if !map.isEmpty { settings.pipeline.normalization.append(.precompiled) }
        case "Lowercase": settings.pipeline.normalization.append(.lowercase)
        case "NFC": settings.pipeline.normalization.append(.composed)
        case "Strip":
            settings.pipeline.normalization.append(
                .strip(
                    left: try Self.flag(step, "strip_left"),
                    right: try Self.flag(step, "strip_right")))
        case "Prepend":
            settings.pipeline.normalization.append(.prepend(try Self.text(step, "prepend")))
        case "Replace":
            let content = try Self.text(step, "content")
            if let pattern = try Self.pattern(step) {
                settings.pipeline.normalization.append(.replace(pattern, with: content))
            } else if step["pattern"]?["Regex"]?.string == " {2,}" {
                settings.pipeline.normalization.append(.replaceSpaces(with: content))
            } else {
                throw .unsupported(
                    "the pattern of Replace", expected: "a string, or the expression \" {2,}\"",
                    found: "\(step["pattern"] ?? .null)")
            }
        default:
            throw .unsupported(
                "the normalizer",
                expected: "Sequence, Precompiled, Replace, Lowercase, Strip, Prepend or NFC",
                found: "\"\(type)\"")
        }
    }

    mutating func readPreTokenizer(_ json: JSONValue) throws(TokenizerDefect) {
        var steps: [TokenizerPipeline.PreTokenization] = []
        try Self.forEachStep(of: json, "pretokenizers", "the pre_tokenizer") {
            (step, type) throws(TokenizerDefect) in
            switch type {
            case "WhitespaceSplit": steps.append(.whitespace)
            case "Metaspace": steps.append(try Self.metaspace(step))
            case "Split":
                guard let pattern = try Self.pattern(step),
                    step["behavior"]?.string == "MergedWithPrevious",
                    step["invert"]?.bool == false
                else {
                    throw .unsupported(
                        "Split", expected: "a string as pattern, merged with the previous part",
                        found: "\(step)")
                }
                steps.append(.splitAfter(pattern))
            default:
                throw .unsupported(
                    "the pre_tokenizer", expected: "Sequence, Metaspace, WhitespaceSplit or Split",
                    found: "\"\(type)\"")
            }
        }
        settings.pipeline.preTokenization = steps
    }

    private static func metaspace(
        _ step: JSONValue
    ) throws(TokenizerDefect) -> TokenizerPipeline.PreTokenization {
        let replacement = try text(step, "replacement")
        guard String(decoding: replacement, as: UTF8.self).unicodeScalars.count == 1 else {
            throw TokenizerDefect(
                "the replacement of Metaspace", expected: "one character",
                found: "\(step["replacement"] ?? .null)")
        }
        let name = step["prepend_scheme"]?.string ?? "always"
        guard var prefix = TokenizerPipeline.PreTokenization.Prefix(rawValue: name) else {
            throw .unsupported(
                "prepend_scheme", expected: "first, always or never", found: "\"\(name)\"")
        }
        if step["add_prefix_space"]?.bool == false {
            guard step["prepend_scheme"] == nil || prefix == .never else {
                throw TokenizerDefect(
                    "add_prefix_space", expected: "true, because of prepend_scheme", found: "false")
            }
            prefix = .never
        }
        return .metaspace(
            replacement: replacement, prefix: prefix, splits: step["split"]?.bool ?? true)
    }

    mutating func readAddedTokens(_ json: JSONValue) throws(TokenizerDefect) {
        guard let tokens = json.array else {
            throw TokenizerDefect("added_tokens", expected: "an array", found: "another value")
        }
        var added: [TokenizerPipeline.AddedToken] = []
        for token in tokens {
            let text = try Self.text(token, "content")
            guard let id = token["id"]?.integer, id >= 0, id < Self.maximumCount,
                table?.id(of: text) == (id < count && kinds[id] != .absent ? id : nil)
            else {
                throw TokenizerDefect(
                    "the added token \(token["content"] ?? .null)",
                    expected: table?.id(of: text).map { "the id \($0), as in the vocabulary" }
                        ?? "an id of its own below \(Self.maximumCount)",
                    found: "\(token["id"] ?? .null)")
            }
            guard try !Self.flag(token, "single_word") else {
                throw .unsupported(
                    "the added token \(token["content"] ?? .null)",
                    expected: "single_word to be false", found: "true")
            }
            if text.isEmpty { continue }
            added.append(
                TokenizerPipeline.AddedToken(
                    text: text, id: id, stripsLeft: try Self.flag(token, "lstrip"),
                    stripsRight: try Self.flag(token, "rstrip"),
                    isNormalized: try Self.flag(token, "normalized"),
                    isSpecial: try Self.flag(token, "special")))
        }
        try addTokens(added)
    }

    /// Adds tokens, and pieces for ids beyond the vocabulary.
    mutating func addTokens(
        _ added: [TokenizerPipeline.AddedToken]
    ) throws(TokenizerDefect) {
        let count = self.count
        for token in added.sorted(by: { $0.id < $1.id }) where token.id >= count {
            guard token.id <= count + 2 * added.count else {
                throw .unsupported(
                    "the added tokens", expected: "ids below \(count + 2 * added.count)",
                    found: "\(token.id)")
            }
            while self.count < token.id { try append([], 0, .absent) }
            guard self.count == token.id else {
                throw TokenizerDefect(
                    "the added tokens", expected: "each id once", found: "\(token.id) twice")
            }
            try append(token.text, 0, .absent)
        }
        settings.pipeline.addedTokens = added
    }

    /// Checks that the steps are in an order that is supported, and do not let texts explode.
    func checkPipeline() throws(TokenizerDefect) {
        let pipeline = settings.pipeline
        guard pipeline.normalization.count <= 16, pipeline.preTokenization.count <= 4 else {
            throw .unsupported(
                "the normalizer and the pre_tokenizer", expected: "at most 16 and 4 steps",
                found: "\(pipeline.normalization.count) and \(pipeline.preTokenization.count)")
        }
        // What texts become at most, so that the time to encode one is linear.
        let limit = 64
        var growth = 1
        for step in pipeline.normalization {
            switch step {
            case .replace(let old, let new): growth *= 1 + new.count / old.count
            case .replaceSpaces(let new): growth *= 1 + new.count / 2
            case .prepend(let prefix): growth += prefix.count
            case .precompiled, .lowercase, .strip, .composed: break
            }
            guard growth <= limit else {
                throw .unsupported(
                    "the normalizer", expected: "text to become at most \(limit) times as long",
                    found: "more than that")
            }
        }
        for token in pipeline.addedTokens where token.isNormalized {
            guard token.text.count * growth <= 4 * Self.maximumLength else {
                throw .unsupported(
                    "the added token of the id \(token.id)",
                    expected: "at most \(4 * Self.maximumLength) bytes after normalising",
                    found: "possibly \(token.text.count * growth)")
            }
        }
        for (index, step) in pipeline.preTokenization.enumerated() where index > 0 {
            if case .metaspace(_, .first, _) = step {
                throw .unsupported(
                    "the pre_tokenizer",
                    expected: "Metaspace with prepend_scheme first to be the first step",
                    found: "step \(index + 1)")
            }
        }
    }

    /// Calls a closure with each step, which may be in sequences of sequences.
    private static func forEachStep(
        of json: JSONValue, _ key: String, _ name: String,
        _ body: (JSONValue, String) throws(TokenizerDefect) -> Void
    ) throws(TokenizerDefect) {
        if json == .null { return }
        guard let type = json["type"]?.string else {
            throw TokenizerDefect(name, expected: "a type", found: "none")
        }
        guard type == "Sequence" else {
            let unknown = (json.members ?? []).first {
                $0.key != "type" && keys[type]?.contains($0.key) == false
            }
            guard unknown == nil else {
                throw .unsupported(
                    "\(type)", expected: keys[type]?.sorted().joined(separator: ", ") ?? "",
                    found: "\"\(unknown?.key ?? "")\"")
            }
            return try body(json, type)
        }
        guard let steps = json[key]?.array else {
            throw TokenizerDefect(name, expected: "the array \(key)", found: "none")
        }
        for step in steps { try forEachStep(of: step, key, name, body) }
    }

    private static func flag(_ json: JSONValue, _ key: String) throws(TokenizerDefect) -> Bool {
        guard let value = json[key]?.bool else {
            throw TokenizerDefect(key, expected: "true or false", found: "\(json[key] ?? .null)")
        }
        return value
    }

    private static func text(_ json: JSONValue, _ key: String) throws(TokenizerDefect) -> [UInt8] {
        guard let value = json[key]?.utf8 else {
            throw TokenizerDefect(key, expected: "a string", found: "\(json[key] ?? .null)")
        }
        return try bounded(value, key)
    }

    /// Returns the string that a step looks for; nil if it is empty or no string.
    private static func pattern(_ step: JSONValue) throws(TokenizerDefect) -> [UInt8]? {
        guard let value = step["pattern"]?["String"]?.utf8, !value.isEmpty else { return nil }
        return try bounded(value, "pattern")
    }

    /// Returns a string unless it is too long: the time to find one grows with its length.
    private static func bounded(
        _ value: [UInt8], _ key: String
    ) throws(TokenizerDefect) -> [UInt8] {
        guard value.count <= maximumLength else {
            throw .unsupported(
                key, expected: "at most \(maximumLength) bytes", found: "\(value.count)")
        }
        return value
    }
}

/// Decodes Base64; nil if it is malformed.
func decodedBase64(_ text: [UInt8]) -> [UInt8]? {
    guard text.count % 4 == 0 else { return nil }
    var result: [UInt8] = []
    result.reserveCapacity(text.count / 4 * 3)
    let padding = text.suffix(2).filter { $0 == UInt8(ascii: "=") }.count
    var bits: UInt32 = 0
    for (index, byte) in text.dropLast(padding).enumerated() {
        let value: UInt8
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = byte - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): value = byte - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): value = byte - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): value = 62
        case UInt8(ascii: "/"): value = 63
        default: return nil
        }
        bits = bits << 6 | UInt32(value)
        if index % 4 > 0 {
            result.append(UInt8(truncatingIfNeeded: bits >> UInt32(6 - 2 * (index % 4))))
        }
    }
    return result
}
