import Files
import CLIP
import CLIPSearch
import CPages

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// An HTML page that needs no other file and no network.
struct Page {
    private let title: String
    private let about: [String]
    private let location: PageLocation
    private var style = PageTemplate.bytes(of: clip_page_css())
    private var body: [UInt8] = []
    private var hasScript = false

    /// - Parameters:
    ///   - about: What is said below the title: model, folder, numbers.
    ///   - location: The place of the page, for its links.
    init(title: String, about: [String], location: PageLocation) {
        self.title = title
        self.about = about
        self.location = location
    }

    mutating func append(_ html: String) { body += Array((html + "\n").utf8) }

    /// Adds the style of a part of the page.
    mutating func append(style file: clip_page_bytes) { style += PageTemplate.bytes(of: file) }

    /// Adds HTML that holds a script.
    mutating func append(withScript html: [UInt8]) {
        body += html
        hasScript = true
    }

    /// Adds a heading, with a remark in small letters after it.
    mutating func heading(_ text: String, _ remark: String) {
        append("<h2>\(escaped(text)) <small>\(escaped(remark))</small></h2>")
    }

    /// Adds images beside each other: each a link to its file, with a word and its path below.
    ///
    /// - Parameter thumbnails: JPEG files, one per item; nil where there is no image.
    mutating func gallery(_ items: [(name: FilePath, word: String)], _ thumbnails: [[UInt8]?]) {
        append("<div class=\"gallery\">")
        for (item, thumbnail) in zip(items, thumbnails) {
            append(
                """
                <figure>\(frame(item.name, thumbnail))
                <figcaption><b>\(escaped(item.word))</b>\(pathDetails(item.name))</figcaption></figure>
                """)
        }
        append("</div>")
    }

    /// A thumbnail that links to its file.
    func frame(_ name: FilePath, _ thumbnail: [UInt8]?) -> String {
        guard let thumbnail else { return "<div class=\"frame\">no image</div>" }
        let alt = escaped(String(decoding: name.lastComponent, as: UTF8.self))
        return """
            <a class="frame" href="\(escaped(location.link(to: name)))" target="_blank" \
            rel="noopener"><img src="\(dataURI(thumbnail))" alt="\(alt)"></a>
            """
    }

    var bytes: [UInt8] {
        PageTemplate(clip_page_html()).filled([
            "title": Array(escaped(title).utf8),
            "about": Array(escaped(about.joined(separator: " · ")).utf8),
            "style": style, "body": body,
            "scripts": Array((hasScript ? "'unsafe-inline'" : "'none'").utf8),
        ])
    }
}

/// A path whose folder is cut where there is no room, and which shows all of itself when it is opened.
func pathDetails(_ path: FilePath) -> String {
    let name = path.lastComponent
    let folder = escaped(String(decoding: path.bytes.prefix(upTo: name.startIndex), as: UTF8.self))
    return """
        <details class="path" title="\(escaped(path.description))"><summary>\
        \(folder.isEmpty ? "" : "<span class=\"folder\">\(folder)</span>")\
        <span class="name">\(escaped(String(decoding: name, as: UTF8.self)))</span></summary>\
        <div class="whole">\(escaped(path.description))</div></details>
        """
}

/// A number of things: "1 image", "2,000 images".
func counted(_ count: Int, _ noun: String) -> String {
    "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
}

/// A number with a comma before every three digits.
func grouped(_ number: Int) -> String {
    let digits = Array(String(number.magnitude))
    let groups = digits.indices.map { index in
        (index > 0 && (digits.count - index) % 3 == 0 ? "," : "") + String(digits[index])
    }
    return (number < 0 ? "-" : "") + groups.joined()
}

/// The words of a page for a model: its name, and its precision if that is not fp32.
func modelWords(_ name: String, _ precision: Precision) -> String {
    "model \(name)" + (precision == .fp32 ? "" : ", \(precision.rawValue)")
}

/// The words of a page for a folder or file: the argument, or the whole path of one such as `.`.
func sourceWords(_ source: String) -> String {
    let path = FilePath(argument: source)
    return source.contains { $0 != "." && $0 != "/" }
        ? source : PageLocation(page: nil).absolute(path).description
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
        case "\n", "\t", " "..."~", "\u{A0}"..."\u{FFFD}", "\u{10000}"...:
            result.unicodeScalars.append(character)
        default: result += "\u{FFFD}"  // XML has no other control characters, nor U+FFFE and U+FFFF
        }
    }
    return result
}

/// A JPEG within a page.
func dataURI(_ jpeg: [UInt8]) -> String {
    "data:image/jpeg;base64," + Data(jpeg).base64EncodedString()
}
