/// A text table of cosines: a row per image, a column per text.
struct CosineTable {
    let images: [String]
    let texts: [String]
    let cosines: [[Float]]

    /// Returns the lines of the table.
    ///
    /// The texts are column headings if each has 1 to 24 characters and the rows then have at most
    /// `limit` characters. Otherwise, they are a numbered list above the table.
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
