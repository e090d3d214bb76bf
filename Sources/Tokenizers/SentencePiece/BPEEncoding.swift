/// Byte-pair encoding by the scores of pieces.
///
/// Joins the neighbours whose text together is the piece of the highest score, the leftmost among
/// equals, until none is left, in O(*n* log *n*) time.
///
/// SentencePiece matches user-defined pieces first, the longest at each position. Hugging Face
/// joins pieces only, and prefers among equal scores the longest left part, then the longest right
/// part, then the lowest id, because it sorts its list of merges like that.
///
/// Source: `Model::SampleEncode` in `bpe_model.cc` of google/sentencepiece, and `generate_merges`
/// of huggingface/transformers.
struct ScoredBPE {
    let vocabulary: CompactVocabulary

    private var isSentencePiece: Bool { vocabulary.settings.normalizer != nil }

    /// Calls a closure with the id and the range of each piece, in order; the id is nil for a
    /// character without a piece.
    func forEachPiece(of text: [UInt8], _ body: (Int?, Range<Int>) -> Void) {
        precondition(text.count < Int32.max, "expected a text of less than 2 GiB")
        let isSentencePiece = isSentencePiece
        var list = symbols(of: text)
        // How an unused piece came about, by which it is taken apart again.
        var parts: [Int: Int] = [:]
        var queue = MergeQueue()
        func push(_ left: Int) {
            let first = list.symbols[left]
            guard first.next >= 0, !first.isFrozen, first.node != SymbolList.noNode else { return }
            let second = list.symbols[Int(first.next)]
            guard !second.isFrozen else { return }
            let node = walk(first.node, text, Int(second.start)..<Int(second.end))
            guard node != SymbolList.noNode, let id = vocabulary.id(ofNode: node) else { return }
            let length = first.count + second.count
            let score = UInt64(Self.rank(vocabulary.score(id))) << 32
            if isSentencePiece {
                queue.push(
                    .init(rank: score, order: UInt64(left), mark: length, node: node))
                if vocabulary.kind(id) == .unused { parts[id] = Int(first.count) }
            } else {
                let lengths = [first, second].map { symbol in
                    text[Int(symbol.start)..<Int(symbol.end)].count { $0 & 0xC0 != 0x80 }
                }
                let lengthRank = UInt64(0xFFFF - lengths[0]) << 16 | UInt64(0xFFFF - lengths[1])
                queue.push(
                    .init(
                        rank: score | lengthRank, order: UInt64(id) << 32 | UInt64(left),
                        mark: length, node: node))
            }
        }
        for left in list.symbols.indices { push(left) }
        while let merge = queue.pop() {
            let (left, first) = (merge.left, list.symbols[merge.left])
            guard !first.isEmpty, first.next >= 0,
                first.count + list.symbols[Int(first.next)].count == merge.mark
            else { continue }
            list.join(left, merge.node)
            if first.previous >= 0 { push(Int(first.previous)) }
            push(left)
        }
        list.forEach { symbol in
            emit(text, Int(symbol.start)..<Int(symbol.end), symbol.node, parts, body)
        }
    }

    /// Returns the characters of a text, and its user-defined pieces as wholes.
    private func symbols(of text: [UInt8]) -> SymbolList {
        var list = SymbolList()
        var start = 0
        let matchesWhole = isSentencePiece && vocabulary.settings.hasUserDefined
        while start < text.count {
            let whole = matchesWhole ? vocabulary.endOfUserDefined(in: text, at: start) : nil
            let end = whole ?? min(start + text.lengthOfScalar(at: start), text.count)
            let node = walk(CompactVocabulary.root, text, start..<end)
            let isPiece = node != SymbolList.noNode && vocabulary.id(ofNode: node) != nil
            list.append(
                start..<end, node, isFrozen: whole != nil || (!isSentencePiece && !isPiece))
            start = end
        }
        return list
    }

    /// Returns the node at the end of a range of the text; `SymbolList.noNode` if there is none.
    private func walk(_ node: UInt32, _ text: [UInt8], _ range: Range<Int>) -> UInt32 {
        var node = node
        for index in range {
            guard let next = vocabulary.step(node, text[index]) else { return SymbolList.noNode }
            node = next.node
        }
        return node
    }

    /// Reports a symbol, or the parts of one that is an unused piece.
    private func emit(
        _ text: [UInt8], _ range: Range<Int>, _ node: UInt32, _ parts: [Int: Int],
        _ body: (Int?, Range<Int>) -> Void
    ) {
        var open = [(range: range, node: node)]
        while let (range, node) = open.popLast() {
            let id = node == SymbolList.noNode ? nil : vocabulary.id(ofNode: node)
            if let id, vocabulary.kind(id) == .unused, let length = parts[id],
                length < range.count
            {
                let middle = range.lowerBound + length
                for part in [middle..<range.upperBound, range.lowerBound..<middle] {
                    open.append((part, walk(CompactVocabulary.root, text, part)))
                }
            } else {
                body(id, range)
            }
        }
    }

    /// Returns a number that is the lower the higher the score, a float32, is.
    private static func rank(_ score: Double) -> UInt32 {
        let bits = (Float(score) + 0).bitPattern  // adding 0 makes -0 a 0
        return ~(bits >> 31 == 1 ? ~bits : bits | 1 << 31)
    }
}

/// Byte-pair encoding by a list of merges, as Hugging Face does it.
///
/// Source: `models/bpe` of huggingface/tokenizers.
struct HuggingFaceBPE {
    let vocabulary: CompactVocabulary

    /// Returns the ids of a word in UTF-8.
    func ids(of text: [UInt8]) -> [Int] {
        precondition(text.count < Int32.max, "expected a text of less than 2 GiB")
        let settings = vocabulary.settings
        if settings.takesWholeWords, let id = vocabulary.id(of: text) { return [id] }
        var list = SymbolList()
        var unknown: Range<Int>?
        func appendUnknown() {
            if let range = unknown, let id = settings.unknown { list.append(range, UInt32(id)) }
            unknown = nil
        }
        var start = 0
        while start < text.count {
            let end = min(start + text.lengthOfScalar(at: start), text.count)
            if let id = vocabulary.id(of: text[start..<end]) {
                appendUnknown()
                list.append(start..<end, UInt32(id))
            } else if settings.fallsBackToBytes,
                text[start..<end].allSatisfy({ settings.byteIDs[Int($0)] >= 0 })
            {
                // As in the source, unknown characters before these stay pending.
                for index in start..<end {
                    list.append(index..<(index + 1), UInt32(settings.byteIDs[Int(text[index])]))
                }
            } else if settings.unknown != nil {
                if !settings.joinsUnknown { appendUnknown() }
                unknown = (unknown?.lowerBound ?? start)..<end
            }
            start = end
        }
        appendUnknown()
        merge(&list)
        var ids: [Int] = []
        list.forEach { ids.append(Int($0.node)) }
        return ids
    }

    private func merge(_ list: inout SymbolList) {
        var queue = MergeQueue()
        func push(_ left: Int, _ list: SymbolList) {
            let first = list.symbols[left]
            guard first.next >= 0,
                let merge = vocabulary.merge(first.node, list.symbols[Int(first.next)].node)
            else { return }
            queue.push(.init(rank: UInt64(merge.rank), order: UInt64(left), mark: merge.id))
        }
        for left in list.symbols.indices { push(left, list) }
        while let merge = queue.pop() {
            let first = list.symbols[merge.left]
            guard !first.isEmpty, first.next >= 0,
                vocabulary.merge(first.node, list.symbols[Int(first.next)].node)?.id == merge.mark
            else { continue }
            list.join(merge.left, merge.mark)
            if first.previous >= 0 { push(Int(first.previous), list) }
            push(merge.left, list)
        }
    }
}
