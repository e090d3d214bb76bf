import CLIPSearch

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A page of HTML that needs no other file.
struct Page {
    /// Of pictures that are shown, in pixels.
    static let thumbnailSide = 160

    private var body: [String] = []
    private let title: String

    init(title: String) { self.title = title }

    mutating func heading(_ text: String) { body.append("<h2>\(escaped(text))</h2>") }

    mutating func append(_ html: String) { body.append(html) }

    /// Pictures beside each other, with their names and a word below.
    ///
    /// - Parameter thumbnails: as many; nil where there is no picture.
    mutating func gallery(_ items: [(name: FilePath, word: String)], _ thumbnails: [[UInt8]?]) {
        body.append("<div class=\"gallery\">")
        for (item, thumbnail) in zip(items, thumbnails) {
            let name = escaped(item.name.description)
            let picture =
                thumbnail.map { "<img src=\"\(dataURI($0))\" alt=\"\(name)\">" }
                ?? "<div class=\"none\">no picture</div>"
            body.append(
                """
                <figure title="\(name)">\(picture)<figcaption><b>\(escaped(item.word))</b> \
                \(name)</figcaption></figure>
                """)
        }
        body.append("</div>")
    }

    var bytes: [UInt8] {
        let text = """
            <!doctype html>
            <html lang="en">
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width">
            <title>\(escaped(title))</title>
            <style>
            :root { color-scheme: light dark }
            body { font: 14px system-ui, sans-serif; margin: 1.5em; background: Canvas; color: CanvasText }
            h1 { font-size: 1.3em }
            h2 { font-size: 1.1em; margin: 1.5em 0 .5em }
            .gallery { display: flex; flex-wrap: wrap; gap: 8px }
            figure { margin: 0; width: \(Self.thumbnailSide)px }
            img, .none { display: block; width: \(Self.thumbnailSide)px; height: \(Self.thumbnailSide)px; \
            border-radius: 4px; background: #8884 }
            .none { line-height: \(Self.thumbnailSide)px; text-align: center; color: GrayText }
            figcaption { font-size: 12px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
            </style>
            <h1>\(escaped(title))</h1>
            \(body.joined(separator: "\n"))
            </html>

            """
        return Array(text.utf8)
    }
}

/// A text within HTML or SVG.
func escaped(_ text: String) -> String {
    var result = ""
    for character in text.unicodeScalars {
        switch character {
        case "&": result += "&amp;"
        case "<": result += "&lt;"
        case ">": result += "&gt;"
        case "\"": result += "&quot;"
        case "'": result += "&#39;"
        case "\n", "\t", " "..."~", "\u{A0}"...: result.unicodeScalars.append(character)
        default: result += "\u{FFFD}"  // XML has no other control characters
        }
    }
    return result
}

/// A JPEG within a page.
func dataURI(_ jpeg: [UInt8]) -> String {
    "data:image/jpeg;base64," + Data(jpeg).base64EncodedString()
}
