/// The content of a tokenizer file: pieces, scores, merges and settings.
///
/// It is read from a SentencePiece model (`spiece.model`, `tokenizer.model`) or from Hugging Face's
/// `tokenizer.json`, and becomes a `CompactVocabulary`.
struct SentencePieceModel {
    /// The kind of a piece, with SentencePiece's numbers.
    enum Kind: UInt8 {
        case normal = 1
        case unknown = 2
        case control = 3
        case userDefined = 4
        case unused = 5
        case byte = 6
        /// An id without a piece.
        case absent = 7
    }

    /// The largest number of pieces.
    static let maximumCount = 1 << 22
    /// The largest number of bytes of a piece.
    static let maximumLength = 1 << 10
    /// The largest number of bytes of all pieces together.
    static let maximumText = 1 << 25
    /// The largest number of merges.
    static let maximumMerges = 1 << 22

    /// The UTF-8 of all pieces, one after the other.
    private(set) var text: [UInt8] = []
    /// The end of each piece in `text`, after a 0.
    private(set) var ends: [UInt32] = [0]
    var scores: [Double] = []
    var kinds: [Kind] = []
    /// The merges of pairs in the order of their ranks: left id, right id, id of the result.
    var merges: [(left: UInt32, right: UInt32, merged: UInt32)] = []
    var settings = TokenizerSettings()
    /// The normaliser's map, as it stands in the file; empty if there is none.
    var characterMap: [UInt8] = []

    var count: Int { kinds.count }

    /// The table of pieces, if it has been made already.
    var table: PieceTable?

    /// Returns the range of a piece in `text`.
    func range(_ id: Int) -> Range<Int> { Int(ends[id])..<Int(ends[id + 1]) }

    /// Returns the UTF-8 of a piece.
    func piece(_ id: Int) -> ArraySlice<UInt8> { text[range(id)] }

    /// Returns a piece for an error message.
    func name(_ id: Int) -> String {
        "\"\(String(decoding: piece(id).prefix(40), as: UTF8.self))\""
    }

    /// Appends a piece; its id is the number of pieces before it.
    mutating func append(
        _ piece: some Collection<UInt8>, _ score: Double, _ kind: Kind
    ) throws(TokenizerDefect) {
        let id = count
        guard id < Self.maximumCount else {
            throw .unsupported(
                "the number of pieces", expected: "at most \(Self.maximumCount)",
                found: "more than that")
        }
        guard kind == .absent || (1...Self.maximumLength).contains(piece.count) else {
            throw TokenizerDefect(
                "the length of piece \(id)", expected: "1 to \(Self.maximumLength) bytes",
                found: "\(piece.count)")
        }
        guard score.isFinite else {
            throw TokenizerDefect(
                "the score of piece \(id)", expected: "a finite number", found: "\(score)")
        }
        guard piece.first.map({ $0 & 0xC0 != 0x80 }) ?? true else {
            throw TokenizerDefect("piece \(id)", expected: "valid UTF-8", found: "other bytes")
        }
        guard text.count + piece.count <= Self.maximumText else {
            throw .unsupported(
                "the length of all pieces", expected: "at most \(Self.maximumText) bytes",
                found: "more than that")
        }
        text += piece
        ends.append(UInt32(text.count))
        scores.append(score)
        kinds.append(kind)
    }

    /// Checks what concerns all pieces together.
    func checkText() throws(TokenizerDefect) {
        guard count > 0 else {
            throw TokenizerDefect("the vocabulary", expected: "at least one piece", found: "none")
        }
        // Each piece is valid UTF-8, because all are together and none begins within a character.
        guard String(validating: text, as: UTF8.self) != nil else {
            throw TokenizerDefect("the pieces", expected: "valid UTF-8", found: "other bytes")
        }
    }

    /// The settings with what follows from the pieces.
    var completeSettings: TokenizerSettings {
        var settings = settings
        settings.hasUserDefined = kinds.contains(.userDefined)
        if settings.fallsBackToBytes {
            settings.byteIDs = [Int](repeating: -1, count: 256)
            for id in 0..<count where settings.normalizer == nil || kinds[id] == .byte {
                if let byte = Self.byte(of: piece(id)) { settings.byteIDs[Int(byte)] = id }
            }
        }
        if settings.normalizer == nil {
            settings.lowestScore = scores.min() ?? 0
        } else {
            var lowest = Double(Float.greatestFiniteMagnitude)
            for id in 0..<count where kinds[id] == .normal { lowest = min(lowest, scores[id]) }
            settings.lowestScore = lowest
        }
        return settings
    }

    /// Returns the byte that a piece such as `<0x0A>` stands for; nil for other pieces.
    static func byte(of piece: ArraySlice<UInt8>) -> UInt8? {
        guard piece.count == 6, piece.starts(with: "<0x".utf8), piece.last == UInt8(ascii: ">")
        else { return nil }
        var value: UInt8 = 0
        for digit in piece.dropFirst(3).prefix(2) {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | (digit - 0x30)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | (digit - 0x37)
            default: return nil
            }
        }
        return value
    }
}

/// The settings of a tokenizer apart from its pieces.
struct TokenizerSettings: Equatable, Sendable {
    enum Algorithm: String, Sendable { case unigram, bpe }

    /// The rules of SentencePiece's normaliser.
    struct Normalizer: Equatable, Sendable {
        var addsDummyPrefix = true
        var removesExtraWhitespace = true
        var escapesWhitespace = true
        var putsWhitespaceLast = false
    }

    var algorithm = Algorithm.unigram
    /// The id of unknown text; nil if unknown text is left out.
    var unknown: Int?
    /// True if unknown characters become the pieces of their bytes.
    var fallsBackToBytes = false
    /// The rules of SentencePiece's normaliser; nil if `pipeline` has Hugging Face's.
    var normalizer: Normalizer? = Normalizer()
    var pipeline = TokenizerPipeline()
    /// True if several unknown characters in a row become one id, as always for Unigram.
    var joinsUnknown = true
    /// True if BPE merges pieces by their scores, false if by a list of merges.
    var mergesByScore = true
    /// True if BPE takes a word that is a piece as it is.
    var takesWholeWords = false
    /// The lowest score of the pieces that Unigram weighs.
    var lowestScore = 0.0
    /// The ids of the bytes, 256 of them with -1 for none; empty without any.
    var byteIDs: [Int] = []
    /// True if there are user-defined pieces, which are matched whole.
    var hasUserDefined = false
}
