extension SentencePieceModel {
    /// Reads a SentencePiece model.
    ///
    /// - Parameter bytes: The content of `tokenizer.model` or `spiece.model`.
    /// - Throws: `TokenizerDefect`, also if the model is of words or characters.
    init(protobuf bytes: [UInt8]) throws(TokenizerDefect) {
        settings.unknown = nil
        var algorithm: UInt64 = 1
        var reader = ProtobufReader(bytes)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): try readPiece(bytes, range)
            case (2, .bytes(let range)): algorithm = try readTrainer(bytes, range) ?? algorithm
            case (3, .bytes(let range)): try readNormalizer(bytes, range)
            case (1...3, _):
                throw TokenizerDefect(
                    "field \(field)", expected: "a message", found: "a number")
            default: break  // self tests, the denormaliser and extensions
            }
        }
        switch algorithm {
        case 1: settings.algorithm = .unigram
        case 2: settings.algorithm = .bpe
        default:
            throw .unsupported(
                "trainer_spec.model_type", expected: "1 (Unigram) or 2 (BPE)",
                found: "\(algorithm)")
        }
        try checkText()
        try checkKinds()
    }

    private mutating func readPiece(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) {
        var piece = bytes[range.lowerBound..<range.lowerBound]
        var score: Float = 0
        var kind = Kind.normal
        var reader = ProtobufReader(bytes, range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (1, .bytes(let range)): piece = bytes[range]
            case (2, .fixed32(let bits)): score = Float(bitPattern: bits)
            case (3, .varint(let number)):
                guard let known = UInt8(exactly: number).flatMap(Kind.init(rawValue:)),
                    known != .absent
                else {
                    throw .unsupported(
                        "the type of piece \(count)", expected: "1 to 6", found: "\(number)")
                }
                kind = known
            case (1...3, _):
                throw TokenizerDefect(
                    "field \(field) of piece \(count)", expected: "the wire type of its format",
                    found: "another one")
            default: break
            }
        }
        try append(piece, Double(score), kind)
    }

    /// Returns the number of the algorithm, if it is stated.
    private mutating func readTrainer(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) -> UInt64? {
        var algorithm: UInt64?
        var reader = ProtobufReader(bytes, range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (3, .varint(let number)): algorithm = number
            case (24, .varint(let number)): settings.normalizer?.putsWhitespaceLast = number != 0
            case (35, .varint(let number)): settings.fallsBackToBytes = number != 0
            case (3, _), (24, _), (35, _):
                throw TokenizerDefect(
                    "field \(field) of trainer_spec", expected: "a number", found: "bytes")
            default: break
            }
        }
        return algorithm
    }

    private mutating func readNormalizer(
        _ bytes: [UInt8], _ range: Range<Int>
    ) throws(TokenizerDefect) {
        var reader = ProtobufReader(bytes, range)
        while let (field, value) = try reader.next() {
            switch (field, value) {
            case (2, .bytes(let range)): characterMap = Array(bytes[range])
            case (3, .varint(let number)): settings.normalizer?.addsDummyPrefix = number != 0
            case (4, .varint(let number)): settings.normalizer?.removesExtraWhitespace = number != 0
            case (5, .varint(let number)): settings.normalizer?.escapesWhitespace = number != 0
            case (2...5, _):
                throw TokenizerDefect(
                    "field \(field) of normalizer_spec",
                    expected: "the wire type of its format", found: "another one")
            default: break
            }
        }
    }

    /// Checks the pieces that are not matched in texts: one for unknown text, and the bytes.
    private mutating func checkKinds() throws(TokenizerDefect) {
        var reserved: Set<ArraySlice<UInt8>> = []
        var found: Set<UInt8> = []
        for id in 0..<count where [.unknown, .control, .byte].contains(kinds[id]) {
            guard reserved.insert(piece(id)).inserted else {
                throw TokenizerDefect(
                    "piece \(id)", expected: "a piece that occurs once", found: name(id))
            }
            switch kinds[id] {
            case .unknown:
                if let other = settings.unknown {
                    throw TokenizerDefect(
                        "the pieces", expected: "one of the type unknown",
                        found: "\(other) and \(id)")
                }
                settings.unknown = id
            case .byte:
                guard settings.fallsBackToBytes, let byte = Self.byte(of: piece(id)) else {
                    throw TokenizerDefect(
                        "piece \(id)",
                        expected: settings.fallsBackToBytes
                            ? "a byte such as <0x0A>" : "no byte, because byte_fallback is false",
                        found: name(id))
                }
                found.insert(byte)
            default: break
            }
            // SentencePiece's BPE takes a control piece of one character for that character.
            let length = String(decoding: piece(id), as: UTF8.self).unicodeScalars.count
            guard settings.algorithm == .unigram || length > 1 else {
                throw .unsupported(
                    "piece \(id)", expected: "more than one character, as it is no ordinary piece",
                    found: name(id))
            }
        }
        guard settings.unknown != nil else {
            throw TokenizerDefect("the pieces", expected: "one of the type unknown", found: "none")
        }
        guard !settings.fallsBackToBytes || found.count == 256 else {
            throw TokenizerDefect(
                "the byte pieces", expected: "256, because byte_fallback is true",
                found: "\(found.count)")
        }
    }
}
