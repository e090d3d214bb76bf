internal import Files

extension CompactVocabulary {
    /// Returns the block of a model.
    ///
    /// - Parameters:
    ///   - model: The content of a tokenizer file.
    ///   - digest: The SHA-256 of the file.
    /// - Returns: The bytes that `init(_:digest:)` takes.
    /// - Throws: `TokenizerDefect` if a piece occurs twice, or the map of characters is malformed.
    static func block(
        _ model: SentencePieceModel, digest: [UInt8]
    ) throws(TokenizerDefect) -> [UInt8] {
        if !model.characterMap.isEmpty { try CharacterMap.check(model.characterMap) }
        // The keys of hash tables cannot be chosen to collide if the multiplier is unknown.
        let multiplier = UInt64.random(in: 0 ... .max) | 1
        let slots = try slots(of: model, multiplier)
        let merges = try mergeSlots(of: model, multiplier)
        let settings = model.completeSettings.json.bytes

        var starts: [(start: Int, count: Int)] = []
        var bytes = [UInt8](repeating: 0, count: 8 * headerWords)
        bytes.reserveCapacity(
            8 * (slots.count + merges.count + model.count) + model.text.count + 6 * model.count
                + model.characterMap.count + settings.count + 1024)
        func section(_ append: (inout [UInt8]) -> Void) {
            bytes += [UInt8](repeating: 0, count: (8 - bytes.count % 8) % 8)
            let start = bytes.count
            append(&bytes)
            starts.append((start, bytes.count - start))
        }
        section { $0 += settings }
        section { $0 += model.characterMap }
        section { $0 += model.kinds.map(\.rawValue) }
        section { bytes in for end in model.ends { bytes.append(littleEndian: end) } }
        section { $0 += model.text }
        section { $0.append(littleEndian: model.scores.map(\.bitPattern)) }
        section { $0.append(littleEndian: slots) }
        section { $0.append(littleEndian: merges) }

        var header: [UInt8] = []
        let counts = [bytes.count, model.count, slots.count, merges.count / 2]
        for number in [magic] + counts.map(UInt64.init) + [multiplier] {
            header.append(littleEndian: number)
        }
        for (start, count) in starts {
            header.append(littleEndian: UInt64(start))
            header.append(littleEndian: UInt64(count))
        }
        let checksum = checksum(bytes, from: 8 * headerWords)
        header.append(littleEndian: checksum)
        header += digest
        header.append(littleEndian: Self.checksum(header, from: 0))
        precondition(
            header.count == 8 * headerWords,
            "expected a header of \(8 * headerWords) bytes, found \(header.count)")
        bytes.replaceSubrange(..<header.count, with: header)
        return bytes
    }

    private static func checksum(_ bytes: [UInt8], from start: Int) -> UInt64 {
        Files.checksum(bytes[start...])
    }

    /// Returns the hash table of the trie, with a third to a half of the slots free.
    private static func slots(
        of model: SentencePieceModel, _ multiplier: UInt64
    ) throws(TokenizerDefect) -> [UInt64] {
        var capacity = max(64, model.text.count * 3 / 4)
        while true {
            if let slots = try slots(of: model, multiplier, capacity) { return slots }
            capacity += capacity / 2
        }
    }

    /// Returns the hash table of the trie; nil if the capacity is too small.
    private static func slots(
        of model: SentencePieceModel, _ multiplier: UInt64, _ capacity: Int
    ) throws(TokenizerDefect) -> [UInt64]? {
        var slots = [UInt64](repeating: emptySlot, count: capacity)
        var free = capacity - capacity / 4
        let isSentencePiece = model.settings.normalizer != nil
        for id in 0..<model.count {
            switch model.kinds[id] {
            case .absent: continue
            case .unknown, .control, .byte: if isSentencePiece { continue }
            case .normal, .userDefined, .unused: break
            }
            var node = root
            var index = 0
            let piece = model.piece(id)
            for position in piece.indices {
                let key = UInt64(node) << 8 | UInt64(piece[position])
                index = home(key, multiplier, capacity)
                while slots[index] >> 24 != key {
                    if slots[index] == emptySlot {
                        free -= 1
                        if free < 0 { return nil }
                        slots[index] = key << 24
                        break
                    }
                    index = index + 1 == capacity ? 0 : index + 1
                }
                node = UInt32(index)
            }
            guard slots[index] & 0xFF_FFFF == 0 else {
                throw TokenizerDefect(
                    "piece \(id)", expected: "a piece that occurs once",
                    found: "\(model.name(id)), as piece \((slots[index] & 0xFF_FFFF) - 1)")
            }
            slots[index] |= UInt64(id + 1)
        }
        return slots
    }

    /// Returns the hash table of the merges, of which each slot is two numbers.
    private static func mergeSlots(
        of model: SentencePieceModel, _ multiplier: UInt64
    ) throws(TokenizerDefect) -> [UInt64] {
        guard !model.merges.isEmpty else { return [] }
        let capacity = model.merges.count * 3 / 2 + 16
        var slots = [UInt64](repeating: emptySlot, count: 2 * capacity)
        for (rank, merge) in model.merges.enumerated() {
            let key = UInt64(merge.left) << 32 | UInt64(merge.right)
            var index = home(key, multiplier, capacity)
            while slots[2 * index] != emptySlot {
                guard slots[2 * index] != key else {
                    throw TokenizerDefect(
                        "merge \(rank)", expected: "a pair that occurs once",
                        found: "\(model.name(Int(merge.left))) and \(model.name(Int(merge.right)))")
                }
                index = index + 1 == capacity ? 0 : index + 1
            }
            slots[2 * index] = key
            slots[2 * index + 1] = UInt64(rank) << 32 | UInt64(merge.merged)
        }
        return slots
    }
}
