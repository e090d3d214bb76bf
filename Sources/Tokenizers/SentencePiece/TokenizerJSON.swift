internal import Files

extension SentencePieceModel {
    /// Reads Hugging Face's `tokenizer.json` of a Unigram or BPE model.
    ///
    /// `post_processor`, `decoder`, `truncation` and `padding` are not used: the frame of rows comes
    /// from `SentencePieceTokenizer.Format`.
    ///
    /// - Parameter bytes: The content of the file.
    /// - Throws: `TokenizerDefect`, also for every setting that would change ids and is not
    ///   supported.
    init(tokenizerJSON bytes: [UInt8]) throws(TokenizerDefect) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw TokenizerDefect("the JSON", expected: "UTF-8", found: "other bytes")
        }
        settings.normalizer = nil
        var scanner = JSONScanner(bytes)
        let members = try Self.members(&scanner, "the JSON")
        try scanner.expectEnd()
        guard let model = members["model"] else {
            throw TokenizerDefect("the JSON", expected: "the key model", found: "none")
        }
        try readModel(bytes, model)
        for (key, range) in members {
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

    /// Returns the ranges of the values of an object.
    private static func members(
        _ scanner: inout JSONScanner, _ name: String
    ) throws(TokenizerDefect) -> [String: Range<Int>] {
        var members: [String: Range<Int>] = [:]
        try scanner.object { (scanner) throws(TokenizerDefect) in
            let key = String(decoding: scanner.string, as: UTF8.self)
            let range = try scanner.skipValue()
            guard members.updateValue(range, forKey: key) == nil else {
                throw TokenizerDefect(name, expected: "each key once", found: "\"\(key)\" twice")
            }
        }
        return members
    }

    private static func value(
        _ bytes: [UInt8], _ range: Range<Int>, _ name: String
    ) throws(TokenizerDefect) -> JSONValue {
        guard range.count <= 16 << 20 else {
            throw .unsupported(name, expected: "at most 16 MiB", found: "\(range.count) bytes")
        }
        do throws(JSONValue.SyntaxError) {
            return try JSONValue(parsing: Array(bytes[range]))
        } catch {
            throw TokenizerDefect(name, expected: "JSON", found: error.reason)
        }
    }

    // MARK: - The model

    private mutating func readModel(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) {
        var scanner = JSONScanner(bytes, range)
        let members = try Self.members(&scanner, "the model")
        var values: [String: JSONValue] = [:]
        for (key, range) in members where key != "vocab" && key != "merges" {
            values[key] = try Self.value(bytes, range, "the model's \(key)")
        }
        guard let vocabulary = members["vocab"] else {
            throw TokenizerDefect("the model", expected: "the key vocab", found: "none")
        }
        // Older files do not say the type; their vocabularies tell.
        let type = values["type"]?.string ?? (values["unk_id"] == nil ? "BPE" : "Unigram")
        settings.fallsBackToBytes = values["byte_fallback"]?.bool ?? false
        switch type {
        case "Unigram":
            settings.algorithm = .unigram
            try check(values, of: ["type", "unk_id", "byte_fallback"])
            try readScoredPieces(bytes, vocabulary)
            if let id = values["unk_id"], id != .null {
                guard let id = id.integer, id >= 0, id < count else {
                    throw TokenizerDefect(
                        "unk_id", expected: "an id below \(count)", found: "\(id)")
                }
                settings.unknown = id
            }
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
            let ids = try readPieces(bytes, vocabulary)
            if let token = values["unk_token"]?.utf8 {
                guard let id = ids[token] else {
                    throw TokenizerDefect(
                        "unk_token", expected: "a piece",
                        found: "\"\(String(decoding: token, as: UTF8.self))\"")
                }
                settings.unknown = id
            }
            if let range = members["merges"] { try readMerges(bytes, range, ids) }
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
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) {
        var scanner = JSONScanner(bytes, range)
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

    /// Reads the pieces of a BPE model, and returns their ids.
    private mutating func readPieces(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) -> [[UInt8]: Int] {
        var scanner = JSONScanner(bytes, range)
        var ids: [[UInt8]: Int] = [:]
        var pieces: [[UInt8]?] = []
        try scanner.object { (scanner) throws(TokenizerDefect) in
            let piece = scanner.string
            let id = try scanner.integer()
            guard id >= 0, id < Self.maximumCount, id < 2 * ids.count + 65_536 else {
                throw .unsupported(
                    "the id of \"\(String(decoding: piece.prefix(40), as: UTF8.self))\"",
                    expected: "0..<\(min(Self.maximumCount, 2 * ids.count + 65_536))",
                    found: "\(id)")
            }
            if id >= pieces.count {
                pieces += [[UInt8]?](repeating: nil, count: id + 1 - pieces.count)
            }
            guard pieces[id] == nil, ids.updateValue(id, forKey: piece) == nil else {
                throw TokenizerDefect(
                    "the vocabulary", expected: "each piece and each id once",
                    found: "\"\(String(decoding: piece.prefix(40), as: UTF8.self))\", \(id)")
            }
            pieces[id] = piece
        }
        for piece in pieces { try append(piece ?? [], 0, piece == nil ? .absent : .normal) }
        return ids
    }

    private mutating func readMerges(
        _ bytes: [UInt8], _ range: Range<Int>, _ ids: [[UInt8]: Int]
    ) throws(TokenizerDefect) {
        var scanner = JSONScanner(bytes, range)
        var merges: [(left: UInt32, right: UInt32, merged: UInt32)] = []
        try scanner.array { (scanner) throws(TokenizerDefect) in
            let (left, right) = try Self.pair(&scanner)
            guard let first = ids[left], let second = ids[right], let merged = ids[left + right]
            else {
                let name = String(decoding: (left + [0x20] + right).prefix(80), as: UTF8.self)
                throw TokenizerDefect(
                    "merge \(merges.count)", expected: "two pieces that together are a piece",
                    found: "\"\(name)\"")
            }
            merges.append((UInt32(first), UInt32(second), UInt32(merged)))
        }
        self.merges = merges
    }

    /// Reads a merge: two strings, or one with a space between its parts.
    private static func pair(
        _ scanner: inout JSONScanner
    ) throws(TokenizerDefect) -> (left: [UInt8], right: [UInt8]) {
        if scanner.peek() == UInt8(ascii: "[") {
            try scanner.expect("[")
            try scanner.readString()
            let left = scanner.string
            try scanner.expect(",")
            try scanner.readString()
            try scanner.expect("]")
            return (left, scanner.string)
        }
        try scanner.readString()
        let parts = scanner.string.split(
            separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard parts.count == 2 else { throw scanner.failure("two parts and a space before this") }
        return (Array(parts[0]), Array(parts[1]))
    }
}
