import CLIPSearch
import CPages

extension Heatmap {
    /// The matrix as an SVG file with a light and a dark colour scheme.
    var svg: String { Drawing(self).svg }

    /// The drawing of the SVG; all lengths are in pixels.
    private struct Drawing {
        let heatmap: Heatmap
        let names: [String]
        let words: [String]
        /// The side of thumbnails and cells, in pixels.
        let cell: Int
        let left: Int
        let top: Int
        let width: Int
        let height: Int

        private static let margin = 24
        private static let header = 68

        init(_ heatmap: Heatmap) {
            self.heatmap = heatmap
            names = heatmap.images.map { shortened($0.name, to: 28) }
            words = shortened(heatmap.texts, to: 40)
            // Many texts get narrower columns.
            cell =
                [96, 96, 96, 96, 96, 96, 84, 84, 72, 72, 64].dropFirst(heatmap.texts.count).first
                ?? 56
            left = Self.margin + Self.width(names) + 8 + cell + 8
            // Texts are rotated, so that long ones do not overlap.
            let longest = Double(Self.width(words))
            top = Self.header + Int(longest * 0.64) + 16
            let matrix = left + heatmap.texts.count * cell
            // The last text may extend beyond the matrix; the title and the scale need 480 pixels.
            width = max(matrix + Int(longest * 0.77), 480) + Self.margin
            height = top + heatmap.images.count * cell + 60
        }

        /// Returns a generous estimate of the width of the widest text, in pixels.
        ///
        /// Characters from U+1100 (Hangul) on count as about twice as wide as others.
        private static func width(_ texts: [String]) -> Int {
            texts.map { text in
                Int(text.unicodeScalars.reduce(0.0) { $0 + ($1.value < 0x1100 ? 7.5 : 14) })
            }.max() ?? 0
        }

        var svg: String {
            let style = String(
                decoding: PageTemplate.bytes(of: clip_heatmap_css()), as: UTF8.self)
            var parts = [
                """
                <svg xmlns="http://www.w3.org/2000/svg" class="heatmap" width="\(width)" \
                height="\(height)" viewBox="0 0 \(width) \(height)" \
                font-family="system-ui, sans-serif" font-size="13">
                <style>
                \(style)</style>
                <rect class="paper" width="100%" height="100%"/>
                <text class="ink" x="24" y="36" font-size="17" font-weight="600">\
                \(escaped(heatmap.title))</text>
                <text class="faint" x="24" y="57">\(escaped(shortened(heatmap.model, to: 60)))\
                <title>\(escaped(heatmap.model))</title></text>
                """
            ]
            for column in words.indices { parts.append(head(column)) }
            for row in names.indices { parts.append(self.row(row)) }
            parts.append(scale)
            return parts.joined(separator: "\n") + "\n</svg>\n"
        }

        private func head(_ column: Int) -> String {
            let x = left + column * cell + cell / 2
            return """
                <text class="ink" x="\(x)" y="\(top - 8)" transform="rotate(-40 \(x) \(top - 8))">\
                \(escaped(words[column]))<title>\(escaped(heatmap.texts[column]))</title></text>
                """
        }

        private func row(_ row: Int) -> String {
            let y = top + row * cell
            let image = heatmap.images[row]
            var parts = [
                """
                <text class="ink" x="\(left - cell - 16)" y="\(y + cell / 2 + 4)" \
                text-anchor="end">\
                \(escaped(names[row]))<title>\(escaped(image.name.description))</title></text>
                """
            ]
            if let thumbnail = image.thumbnail {
                parts.append(
                    """
                    <image x="\(left - cell - 6)" y="\(y + 2)" width="\(cell - 4)" \
                    height="\(cell - 4)" href="\(dataURI(thumbnail))"/>
                    """)
            }
            let best = heatmap.best(row)
            for (column, cosine) in heatmap.cosines[row].enumerated() {
                let share = heatmap.share(of: cosine)
                let x = left + column * cell
                let (colour, ink) = (Heatmap.colour(share), Heatmap.ink(share))
                parts.append(
                    """
                    <rect x="\(x)" y="\(y)" width="\(cell)" height="\(cell)" fill="\(colour)"/>
                    """)
                if cosine == best {
                    parts.append(
                        """
                        <rect class="best" x="\(x + 3)" y="\(y + 3)" width="\(cell - 6)" \
                        height="\(cell - 6)" rx="4" fill="none" stroke="\(ink)" stroke-width="2"/>
                        """)
                }
                parts.append(
                    """
                    <text x="\(x + cell / 2)" y="\(y + cell / 2 + 5)" text-anchor="middle" \
                    fill="\(ink)"\(cosine == best ? " font-weight=\"700\"" : "")>\
                    \(fixed(cosine, 3))</text>
                    """)
            }
            return parts.joined(separator: "\n")
        }

        /// The legend: the colour scale from the smallest to the largest cosine, and the frame that
        /// marks the largest cosine of a row.
        private var scale: String {
            let y = top + names.count * cell + 24
            let colours = Heatmap.scale
            let stops = colours.enumerated().map { number, colour in
                "<stop offset=\"\(100 * number / (colours.count - 1))%\" stop-color=\"\(colour)\"/>"
            }
            let best =
                words.count < 2
                ? ""
                : """
                <rect x="308" y="\(y - 1)" width="14" height="14" rx="3" fill="none" \
                stroke="#80858d" stroke-width="2"/>
                <text class="faint" x="330" y="\(y + 11)">the best of its row</text>
                """
            return """
                <linearGradient id="cosines">\(stops.joined())</linearGradient>
                <text class="faint" x="24" y="\(y + 11)">\(fixed(heatmap.range.least, 3))</text>
                <rect x="74" y="\(y)" width="160" height="12" rx="3" fill="url(#cosines)"/>
                <text class="faint" x="242" y="\(y + 11)">\(fixed(heatmap.range.most, 3))</text>
                \(best)
                """
        }
    }
}
