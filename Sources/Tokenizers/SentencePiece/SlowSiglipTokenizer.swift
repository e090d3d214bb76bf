/// The steps of transformers' `SiglipTokenizer` around SentencePiece.
///
/// Source: `tokenization_siglip.py` of huggingface/transformers.
struct SlowSiglipTokenizer {
    let encoder: SentencePieceEncoder

    private static let special = ["</s>", "<unk>"].map { Array($0.unicodeScalars) }

    func append(_ text: String, to ids: inout [Int]) {
        let scalars = ["\u{2581}"] + text.unicodeScalars.map { $0 == "\u{2581}" ? " " : $0 }
        var parts: [Part] = []
        var start = 0
        var position = 0
        while position < scalars.count {
            if let token = Self.special.first(where: { scalars[position...].starts(with: $0) }) {
                if start < position { parts.append(.text(scalars[start..<position])) }
                parts.append(.special(String(String.UnicodeScalarView(token))))
                position += token.count
                start = position
            } else {
                position += 1
            }
        }
        if start < scalars.count { parts.append(.text(scalars[start...])) }

        let space = encoder.vocabulary.id(of: [UInt8].metaspace)
        var result: [Int] = []
        var isSecondSpecial = false
        for (index, part) in parts.enumerated() {
            switch part {
            case .special(let name):
                if result.count == 1 { isSecondSpecial = true }
                result.append(id(of: name))
            case .text(var text):
                // Whitespace beside a special token goes.
                if index > 0 { text = text.drop(while: \.isPythonSpace) }
                if index + 1 < parts.count {
                    while text.last?.isPythonSpace == true { text.removeLast() }
                }
                if !text.isEmpty { append(part: text, to: &result) }
            }
        }
        if isSecondSpecial, result.first == space { result.removeFirst() }
        ids += result
    }

    private enum Part {
        case text(ArraySlice<Unicode.Scalar>)
        case special(String)
    }

    /// Appends the ids of a part, with `<unk>` before it while SentencePiece runs, so that a space
    /// at the beginning is kept.
    private func append(part: ArraySlice<Unicode.Scalar>, to ids: inout [Int]) {
        let mark = Array("<unk>".utf8)
        var (markIDs, found): ([Int], [Int]) = ([], [])
        encoder.append(mark, to: &markIDs)
        encoder.append(mark + withoutPunctuation(part).utf8, to: &found)
        ids += found.count >= markIDs.count ? found.dropFirst(markIDs.count) : found[...]
    }

    private func id(of name: String) -> Int {
        let text = Array(name.utf8)
        let vocabulary = encoder.vocabulary
        return (0..<min(vocabulary.count, 16)).first { vocabulary.piece($0) == text }
            ?? vocabulary.settings.unknown ?? 0
    }
}
