import Files
import CLIP
import CLIPSearch
import CPages

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A self-contained HTML page: it needs no network, and other files only where it links to them.
struct Page {
    private let title: String
    private let about: [String]
    private let location: PageLocation
    private var style = PageTemplate.bytes(of: clip_page_css())
    private var body: [UInt8] = []
    private var hasScript = false

    /// Creates an empty page.
    ///
    /// - Parameters:
    ///   - title: The title and heading.
    ///   - about: The items of the line below the heading: model, folder, numbers.
    ///   - location: The location of the page, for its links.
    init(title: String, about: [String], location: PageLocation) {
        self.title = title
        self.about = about
        self.location = location
    }

    mutating func append(_ html: String) { body += Array((html + "\n").utf8) }

    /// Adds a style sheet.
    mutating func append(style file: clip_page_bytes) { style += PageTemplate.bytes(of: file) }

    /// Adds HTML with a script, which the page's security policy then allows.
    mutating func append(withScript html: [UInt8]) {
        body += html
        hasScript = true
    }

    /// Adds a heading with a remark in small print.
    mutating func heading(_ text: String, _ remark: String) {
        append("<h2>\(escaped(text)) <small>\(escaped(remark))</small></h2>")
    }

    /// Adds a gallery of images; each links to its file, with a caption and its path below.
    ///
    /// - Parameters:
    ///   - items: The path and the caption of each image.
    ///   - thumbnails: JPEG files, one per item; nil where the image cannot be read.
    mutating func gallery(_ items: [(name: FilePath, caption: String)], _ thumbnails: [[UInt8]?]) {
        append("<div class=\"gallery\">")
        for (item, thumbnail) in zip(items, thumbnails) {
            append(
                """
                <figure>\(frame(item.name, thumbnail))
                <figcaption><b>\(escaped(item.caption))</b>\
                \(pathDetails(item.name))</figcaption></figure>
                """)
        }
        append("</div>")
    }

    /// Returns HTML for a thumbnail that links to the image file, unless `isFile` is false; "no
    /// image" without a thumbnail.
    func frame(_ name: FilePath, _ thumbnail: [UInt8]?, isFile: Bool = true) -> String {
        guard let thumbnail else { return "<div class=\"frame\">no image</div>" }
        let alt = escaped(String(decoding: name.lastComponent, as: UTF8.self))
        guard isFile else {
            return "<div class=\"frame\"><img src=\"\(dataURI(thumbnail))\" alt=\"\(alt)\"></div>"
        }
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

/// Returns HTML for a path: one line with the folder cut off to fit, which a click expands to the
/// full path.
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

/// Returns a count with its noun, such as "1 image" or "2,000 images".
func counted(_ count: Int, _ noun: String) -> String {
    "\(grouped(count)) \(noun)\(count == 1 ? "" : "s")"
}

/// Returns a number with commas as thousands separators.
func grouped(_ number: Int) -> String {
    let digits = Array(String(number.magnitude))
    let groups = digits.indices.map { index in
        (index > 0 && (digits.count - index) % 3 == 0 ? "," : "") + String(digits[index])
    }
    return (number < 0 ? "-" : "") + groups.joined()
}

/// Returns the description of a model for a page: its name, and its precision unless fp32.
func modelDescription(_ name: String, _ precision: Precision) -> String {
    "model \(name)" + (precision == .fp32 ? "" : ", \(precision.rawValue)")
}

/// Returns the description of a folder or file for a page: the path as given, or the absolute path
/// if it has only dots and slashes, such as `.`.
func sourceDescription(_ source: String) -> String {
    let path = FilePath(argument: source)
    return source.contains { $0 != "." && $0 != "/" }
        ? source : PageLocation(page: nil).absolute(path).description
}

/// Returns a text escaped for HTML and SVG.
///
/// Control characters other than line feed and tab become U+FFFD, and so do U+FFFE and U+FFFF.
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
        default: result += "\u{FFFD}"  // most of these characters are invalid in XML
        }
    }
    return result
}

/// Returns a data URI for a JPEG file.
func dataURI(_ jpeg: [UInt8]) -> String {
    "data:image/jpeg;base64," + Data(jpeg).base64EncodedString()
}
