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
        let table: PieceTable
        if let made = model.table { table = made } else { table = try PieceTable(model) }
        let (slots, multiplier) = (table.slots, table.multiplier)
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
        fastChecksum(of: bytes[start...])
    }

    /// Returns the hash table of the merges, of which each slot is two numbers.
    private static func mergeSlots(
        of model: SentencePieceModel, _ multiplier: UInt64
    ) throws(TokenizerDefect) -> [UInt64] {
        guard !model.merges.isEmpty else { return [] }
        let capacity = model.merges.count * 3 / 2 + 16
        var slots = [UInt64](repeating: PieceTable.emptySlot, count: 2 * capacity)
        for (rank, merge) in model.merges.enumerated() {
            let key = UInt64(merge.left) << 32 | UInt64(merge.right)
            var index = PieceTable.home(key, multiplier, capacity)
            while slots[2 * index] != PieceTable.emptySlot {
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
