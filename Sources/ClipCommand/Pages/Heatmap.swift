/// A matrix of cosines as a drawing: pictures down, texts across, the numbers in the cells.
struct Heatmap {
    let images: [(name: String, thumbnail: [UInt8]?)]
    let texts: [String]
    let cosines: [[Float]]

    /// The side of pictures and cells, in pixels.
    private static let cell = 96
    /// How many letters of names are shown, and how wide a letter is at most.
    private static let longest = 40
    private static let letter = 7.5

    var svg: String {
        let cell = Self.cell
        let names = images.map { Self.short($0.name) }
        let words = texts.map(Self.short)
        let left = 24 + Int(Self.letter * Double(names.map(\.count).max() ?? 0)) + 8 + cell + 8
        // Texts lean to the right, so that long ones do not meet.
        let longestWord = Double(words.map(\.count).max() ?? 0) * Self.letter
        let top = 24 + Int(longestWord * 0.64)
        let width = left + texts.count * cell + 24 + Int(longestWord * 0.77)
        let height = top + images.count * cell + 16
        let (least, most) = range
        var parts = [
            """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(width)" height="\(height)" \
            viewBox="0 0 \(width) \(height)" font-family="system-ui, sans-serif" font-size="13">
            <rect width="100%" height="100%" fill="#fff"/>
            """
        ]
        for (column, word) in words.enumerated() {
            let x = left + column * cell + cell / 2
            parts.append(
                """
                <text x="\(x)" y="\(top - 8)" transform="rotate(-40 \(x) \(top - 8))" \
                fill="#222">\(escaped(word))<title>\(escaped(texts[column]))</title></text>
                """)
        }
        for (row, image) in images.enumerated() {
            let y = top + row * cell
            parts.append(
                """
                <text x="\(left - cell - 16)" y="\(y + cell / 2 + 4)" text-anchor="end" \
                fill="#222">\(escaped(names[row]))<title>\(escaped(image.name))</title></text>
                """)
            if let thumbnail = image.thumbnail {
                parts.append(
                    """
                    <image x="\(left - cell - 6)" y="\(y + 2)" width="\(cell - 4)" \
                    height="\(cell - 4)" href="\(dataURI(thumbnail))"/>
                    """)
            }
            for (column, cosine) in cosines[row].enumerated() {
                let x = left + column * cell
                let share = most > least ? (cosine - least) / (most - least) : 0.5
                parts.append(
                    """
                    <rect x="\(x)" y="\(y)" width="\(cell)" height="\(cell)" \
                    fill="\(Self.colour(share))"/>
                    <text x="\(x + cell / 2)" y="\(y + cell / 2 + 5)" text-anchor="middle" \
                    fill="\(share < 0.55 ? "#fff" : "#111")">\(fixed(cosine, 3))</text>
                    """)
            }
        }
        return parts.joined(separator: "\n") + "\n</svg>\n"
    }

    private var range: (least: Float, most: Float) {
        let all = cosines.joined()
        return (all.min() ?? 0, all.max() ?? 0)
    }

    private static func short(_ text: String) -> String {
        text.count <= longest ? text : text.prefix(longest - 1) + "…"
    }

    /// From dark blue by green to yellow, as lightness grows: 0...1.
    private static func colour(_ share: Float) -> String {
        let stops: [(red: Float, green: Float, blue: Float)] = [
            (48, 18, 90), (44, 82, 139), (32, 144, 140), (94, 201, 98), (253, 231, 37),
        ]
        let place = min(max(share, 0), 1) * Float(stops.count - 1)
        let lower = min(Int(place), stops.count - 2)
        let part = place - Float(lower)
        func mixed(_ channel: (Int) -> Float) -> Int {
            Int((channel(lower) * (1 - part) + channel(lower + 1) * part).rounded())
        }
        return """
            rgb(\(mixed { stops[$0].red }),\(mixed { stops[$0].green }),\(mixed { stops[$0].blue }))
            """
    }
}
