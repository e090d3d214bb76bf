/// The most probable segmentation of a text by the scores of its pieces.
///
/// Scores are added from left to right, by SentencePiece in float32, by Hugging Face in float64. Of
/// segmentations that are equal then, the one whose last piece begins first is taken.
///
/// Source: `Model::EncodeOptimized` in `unigram_model.cc` of google/sentencepiece, and the
/// behaviour of version 0.2.3.
struct UnigramEncoder {
    let vocabulary: CompactVocabulary

    /// The best segmentation of a text up to a position.
    private struct Best {
        var score = 0.0
        var start: Int32 = -1
        var id: Int32 = -1
    }

    private var isSentencePiece: Bool { vocabulary.settings.normalizer != nil }

    /// Calls a closure with the id and the range of each piece, in order; the id is nil for a
    /// character without a piece.
    ///
    /// - Parameters:
    ///   - text: UTF-8 of less than 2 GiB.
    ///   - body: The closure.
    func forEachPiece(of text: [UInt8], _ body: (Int?, Range<Int>) -> Void) {
        precondition(text.count < Int32.max, "expected a text of less than 2 GiB")
        var best = [Best](repeating: Best(), count: text.count + 1)
        var start = 0
        // The last position that a piece has reached.
        var last = 0
        while start < text.count {
            let length = min(text.lengthOfScalar(at: start), text.count - start)
            if isSentencePiece, abs(best[start].score) > 100_000 {
                // SentencePiece counts from 0 again, for the precision of sums.
                let base = Float(best[start].score)
                for index in start...max(start, last) where index == start || best[index].start >= 0
                {
                    best[index].score = Double(Float(best[index].score) - base)
                }
            }
            let score = best[start].score
            var isKnown = false
            var node = CompactVocabulary.root
            var end = start
            while end < text.count, let next = vocabulary.step(node, text[end]) {
                node = next.node
                end += 1
                guard let id = next.id, let own = self.score(of: id, end - start) else { continue }
                improve(&best[end], score + own, start, id)
                last = max(last, end)
                isKnown = isKnown || end - start == length
            }
            if !isKnown {
                improve(&best[start + length], afterUnknown(score), start, -1)
                last = max(last, start + length)
            }
            start += length
        }

        var path: [(id: Int?, range: Range<Int>)] = []
        var end = text.count
        while end > 0 {
            let start = Int(best[end].start)
            path.append((best[end].id < 0 ? nil : Int(best[end].id), start..<end))
            end = start
        }
        for (id, range) in path.reversed() { body(id, range) }
    }

    private func improve(_ best: inout Best, _ score: Double, _ start: Int, _ id: Int) {
        let score = isSentencePiece ? Double(Float(score)) : score
        guard best.start < 0 || score > best.score else { return }
        best.score = score
        (best.start, best.id) = (Int32(start), Int32(id))
    }

    /// Returns the score of a piece of `length` bytes; nil if it is not used.
    private func score(of id: Int, _ length: Int) -> Double? {
        guard isSentencePiece else { return vocabulary.score(id) }
        switch vocabulary.kind(id) {
        case .unused: return nil
        case .userDefined:
            // As in version 0.2.3; earlier ones had about -0.1 for each.
            return Double(Float(Double(length - 1) * 0.1))
        default: return vocabulary.score(id)
        }
    }

    private func afterUnknown(_ score: Double) -> Double {
        let lowest = vocabulary.settings.lowestScore
        guard isSentencePiece else { return (lowest - 10) + score }
        return Double((Float(lowest) - 10) + Float(score))
    }
}
