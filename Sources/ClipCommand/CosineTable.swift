/// A matrix of cosines as text: images down, texts across.
struct CosineTable {
    let images: [String]
    let texts: [String]
    let cosines: [[Float]]

    /// The lines: texts are the headings of their columns if all fit, else a numbered list above them.
    func lines(fitting limit: Int) -> [String] {
        let names = images.map(TerminalText.shown)
        let shown = texts.map(TerminalText.shown)
        let longest = (names.map(\.count).max() ?? 0) + 2
        let widths = shown.map { max(6, $0.count) + 2 }
        let isFitting = shown.allSatisfy { $0.count <= 24 && !$0.isEmpty }
        if isFitting, widths.reduce(longest, +) <= limit {
            return [headings(shown, widths)] + rows(names, widths)
        }
        let numbers = texts.indices.map { "[\($0 + 1)]" }
        let narrow = texts.map { _ in 8 }
        return zip(numbers, shown).map { "\($0) \($1)" } + [headings(numbers, narrow)]
            + rows(names, narrow)
    }

    private func headings(_ texts: [String], _ widths: [Int]) -> String {
        zip(texts, widths).map { $0.right($1) }.joined() + "  image"
    }

    private func rows(_ names: [String], _ widths: [Int]) -> [String] {
        zip(cosines, names).map { row, name in
            zip(row, widths).map { fixed($0, 4).right($1) }.joined() + "  " + name
        }
    }
}
