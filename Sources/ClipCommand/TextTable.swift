/// A text table that drops or shortens columns to fit the terminal.
struct TextTable {
    struct Column {
        let title: String
        let width: Int
        /// True to align the column to the right.
        var isNumber = false
        /// The position of the column in the order of dropping, smallest first; nil if the column
        /// is never dropped.
        var dropOrder: Int?
        /// The smallest width to which the column may be shortened; nil if it is never shortened.
        var minimumWidth: Int?
        let values: [String]
    }

    let columns: [Column]

    /// Returns the lines of the table, titles first.
    ///
    /// - Parameter limit: The maximum number of characters in a line, exceeded only if the columns
    ///   that are never dropped do not fit; nil for no limit.
    /// - Returns: A line of titles and one line per row, without trailing spaces.
    func lines(fitting limit: Int?) -> [String] {
        var shown = columns.map { (column: $0, width: $0.width) }
        func total() -> Int { shown.map(\.width).reduce(0, +) + 2 * (shown.count - 1) }
        if let limit {
            while total() > limit {
                let excess = total() - limit
                if let index = shown.firstIndex(where: { entry in
                    entry.column.minimumWidth.map { entry.width - excess >= $0 } ?? false
                }) {
                    shown[index].width -= excess
                    continue
                }
                let droppable = shown.indices.filter { shown[$0].column.dropOrder != nil }
                guard
                    let index = droppable.min(by: {
                        (shown[$0].column.dropOrder ?? 0) < (shown[$1].column.dropOrder ?? 0)
                    })
                else { break }
                shown.remove(at: index)
            }
        }
        let count = columns.map(\.values.count).max() ?? 0
        return (-1..<count).map { row in
            let cells = shown.map { column, width in
                let text = Self.cut(row < 0 ? column.title : column.values[row], to: width)
                return column.isNumber ? text.right(width) : text.left(width)
            }
            let line = cells.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }
    }

    private static func cut(_ text: String, to width: Int) -> String {
        text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
    }
}
