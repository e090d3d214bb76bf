import Files
import CLIPSearch
import CPages

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif

/// A coloured matrix of cosines: a row per image, a column per text, the values in the cells.
struct Heatmap {
    struct Image {
        let name: FilePath
        /// The thumbnail as a JPEG file; nil if there is none.
        let thumbnail: [UInt8]?
        /// True if the image is a file of its own, not a member of an archive.
        var isFile = true
        /// A remark below the path; nil for none.
        var remark: String?
    }

    let images: [Image]
    let texts: [String]
    /// The cosines; one row per image, one column per text.
    let cosines: [[Float]]
    /// The description of the model: its name and precision.
    let model: String
    /// The name of the values in the title and in the heading of the table.
    let valueName: String
    /// The smallest and the largest finite cosine; both are 0 if there is none.
    let range: (least: Float, most: Float)

    init(
        images: [Image], texts: [String], cosines: [[Float]], model: String,
        valueName: String = "cosine"
    ) {
        self.images = images
        self.texts = texts
        self.cosines = cosines
        self.model = model
        self.valueName = valueName
        let all = cosines.joined().filter(\.isFinite)
        range = (all.min() ?? 0, all.max() ?? 0)
    }

    var title: String {
        let values = valueName.prefix(1).uppercased() + valueName.dropFirst() + "s"
        return "\(values) of \(counted(images.count, "image")) and \(counted(texts.count, "text"))"
    }

    /// Returns a cosine scaled linearly from `range` to 0...1; 0.5 if all cosines are equal or this
    /// one is not finite.
    func share(of cosine: Float) -> Float {
        let (least, most) = range
        return most > least && cosine.isFinite ? (cosine - least) / (most - least) : 0.5
    }

    /// Returns the largest finite cosine of a row; nil if there is none, or only one text.
    func best(_ row: Int) -> Float? {
        texts.count > 1 ? cosines[row].filter(\.isFinite).max() : nil
    }

    // MARK: Colours

    /// The stops of the colour scale, from dark blue through green to yellow; lightness increases.
    private static let stops: [(red: Float, green: Float, blue: Float)] = [
        (48, 18, 90), (44, 82, 139), (32, 144, 140), (94, 201, 98), (253, 231, 37),
    ]

    /// The colours of the scale, evenly spaced from the smallest to the largest cosine.
    static var scale: [String] {
        stops.indices.map { colour(Float($0) / Float(stops.count - 1)) }
    }

    private static func channels(_ share: Float) -> [Float] {
        let place = min(max(share, 0), 1) * Float(stops.count - 1)
        let lower = min(Int(place), stops.count - 2)
        let part = place - Float(lower)
        let (a, b) = (stops[lower], stops[lower + 1])
        return [(a.red, b.red), (a.green, b.green), (a.blue, b.blue)].map {
            ($0 * (1 - part) + $1 * part).rounded()
        }
    }

    /// Returns the colour of a scaled cosine, 0...1.
    static func colour(_ share: Float) -> String {
        "rgb(\(channels(share).map { String(Int($0)) }.joined(separator: ",")))"
    }

    /// Returns white or black, whichever has more contrast with the colour of a scaled cosine.
    ///
    /// Source: relative luminance as WCAG 2 defines it; the two contrasts are equal at 0.179.
    static func ink(_ share: Float) -> String {
        let linear = channels(share).map { channel in
            let part = channel / 255
            return part <= 0.03928 ? part / 12.92 : powf((part + 0.055) / 1.055, 2.4)
        }
        let luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
        return luminance < 0.179 ? "#fff" : "#000"
    }
}

// MARK: Page

extension Heatmap {
    /// The number of characters up to which the page shows a text in full.
    private static let longestInPage = 48

    /// Returns a page with the matrix as a table; scrolling keeps its first row and column in view.
    func page(_ location: PageLocation) -> [UInt8] {
        var page = Page(title: title, about: [model], location: location)
        append(to: &page)
        return page.bytes
    }

    /// Adds the matrix to a page as a table.
    func append(to page: inout Page) {
        page.append(style: clip_table_css())
        page.append(legend)
        page.append("<div class=\"scroll\"><table>\n<thead><tr><th>\(escaped(valueName))</th>")
        for (text, short) in zip(texts, shortened(texts, to: Self.longestInPage)) {
            let words =
                text == short
                ? "<div>\(escaped(text))</div>"
                : """
                <details class="text"><summary>\(escaped(short))</summary>\(escaped(text))</details>
                """
            page.append("<th scope=\"col\" title=\"\(escaped(text))\">\(words)</th>")
        }
        page.append("</tr></thead>\n<tbody>")
        for (row, image) in images.enumerated() {
            let remark = image.remark.map { "<div class=\"remark\">\(escaped($0))</div>" } ?? ""
            page.append(
                """
                <tr><th scope="row">\
                \(page.frame(image.name, image.thumbnail, isFile: image.isFile))\
                \(pathDetails(image.name))\(remark)</th>
                """)
            let best = best(row)
            for cosine in cosines[row] {
                let share = share(of: cosine)
                page.append(
                    """
                    <td\(cosine == best ? " class=\"best\"" : "") style="background:\
                    \(Self.colour(share));color:\(Self.ink(share))">\(fixed(cosine, 3))</td>
                    """)
            }
            page.append("</tr>")
        }
        page.append("</tbody>\n</table></div>")
    }

    private var legend: String {
        let best = texts.count > 1 ? "<b>0</b> the best of its row" : ""
        return """
            <p class="scale"><span>\(fixed(range.least, 3))</span><i style="background:\
            linear-gradient(to right,\(Self.scale.joined(separator: ",")))"></i>\
            <span>\(fixed(range.most, 3))</span>\(best)</p>
            """
    }
}
