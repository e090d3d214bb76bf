internal import Files

extension SentencePieceModel {
    /// Reads Hugging Face's `tokenizer.json` of a Unigram or BPE model.
    ///
    /// `post_processor`, `decoder`, `truncation` and `padding` are not used: the frame of rows is
    /// that of `SentencePieceTokenizer.Format`.
    ///
    /// - Parameter bytes: The content of the file.
    /// - Throws: `TokenizerDefect`, also for every setting that would change ids and is not
    ///   supported.
    init(tokenizerJSON bytes: [UInt8]) throws(TokenizerDefect) {
        settings.normalizer = nil
        settings.mergesByScore = false
        var members: [String: Range<Int>] = [:]
        var model = self
        var scanner = JSONScanner(bytes)
        try scanner.object { (scanner) throws(TokenizerDefect) in
            let key = String(decoding: scanner.string, as: UTF8.self)
            let range: Range<Int>
            if key == "model", members[key] == nil {
                let start = scanner.position
                try model.readModel(&scanner)
                range = start..<scanner.position
            } else {
                range = try scanner.skipValue()
            }
            guard members.updateValue(range, forKey: key) == nil else {
                throw TokenizerDefect(
                    "the JSON", expected: "each key once", found: "\"\(key)\" twice")
            }
        }
        self = model
        try scanner.expectEnd()
        guard members["model"] != nil else {
            throw TokenizerDefect("the JSON", expected: "the key model", found: "none")
        }
        for (key, range) in members.sorted(by: { $0.value.lowerBound < $1.value.lowerBound }) {
            switch key {
            case "normalizer": try readNormalizer(Self.value(bytes, range, key))
            case "pre_tokenizer": try readPreTokenizer(Self.value(bytes, range, key))
            case "added_tokens", "model": break
            case "version", "truncation", "padding", "post_processor", "decoder": break
            default:
                throw .unsupported(
                    "the JSON", expected: "the keys of tokenizers 0.23", found: "\"\(key)\"")
            }
        }
        if let range = members["added_tokens"] {
            try readAddedTokens(Self.value(bytes, range, "added_tokens"))
        }
        try checkPipeline()
        try checkText()
    }

    private static func value(
        _ bytes: [UInt8], _ range: Range<Int>, _ name: String
    ) throws(TokenizerDefect) -> JSONValue {
        guard range.count <= 8 << 20 else {
            throw .unsupported(name, expected: "at most 8 MiB", found: "\(range.count) bytes")
        }
        do throws(JSONValue.SyntaxError) {
            return try JSONValue(parsing: Array(bytes[range]))
        } catch {
            throw TokenizerDefect(name, expected: "JSON", found: error.reason)
        }
    }

    // MARK: - The model

    private mutating func readModel(_ scanner: inout JSONScanner) throws(TokenizerDefect) {
        var values: [String: JSONValue] = [:]
        var pieces: UInt8 = 0
        var merges: Range<Int>?
        var model = self
        try scanner.object { (scanner) throws(TokenizerDefect) in
            let key = String(decoding: scanner.string, as: UTF8.self)
            guard values[key] == nil, key != "vocab" || pieces == 0,
                key != "merges" || merges == nil
            else {
                throw TokenizerDefect(
                    "the model", expected: "each key once", found: "\"\(key)\" twice")
            }
            switch key {
            case "vocab":
                pieces = scanner.peek()
                if pieces == UInt8(ascii: "[") {
                    try model.readScoredPieces(&scanner)
                } else {
                    try model.readPieces(&scanner)
                }
                model.table = try PieceTable(model)
            case "merges":
                if model.table == nil {
                    merges = try scanner.skipValue()
                } else {
                    merges = scanner.position..<scanner.position
                    try model.readMerges(&scanner)
                }
            default:
                values[key] = try Self.value(
                    scanner.bytes, scanner.skipValue(), "the model's \(key)")
            }
        }
        self = model
        guard table != nil else {
            throw TokenizerDefect("the model", expected: "the key vocab", found: "none")
        }
        if let merges, !merges.isEmpty {
            var scanner = JSONScanner(scanner.bytes, merges)
            try readMerges(&scanner)
        }
        try readSettings(values, isScored: pieces == UInt8(ascii: "["))
    }

    private mutating func readSettings(
        _ values: [String: JSONValue], isScored: Bool
    ) throws(TokenizerDefect) {
        // Older files do not say the type; their vocabularies tell.
        let type = values["type"]?.string ?? (isScored ? "Unigram" : "BPE")
        guard !["Unigram", "BPE"].contains(type) || isScored == (type == "Unigram") else {
            throw TokenizerDefect(
                "vocab", expected: type == "BPE" ? "an object" : "an array", found: "the other")
        }
        settings.fallsBackToBytes = values["byte_fallback"]?.bool ?? false
        switch type {
        case "Unigram":
            settings.algorithm = .unigram
            try check(values, of: ["type", "unk_id", "byte_fallback"])
            guard let id = values["unk_id"]?.integer, id >= 0, id < count else {
                throw TokenizerDefect(
                    "unk_id", expected: "an id below \(count)",
                    found: "\(values["unk_id"] ?? .null)")
            }
            settings.unknown = id
        case "BPE":
            settings.algorithm = .bpe
            try check(
                values,
                of: [
                    "type", "dropout", "unk_token", "continuing_subword_prefix",
                    "end_of_word_suffix", "fuse_unk", "byte_fallback", "ignore_merges",
                ])
            settings.joinsUnknown = values["fuse_unk"]?.bool ?? false
            settings.takesWholeWords = values["ignore_merges"]?.bool ?? false
            if let token = values["unk_token"]?.utf8 {
                guard let id = table?.id(of: token) else {
                    throw TokenizerDefect(
                        "unk_token", expected: "a piece",
                        found: "\"\(String(decoding: token, as: UTF8.self))\"")
                }
                settings.unknown = id
            }
        default:
            throw .unsupported(
                "the model's type", expected: "Unigram or BPE", found: "\"\(type)\"")
        }
    }

    /// Checks that a model has no unknown keys, and no values that are not supported.
    private func check(
        _ values: [String: JSONValue], of keys: [String]
    ) throws(TokenizerDefect) {
        for (key, value) in values {
            guard keys.contains(key) else {
                throw .unsupported(
                    "the model", expected: keys.joined(separator: ", "), found: "\"\(key)\"")
            }
            let isValid =
                switch key {
                case "dropout": value == .null || value.number == 0
                case "continuing_subword_prefix", "end_of_word_suffix":
                    value == .null || value.string?.isEmpty == true
                case "fuse_unk", "byte_fallback", "ignore_merges":
                    value == .null || value.bool != nil
                case "unk_token": value == .null || value.string != nil
                default: true
                }
            guard isValid else {
                throw .unsupported(
                    "the model's \(key)", expected: "none, or its default", found: "\(value)")
            }
        }
    }

    private mutating func readScoredPieces(
        _ scanner: inout JSONScanner
    ) throws(TokenizerDefect) {
        var model = self
        try scanner.array { (scanner) throws(TokenizerDefect) in
            try scanner.expect("[")
            try scanner.readString()
            try scanner.expect(",")
            let score = try scanner.number()
            try scanner.expect("]")
            try model.append(scanner.string, score, .normal)
        }
        self = model
    }

    /// Reads the pieces of a BPE model, which have their ids with them.
    private mutating func readPieces(_ scanner: inout JSONScanner) throws(TokenizerDefect) {
        var text: [UInt8] = []
        var ranges: [Range<Int>?] = []
        var found = 0
        text.reserveCapacity(scanner.bytes.count / 16)
        try scanner.object { (scanner) throws(TokenizerDefect) in
            let start = text.count
            text += scanner.string
            let id = try scanner.integer()
            let limit = min(Self.maximumCount, 2 * found + 65_536)
            guard id >= 0, id < limit else {
                throw .unsupported(
                    "the id of \"\(String(decoding: text[start...].prefix(40), as: UTF8.self))\"",
                    expected: "0..<\(limit)", found: "\(id)")
            }
            if id >= ranges.count {
                ranges += [Range<Int>?](repeating: nil, count: id + 1 - ranges.count)
            }
            guard ranges[id] == nil, start < text.count else {
                throw TokenizerDefect(
                    "the vocabulary", expected: "pieces of at least one byte, each with its own id",
                    found:
                        "\"\(String(decoding: text[start...].prefix(40), as: UTF8.self))\", \(id)")
            }
            ranges[id] = start..<text.count
            found += 1
        }
        for range in ranges {
            try append(text[range ?? 0..<0], 0, range == nil ? .absent : .normal)
        }
    }

    /// Reads merges: pairs of strings, or strings with a space between the two parts.
    private mutating func readMerges(_ scanner: inout JSONScanner) throws(TokenizerDefect) {
        guard let table else { preconditionFailure("expected the pieces before the merges") }
        var merges: [(left: UInt32, right: UInt32, merged: UInt32)] = []
        merges.reserveCapacity(scanner.bytes.count / 48)
        try scanner.array { (scanner) throws(TokenizerDefect) in
            // The string of the scanner is not kept, so that its memory is used again.
            let isPair = scanner.take("[")
            try scanner.readString()
            let space = isPair ? nil : scanner.string.firstIndex(of: UInt8(ascii: " "))
            guard let node = table.walk(PieceTable.root, scanner.string.prefix(space ?? .max)),
                let first = table.id(ofNode: node)
            else { throw Self.invalidMerge(merges.count, scanner.string) }
            if isPair {
                try scanner.expect(",")
                try scanner.readString()
                try scanner.expect("]")
            }
            let start = isPair ? 0 : (space ?? scanner.string.count - 1) + 1
            guard let second = table.id(of: scanner.string.dropFirst(start)),
                let merged = table.walk(node, scanner.string.dropFirst(start))
                    .flatMap(table.id(ofNode:))
            else { throw Self.invalidMerge(merges.count, scanner.string) }
            guard merges.count < Self.maximumMerges else {
                throw .unsupported(
                    "the merges", expected: "at most \(Self.maximumMerges)",
                    found: "more than that")
            }
            merges.append((UInt32(first), UInt32(second), UInt32(merged)))
        }
        self.merges = merges
    }

    private static func invalidMerge(_ rank: Int, _ found: [UInt8]) -> TokenizerDefect {
        TokenizerDefect(
            "merge \(rank)", expected: "two pieces that together are a piece",
            found: "\"\(String(decoding: found.prefix(40), as: UTF8.self))\"")
    }
}
